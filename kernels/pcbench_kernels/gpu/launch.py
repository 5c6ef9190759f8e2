"""Launches: tiles by rule, so that a program compiles a handful of kernels and nothing is tuned at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from ..fused import FusedLayer
from .backward import edge_flow, element_flow, product_flow
from .em import categorical_em, sum_em
from .encode import encode
from .forward import product_forward, sum_forward

#: Name → operands of the matrix products (accumulated in float32), and how float32 operands are multiplied.
PRECISIONS: dict[str, tuple[Any, str]] = {"fast": (tl.bfloat16, "tf32"), "exact": (tl.float32, "tf32x3")}
#: Precision → kernel → most samples, nodes and elements of a tile in the kernel's own order, and most warps; the fast ones
#: were found by a sweep (tests/bench/gpu_speed.py --sweep).
TILES: dict[str, dict[str, tuple[int, int, int, int]]] = {
    "fast": {"forward": (32, 256, 64, 8), "downward": (64, 128, 64, 8), "edges": (64, 128, 128, 8)},
    "exact": {"forward": (64, 64, 32, 4), "downward": (64, 64, 32, 4), "edges": (32, 64, 64, 8)},
}
#: Below this a linear sum may have lost addends to underflow.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Pass:
    """Buffers of one evaluation of ``size`` samples.

    Attributes:
        size: samples ``B``.
        values, flows: flat, node-major: ``[nodes·B]``.
        scales: float64 ``[units, B]``.
        seeds: ``[B, outputs]``.
        weights: weight tables ``[P, N, E]``.
        lookups: log tables ``[P, C+1, N]``; codes: their flat rows ``[uses, B]`` int64.
        suspect: int32 flag, raised by a layer that lost mass to underflow.
        edge_counts, leaf_counts: expected counts, of the shapes of weights and lookups.
        precision: a key of :data:`PRECISIONS`.
    """

    size: int
    values: Tensor
    flows: Tensor
    scales: Tensor
    seeds: Tensor
    weights: tuple[Tensor, ...]
    lookups: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    suspect: Tensor
    edge_counts: tuple[Tensor, ...]
    leaf_counts: tuple[Tensor, ...]
    precision: str


def _tile(extent: int, most: int) -> int:
    return max(16, min(most, int(triton.next_power_of_2(extent))))


def _leaves(p: Pass, layer: FusedLayer) -> tuple[Tensor, Tensor, Tensor | None]:
    t = layer.leaf_table
    counts = p.leaf_counts[t or 0] if p.leaf_counts else None
    return p.lookups[t or 0], p.codes[t or 0], counts


def _warps(cells: int, most: int) -> int:
    return min(most, 4 if cells <= 4096 else 8)


def value_of(p: Pass, layer: FusedLayer) -> None:
    """Values and scales of one layer."""
    lookup, codes, _ = _leaves(p, layer)
    if not layer.is_sum:
        rows, cols = _tile(p.size, 32), _tile(layer.width, 128)
        product_forward[(layer.groups * triton.cdiv(p.size, rows),)](
            p.values,
            p.scales,
            lookup,
            codes,
            *_terms(layer),
            layer.nodes_at,
            layer.units_at,
            p.size,
            layer.width,
            BN=rows,
            BK=cols,
        )
        return
    operand, precision = PRECISIONS[p.precision]
    most = TILES[p.precision]["forward"]
    rows, nodes, inner = _tile(p.size, most[0]), _tile(layer.nodes, most[1]), _tile(layer.width, most[2])
    grid = (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, nodes))
    sum_forward[grid](
        *_children(p, layer, lookup, codes),
        p.suspect,
        layer.nodes_at,
        layer.units_at,
        *_extents(p, layer),
        LEAST,
        BN=rows,
        BM=nodes,
        BK=inner,
        OPERAND=operand,
        PRECISION=precision,
        num_warps=_warps(rows * nodes, most[3]),
    )


def _parents(p: Pass, layer: FusedLayer) -> tuple[Tensor, ...]:
    pulls = (layer.pull_start, layer.pull_rows, layer.pull_widths, layer.pull_offsets)
    return (p.flows, p.seeds, *pulls, layer.seed_columns)


def _terms(layer: FusedLayer) -> tuple[Tensor, ...]:
    return (layer.factor_start, layer.factors, layer.units, layer.use_start, layer.uses)


def _children(p: Pass, layer: FusedLayer, lookup: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
    return (p.values, p.scales, p.weights[layer.table], lookup, codes, *_terms(layer), layer.sets)


def _extents(p: Pass, layer: FusedLayer) -> tuple[int, ...]:
    return (p.size, layer.nodes, layer.width * layer.terms, layer.width, layer.terms)


def flow_through(p: Pass, layer: FusedLayer) -> None:
    """Flows of one layer, from its parents to its elements; expected counts of its leaves are added."""
    lookup, codes, counts = _leaves(p, layer)
    outputs = p.seeds.shape[1]
    if not layer.is_sum:
        rows, cols = _tile(p.size, 32), _tile(layer.nodes, 128)
        product_flow[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, cols))](
            *_parents(p, layer),
            counts,
            codes,
            layer.use_start,
            layer.uses,
            layer.elements_at,
            p.size,
            layer.nodes,
            outputs,
            BN=rows,
            BM=cols,
        )
        return
    operand, precision = PRECISIONS[p.precision]
    most = TILES[p.precision]["downward"]
    rows, cols = _tile(p.size, most[0]), _tile(layer.width, most[1])
    element_flow[(layer.groups * triton.cdiv(p.size, rows), layer.terms * triton.cdiv(layer.width, cols))](
        *_children(p, layer, lookup, codes),
        *_parents(p, layer),
        layer.nodes_at,
        layer.units_at,
        counts,
        layer.elements_at,
        *_extents(p, layer),
        outputs,
        BN=rows,
        BE=cols,
        BK=_tile(layer.nodes, most[2]),
        OPERAND=operand,
        PRECISION=precision,
        KEEP=layer.keep,
        num_warps=_warps(rows * cols, most[3]),
    )


def count_edges(p: Pass, layer: FusedLayer, fresh: bool) -> None:
    """Expected counts of the edges of merged sum layers, once all flows are there.

    ``fresh``: counts of weights with one user are overwritten (shared ones must hold zeros).
    """
    lookup, codes, _ = _leaves(p, layer)
    operand, precision = PRECISIONS[p.precision]
    most = TILES[p.precision]["edges"]
    nodes, cols = _tile(layer.nodes, most[1]), _tile(layer.width, most[2])
    edge_flow[(layer.runs * layer.terms * triton.cdiv(layer.width, cols), triton.cdiv(layer.nodes, nodes))](
        *_children(p, layer, lookup, codes),
        *_parents(p, layer),
        layer.nodes_at,
        layer.units_at,
        layer.run_start,
        p.edge_counts[layer.table],
        *_extents(p, layer),
        p.seeds.shape[1],
        BM=nodes,
        BE=cols,
        BK=_tile(p.size, most[0]),
        OPERAND=operand,
        PRECISION=precision,
        ADD=layer.shared or not fresh,
        num_warps=_warps(nodes * cols, most[3]),
    )


def encode_data(data: Tensor, variables: Tensor, sets: Tensor, codes: Tensor, outside: Tensor, size: int) -> None:
    """Codes ``[uses, B]`` of integer data ``[B, V]`` on the GPU; raises ``outside`` for values that are no category."""
    rows = min(512, triton.next_power_of_2(len(data)))
    grid = (len(variables), triton.cdiv(len(data), rows))
    encode[grid](data, variables, sets, codes, outside, data.stride(0), data.stride(1), len(data), size, BN=rows)


def maximise_sums(
    weights: Tensor,
    flows: Tensor,
    support: Tensor | None,
    trainable: Tensor,
    out: Tensor,
    wrong: Tensor,
    step: float,
    pseudocount: float,
    least: float,
) -> None:
    """M step of a dense weight table ``[P, N, E]``, with holes where ``support`` ``[N, E]`` is false.

    Raises the flag ``wrong`` where a total is not finite.
    """
    sets, nodes, elements = weights.shape
    block = min(4096, triton.next_power_of_2(elements))
    sum_em[(sets * nodes,)](
        weights,
        flows,
        trainable if support is None else support,
        trainable,
        out,
        wrong,
        nodes,
        elements,
        step,
        pseudocount,
        least,
        HOLES=support is not None,
        BE=block,
        num_warps=1 if block <= 256 else 4,
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
    masses = counts[:, :-1].sum(1)
    cols = min(64, triton.next_power_of_2(nodes))
    rows = min(64, triton.next_power_of_2(size + 1))
    categorical_em[(sets, triton.cdiv(nodes, cols), triton.cdiv(size + 1, rows))](
        leaves,
        counts,
        masses,
        trainable,
        out,
        table,
        wrong,
        size,
        nodes,
        step,
        pseudocount,
        least,
        BC=rows,
        BN=cols,
    )
