"""Compiles the kernels for a named GPU on a machine without one: ``python -m tests.gpu.compiled 90`` prints one JSON line.

Run as a program of its own: the tests beside it put Triton in interpreter mode, which lasts as long as its process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pcbench_kernels.gpu import PRECISIONS
from pcbench_kernels.gpu.backward import edge_flow, narrow_sum_flow, wide_sum_flow
from pcbench_kernels.gpu.forward import narrow_sum_forward, wide_sum_forward
from pcbench_kernels.gpu.report import kernel_report
from pcbench_kernels.gpu.tiles import TILES, Tile

POINTERS = {"scales": "*fp64", "suspect": "*i32", "seeds": "*fp32", "counts": "*fp32", "out": "*fp32"}
OPERANDS = ("weights", "elements", "ratios")
LOGS = ("values", "flows", "lookup")
NUMBERS = {"B": "i32", "NODES": "i32", "WIDTH": "i32", "OUTPUTS": "i32", "SPAN": "i32", "BASE": "i64", "least": "fp32"}
#: Kernel → its entry among the tiles, and the names of their sides there.
KERNELS = {
    narrow_sum_forward: ("narrow forward", ("BN", "BM", "BK")),
    wide_sum_forward: ("wide forward", ("BN", "BM", "BK")),
    narrow_sum_flow: ("narrow flow", ("BN", "BE", "BM")),
    wide_sum_flow: ("wide flow", ("BN", "BE", "BK")),
    edge_flow: ("edges", ("BM", "BE", "BK")),
}
#: Narrow kernels take their tiles from their layer: these are of 256 nodes and elements.
NARROW = {"fast": Tile(32, 64, 256, 8, 1), "exact": Tile(32, 32, 256, 8, 1)}


def compiled(capability: int, precision: str) -> dict[str, dict[str, Any]]:
    """Kernel → what it became: Tensor Core instructions, registers, spills, shared memory."""
    found = {}
    for kernel, (entry, sides) in KERNELS.items():
        *extents, warps, stages = TILES[precision].get(entry, NARROW[precision])
        fixed = {
            **dict(zip(sides, extents, strict=True)),
            "PRECISION": PRECISIONS[precision],
            "KEEP": True,
            "ADD": False,
            "MANY": True,
            "CHAIN": True,
            "SCATTER": False,
            "ALIGNED": True,
            "PULLS": True,
            "EARLY": capability >= 90,
        }
        fixed = {name: value for name, value in fixed.items() if name in kernel.arg_names}
        fast = precision == "fast"
        operands, logs = ("*bf16", "*fp16") if fast else ("*fp32", "*fp32")
        pointers = {**POINTERS, **dict.fromkeys(OPERANDS, operands), **dict.fromkeys(LOGS, logs)}
        if kernel is edge_flow:
            pointers["weights"] = "*fp32"
        signature = {n: NUMBERS.get(n) or pointers.get(n, "*i64") for n in kernel.arg_names if n not in fixed}
        # As at a launch of ordinary sizes: pointers and extents are multiples of 16.
        aligned = [n for n in signature if n != "least"]
        report = kernel_report(kernel, signature, fixed, capability, warps, stages, aligned)
        found[kernel.fn.__name__] = report.as_dict()
    return found


if __name__ == "__main__":
    print(json.dumps({precision: compiled(int(sys.argv[1]), precision) for precision in PRECISIONS}))
