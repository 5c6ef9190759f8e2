"""Reports on one kernel as JSON: with a usual tile, with one far too large, and what is said when an argument is forgotten.

A program of its own for the same reason as ``compiled``.
"""

from __future__ import annotations

import json

import triton
import triton.language as tl

from pcbench_kernels.gpu.report import KernelReport, kernel_report


@triton.jit
def product(a, b, out, WIDTH, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """``out = a · b`` for one tile."""
    m, n, k = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, WIDTH, BK):
        x = tl.load(a + m[:, None] * WIDTH + (start + k)[None, :])
        y = tl.load(b + (start + k)[:, None] * BN + n[None, :])
        total += tl.dot(x, y)
    tl.store(out + m[:, None] * BN + n[None, :], total)


SIGNATURE = {"a": "*bf16", "b": "*bf16", "out": "*fp32", "WIDTH": "i32"}


def report(rows: int, columns: int, signature: dict[str, str]) -> KernelReport:
    return kernel_report(product, signature, {"BM": rows, "BN": columns, "BK": 32}, 80, 4, 2, list(signature))


def main() -> None:
    try:
        report(64, 64, {name: kind for name, kind in SIGNATURE.items() if name != "WIDTH"})
        forgotten = "nothing"
    except ValueError as error:
        forgotten = str(error)
    reports = {"usual": report(64, 64, SIGNATURE), "hungry": report(256, 256, SIGNATURE)}
    print(json.dumps({**{name: found.as_dict() for name, found in reports.items()}, "forgotten": forgotten}))


if __name__ == "__main__":
    main()
