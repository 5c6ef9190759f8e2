"""Compiles the kernels for a named GPU on a machine without one: ``python -m tests.gpu.compiled 90`` prints one JSON line.

Run as a program of its own: the tests beside it put Triton in interpreter mode, which lasts as long as its process.
"""

from __future__ import annotations

import json
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pcbench_kernels.gpu import PRECISIONS
from pcbench_kernels.gpu.backward import edge_flow, element_flow
from pcbench_kernels.gpu.forward import sum_forward
from pcbench_kernels.gpu.launch import TILES

POINTERS = {"values": "*fp32", "scales": "*fp64", "weights": "*fp32", "lookup": "*fp32", "suspect": "*i32", "flows": "*fp32",
            "seeds": "*fp32", "counts": "*fp32", "out": "*fp32"}  # fmt: skip
NUMBERS = {"B": "i32", "NODES": "i32", "ELEMENTS": "i32", "WIDTH": "i32", "TERMS": "i32", "OUTPUTS": "i32", "least": "fp32"}
#: Kernel → its entry among the tiles, and the names of their sides there.
KERNELS = {
    sum_forward: ("forward", ("BN", "BM", "BK")),
    element_flow: ("downward", ("BN", "BE", "BK")),
    edge_flow: ("edges", ("BK", "BM", "BE")),
}


def compiled(capability: int, precision: str) -> dict[str, list[str]]:
    """Kernel → the Tensor Core instructions in its PTX."""
    found = {}
    for kernel, (entry, sides) in KERNELS.items():
        *extents, warps = TILES[precision][entry]
        operand, multiply = PRECISIONS[precision]
        fixed = {
            **dict(zip(sides, extents, strict=True)),
            "OPERAND": operand,
            "PRECISION": multiply,
            "KEEP": True,
            "ADD": False,
        }
        fixed = {name: value for name, value in fixed.items() if name in kernel.arg_names}
        kinds = {n: NUMBERS.get(n) or POINTERS.get(n, "*i64") for n in kernel.arg_names}
        signature = {n: "constexpr" if n in fixed else kind for n, kind in kinds.items()}
        places = {(kernel.arg_names.index(n),): value for n, value in fixed.items()}
        source = ASTSource(kernel, signature, places)
        ptx = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps}).asm["ptx"]
        found[kernel.fn.__name__] = [name for name in ("mma.sync", "wgmma", "tcgen05.mma") if name in ptx]
    return found


if __name__ == "__main__":
    print(json.dumps({precision: compiled(int(sys.argv[1]), precision) for precision in PRECISIONS}))
