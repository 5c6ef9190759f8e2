"""Which layers a GPU would give to its Tensor Cores, and why not the others."""

from __future__ import annotations

from dataclasses import replace

import torch

from pcbench_kernels import Choice
from pcbench_kernels.cpu import SUM_VARIANTS

from .fuse import why_not_fused
from .group import WASTE
from .layers import Layer, SumLayer, SumTable
from .program import Program

#: Least side of a tile of a matrix product on Tensor Cores; smaller matrices are filled up to it.
SIDE = 16


def tensor_cores(program: Program) -> list[tuple[bool, str]]:
    """For each layer whether its products run on Tensor Cores, and why; of a CPU's program, what a GPU would do with it."""
    here = program.device.type == "cuda"
    lead = "" if here else "on a GPU: "
    if here and program.fused is not None:
        reason: str | None = None
    elif here and program.unfused:
        reason = program.unfused
    elif program.dtype != torch.float32:
        reason = "float64 programs run exactly, by PyTorch's own kernels"
    else:
        reason = why_not_fused(program.layers, tuple(_on_gpu(t) for t in program.sum_tables))
    precision = "fast" if program.fused is None else program.fused.precision
    return [_of_layer(layer, reason, precision, lead) for layer in program.layers]


def _of_layer(layer: Layer, reason: str | None, precision: str, lead: str) -> tuple[bool, str]:
    if not isinstance(layer, SumLayer):
        what = "leaves are looked up or computed" if layer.kind == "input" else "products add logarithms"
        return False, f"{what}; no matrix is multiplied"
    if reason is not None:
        return False, f"{lead}PyTorch's kernels run this program, in full precision: {reason}"
    operands = "bfloat16 products" if precision == "fast" else "three TF32 products"
    width = layer.terms[0].width
    text = f"{lead}{operands} of {layer.nodes} × {width} weights"
    thin = [f"{extent} {what}" for extent, what in ((layer.nodes, "nodes"), (width, "elements")) if extent < SIDE]
    if thin:
        text += f"; {' and '.join(thin)} fill only part of a tile of {SIDE}"
    return True, text


def _on_gpu(table: SumTable) -> SumTable:
    """The table with the kernel that it would have there, where zeros are cheaper."""
    if table.choice.kernel.name == "dense":
        return table
    pattern = replace(table.pattern, waste=WASTE["cuda"])
    first = next(v for v in SUM_VARIANTS if v.rejects(pattern) is None)
    if first.name != "dense":
        return table
    # Only its name is asked for: a mask of a large matrix would take a second.
    return replace(table, choice=Choice(first.make(replace(pattern, nodes=1, elements=1, rows=None, cols=None)), "", ()))
