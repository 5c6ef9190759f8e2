"""Launches: tiles by rule, so that a program compiles a handful of kernels and nothing is tuned at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..fused import FusedLayer
from .backward import collect, edge_flow, element_flow
from .em import categorical_em, sum_em
from .forward import product_forward, sum_forward

#: Name → operands of the matrix products (accumulated in float32), and how float32 operands are multiplied.
PRECISIONS: dict[str, tuple[Any, str]] = {"fast": (tl.bfloat16, "tf32"), "exact": (tl.float32, "tf32x3")}
#: Below this a linear sum may have lost addends to underflow.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Pass:
    """Buffers of one evaluation of ``size`` samples.

    Attributes:
        size: samples ``B``.
        values, flows: flat, node-major: ``[nodes·B]``.
        scales: float64 ``[units, B]``.
        ratio: scratch for ``F / y``, as large as the widest layer needs.
        seeds: ``[B, outputs]``.
        weights: weight tables ``[P, N, E]``.
        lookups: log tables ``[P, C+1, N]``; codes: their flat rows ``[uses, B]`` int64.
        suspect: int32 ``[1]``, raised by a layer that lost mass to underflow.
        edge_counts, leaf_counts: expected counts, of the shapes of weights and lookups.
        precision: a key of :data:`PRECISIONS`.
    """

    size: int
    values: Tensor
    flows: Tensor
    scales: Tensor
    ratio: Tensor
    seeds: Tensor
    weights: tuple[Tensor, ...]
    lookups: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    suspect: Tensor
    edge_counts: tuple[Tensor, ...]
    leaf_counts: tuple[Tensor, ...]
    precision: str


def _tile(extent: int, most: int) -> int:
    return max(16, min(most, triton.next_power_of_2(extent)))


def _leaves(p: Pass, layer: FusedLayer) -> tuple[Tensor, Tensor, Tensor | None]:
    t = layer.leaf_table
    counts = p.leaf_counts[t or 0] if p.leaf_counts else None
    return p.lookups[t or 0], p.codes[t or 0], counts


def value_of(p: Pass, layer: FusedLayer) -> None:
    """Values and scales of one layer."""
    lookup, codes, _ = _leaves(p, layer)
    addresses = (layer.factor_start, layer.factors, layer.units, layer.use_start, layer.uses)
    place = (layer.first_node, layer.first_unit, p.size)
    if not layer.is_sum:
        rows, cols = _tile(p.size, 32), _tile(layer.width, 128)
        grid = (layer.groups * triton.cdiv(p.size, rows),)
        product_forward[grid](p.values, p.scales, lookup, codes, *addresses, *place, layer.width, BN=rows, BK=cols)
        return
    operand, precision = PRECISIONS[p.precision]
    exact = p.precision == "exact"
    rows, nodes, inner = _tile(p.size, 64), _tile(layer.nodes, 64 if exact else 128), _tile(layer.width, 32 if exact else 64)
    grid = (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, nodes))
    sum_forward[grid](
        p.values,
        p.scales,
        p.weights[layer.table],
        lookup,
        codes,
        *addresses,
        layer.sets,
        p.suspect,
        *place,
        layer.nodes,
        layer.width * layer.terms,
        layer.width,
        layer.terms,
        LEAST,
        BN=rows,
        BM=nodes,
        BK=inner,
        OPERAND=operand,
        PRECISION=precision,
        num_warps=4 if nodes <= 64 else 8,
    )


def flow_through(p: Pass, layer: FusedLayer, fresh: bool) -> None:
    """Flows of one layer: from its parents to its elements; expected counts of its edges and leaves are added.

    ``fresh``: edge counts of weights with one user are overwritten (shared ones and leaves must hold zeros).
    """
    lookup, codes, counts = _leaves(p, layer)
    rows = _tile(p.size, 32)
    wide = _tile(layer.nodes, 128)
    collect[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, wide))](
        p.values,
        p.flows,
        p.seeds,
        counts,
        codes,
        layer.pull_start,
        layer.pull_rows,
        layer.pull_widths,
        layer.pull_offsets,
        layer.seed_columns,
        layer.use_start,
        layer.uses,
        p.ratio if layer.is_sum else p.flows,
        layer.first_node,
        0 if layer.is_sum else layer.first_element,
        p.size,
        layer.nodes,
        p.seeds.shape[1],
        RATIO=layer.is_sum,
        BN=rows,
        BM=wide,
    )
    if layer.is_sum:
        _flow_through_sums(p, layer, lookup, codes, counts, fresh)


def _flow_through_sums(
    p: Pass, layer: FusedLayer, lookup: Tensor, codes: Tensor, counts: Tensor | None, fresh: bool
) -> None:
    operand, precision = PRECISIONS[p.precision]
    exact = p.precision == "exact"
    shared = (
        p.values,
        p.scales,
        p.weights[layer.table],
        lookup,
        codes,
        layer.factor_start,
        layer.factors,
        layer.units,
        layer.use_start,
        layer.uses,
        layer.sets,
        p.ratio,
    )
    shape = (p.size, layer.nodes, layer.width * layer.terms, layer.width, layer.terms)
    rows, cols = _tile(p.size, 64), _tile(layer.width, 64 if exact else 128)
    warps = 4 if cols <= 64 else 8
    element_flow[(layer.groups * triton.cdiv(p.size, rows), layer.terms * triton.cdiv(layer.width, cols))](
        *shared,
        p.flows,
        counts,
        layer.first_unit,
        layer.first_element,
        *shape,
        BN=rows,
        BE=cols,
        BK=_tile(layer.nodes, 32 if exact else 64),
        OPERAND=operand,
        PRECISION=precision,
        KEEP=layer.keep,
        num_warps=warps,
    )
    nodes = _tile(layer.nodes, 64 if exact else 128)
    edge_flow[(layer.groups * layer.terms * triton.cdiv(layer.width, cols), triton.cdiv(layer.nodes, nodes))](
        *shared,
        p.edge_counts[layer.table],
        layer.first_unit,
        *shape,
        BM=nodes,
        BE=cols,
        BK=_tile(p.size, 32),
        OPERAND=operand,
        PRECISION=precision,
        ADD=layer.shared or not fresh,
        num_warps=4 if nodes * cols <= 4096 else 8,
    )


def maximise_sums(
    weights: Tensor, flows: Tensor, trainable: Tensor, out: Tensor, wrong: Tensor, step: float, pseudocount: float, least: float
) -> None:
    """M step of a dense weight table ``[P, N, E]``; raises ``wrong`` where a total is not finite."""
    sets, nodes, elements = weights.shape
    block = min(4096, triton.next_power_of_2(elements))
    warps = 1 if block <= 256 else 4
    sum_em[(sets * nodes,)](
        weights, flows, trainable, out, wrong, nodes, elements, step, pseudocount, least, BE=block, num_warps=warps
    )


def maximise_categorical(
    leaves: Tensor,
    counts: Tensor,
    trainable: Tensor,
    out: Tensor,
    table: Tensor,
    wrong: Tensor,
    step: float,
    pseudocount: float,
    least: float,
) -> None:
    """M step of categorical leaves ``[P, C, N]`` and their log table ``[P, C+1, N]``."""
    sets, size, nodes = leaves.shape
    cols = min(64, triton.next_power_of_2(nodes))
    rows = min(64, triton.next_power_of_2(size))
    grid = (sets, triton.cdiv(nodes, cols))
    categorical_em[grid](
        leaves, counts, trainable, out, table, wrong, size, nodes, step, pseudocount, least, BC=rows, BN=cols, num_warps=4
    )


def flag(device: torch.device) -> Tensor:
    """A lowered flag."""
    return torch.zeros(1, dtype=torch.int32, device=device)
