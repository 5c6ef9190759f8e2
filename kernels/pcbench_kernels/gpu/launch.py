"""Launches: tiles by rule, so that a program compiles a handful of kernels and nothing is tuned at run time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from ..fused import FusedEdges, FusedLayer, FusedLeaves, FusedRows
from .backward import edge_flow, flow_ratio, leaf_counts, narrow_sum_flow, product_flow, wide_sum_flow
from .em import categorical_em, sum_em
from .encode import encode
from .forward import narrow_sum_forward, product_forward, wide_sum_forward


class Tile(NamedTuple):
    """Most rows, columns and inner extent of a kernel's tile, its warps, and how many tiles are loaded ahead."""

    rows: int
    columns: int
    inner: int
    warps: int
    stages: int


#: Precision → how float32 operands are multiplied; those of the fast path are bfloat16.
PRECISIONS: dict[str, str] = {"fast": "tf32", "exact": "tf32x3"}
#: Precision → kernel → its tile; found by a sweep (tests/bench/gpu_speed.py --sweep).
TILES: dict[str, dict[str, Tile]] = {
    "fast": {
        "narrow forward": Tile(32, 64, 256, 8, 1),
        "wide forward": Tile(64, 128, 64, 4, 4),
        "narrow flow": Tile(32, 256, 64, 8, 1),
        "wide flow": Tile(64, 128, 64, 4, 4),
        "edges": Tile(128, 128, 64, 8, 4),
        "leaves": Tile(128, 128, 64, 8, 3),
    },
    "exact": {
        "narrow forward": Tile(16, 32, 256, 4, 1),
        "wide forward": Tile(64, 64, 32, 4, 2),
        "narrow flow": Tile(16, 256, 32, 4, 1),
        "wide flow": Tile(64, 64, 32, 4, 2),
        "edges": Tile(64, 64, 32, 8, 2),
        "leaves": Tile(64, 64, 32, 4, 2),
    },
}
#: Programs that keep the largest GPUs busy: two for each of some 130 multiprocessors.
FILL = 264
#: Below this a linear sum may have lost addends to underflow.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Pass:
    """Buffers of one evaluation of ``size`` samples.

    Attributes:
        size: samples ``B``.
        values, ratios: flat, node-major: ``[nodes·B]``, log values of units, and flows by value of sum nodes.
        elements, flows: flat: what sums multiply their weights with, and its flows.
        scales: float64 ``[units, B]``.
        seeds: ``[B, outputs]``.
        weights, edge_counts: flat, float32: all weight tables one after the other.
        operands: the weights as matrix products read them.
        lookups: log tables ``[P, C+1, N]``; codes: their flat rows ``[uses, B]`` int64.
        suspect: int32 flag, raised by a layer that lost mass to underflow.
        leaf_counts: expected counts, of the shapes of lookups; none where no downward pass follows.
        precision: a key of :data:`PRECISIONS`.
    """

    size: int
    values: Tensor
    ratios: Tensor
    elements: Tensor
    flows: Tensor
    scales: Tensor
    seeds: Tensor
    weights: Tensor
    edge_counts: Tensor
    operands: Tensor
    lookups: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    suspect: Tensor
    leaf_counts: tuple[Tensor, ...]
    precision: str


def _tile(extent: int, most: int) -> int:
    return max(16, min(most, int(triton.next_power_of_2(extent))))


def _leaves(p: Pass, layer: FusedLayer) -> tuple[Tensor, Tensor, Tensor | None]:
    t = layer.leaf_table or 0
    return p.lookups[t], p.codes[t], p.leaf_counts[t] if p.leaf_counts else None


@cache
def _starts_early(device: torch.device) -> bool:
    """Whether a launch may begin before the one before it has ended (from compute capability 9.0)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)


def _early(p: Pass) -> dict[str, bool]:
    early = _starts_early(p.values.device)
    return {"EARLY": early, "launch_pdl": True} if early else {"EARLY": False}


def _warps(cells: int, most: int) -> int:
    return min(most, 4 if cells <= 4096 else 8)


def value_of(p: Pass, layer: FusedLayer) -> None:
    """Values and scales of one layer."""
    if layer.is_sum and layer.narrow:
        _narrow_forward(p, layer)
        return
    _products(p, layer)
    if layer.is_sum:
        _wide_forward(p, layer)


def _products(p: Pass, layer: FusedLayer) -> None:
    lookup, codes, _ = _leaves(p, layer)
    cols = _tile(layer.width, 1024)
    # Few terms are cut into more programs, down to two samples each: all of the chip has to be busy.
    rows = min(4096 // cols, max(2, int(triton.next_power_of_2(layer.terms * p.size // FILL + 1))))
    product_forward[(layer.terms * triton.cdiv(p.size, rows),)](
        p.values,
        p.scales,
        p.elements,
        lookup,
        codes,
        layer.factor_start,
        layer.factors,
        layer.units,
        layer.use_start,
        layer.uses,
        layer.group_of,
        layer.term_start,
        layer.term_units,
        layer.elements_at if layer.is_sum else layer.nodes_at,
        p.size,
        layer.width,
        BN=rows,
        BK=cols,
        LINEAR=layer.is_sum,
        **_early(p),
    )


def _narrow_forward(p: Pass, layer: FusedLayer) -> None:
    lookup, codes, _ = _leaves(p, layer)
    most = TILES[p.precision]["narrow forward"]
    rows, nodes, inner = _tile(p.size, most.rows), _tile(layer.nodes, most.columns), _tile(layer.width, most.inner)
    narrow_sum_forward[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, nodes))](
        p.values,
        p.scales,
        p.elements,
        p.operands,
        lookup,
        codes,
        layer.factor_start,
        layer.factors,
        layer.units,
        layer.use_start,
        layer.uses,
        layer.weights_at,
        layer.nodes_at,
        layer.units_at,
        layer.elements_at,
        p.suspect,
        p.size,
        layer.nodes,
        layer.width,
        LEAST,
        BN=rows,
        BM=nodes,
        BK=inner,
        PRECISION=PRECISIONS[p.precision],
        KEEP=bool(p.leaf_counts),
        ALIGNED=layer.aligned,
        num_warps=_warps(rows * inner, most.warps),
        num_stages=most.stages,
        **_early(p),
    )


def _wide_forward(p: Pass, layer: FusedLayer) -> None:
    most = TILES[p.precision]["wide forward"]
    rows, nodes, inner = _tile(p.size, most.rows), _tile(layer.nodes, most.columns), _tile(layer.width, most.inner)
    wide_sum_forward[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, nodes))](
        p.values,
        p.scales,
        p.elements,
        p.operands,
        layer.weights_at,
        layer.nodes_at,
        layer.units_at,
        layer.elements_at,
        layer.term_start,
        layer.term_units,
        p.suspect,
        p.size,
        layer.nodes,
        layer.width,
        LEAST,
        BN=rows,
        BM=nodes,
        BK=inner,
        PRECISION=PRECISIONS[p.precision],
        MANY=layer.terms > layer.groups,
        ALIGNED=layer.aligned,
        num_warps=most.warps,
        num_stages=most.stages,
        **_early(p),
    )


def _parents(p: Pass, layer: FusedLayer) -> tuple[Tensor, ...]:
    pulls = (layer.pull_start, layer.pull_rows, layer.pull_widths, layer.pull_offsets)
    return (p.flows, p.seeds, *pulls, layer.seed_columns)


def flow_through(p: Pass, layer: FusedLayer) -> None:
    """Flows of one layer, from its parents to its elements; expected counts of its leaves are added."""
    if not layer.is_sum:
        _product_flow(p, layer)
    elif layer.narrow:
        _narrow_flow(p, layer)
    else:
        _flow_ratio(p, layer)
        _wide_flow(p, layer)


def _product_flow(p: Pass, layer: FusedLayer) -> None:
    _, codes, counts = _leaves(p, layer)
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
        p.seeds.shape[1],
        BN=rows,
        BM=cols,
        PULLS=layer.pulls_aligned,
        SCATTER=layer.scatter,
        **_early(p),
    )


def _narrow_flow(p: Pass, layer: FusedLayer) -> None:
    _, codes, counts = _leaves(p, layer)
    most = TILES[p.precision]["narrow flow"]
    rows, nodes, cols = _tile(p.size, most.rows), _tile(layer.nodes, most.columns), _tile(layer.width, most.inner)
    narrow_sum_flow[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.width, cols))](
        p.values,
        p.ratios,
        p.elements,
        p.operands,
        layer.weights_at,
        codes,
        layer.use_start,
        layer.uses,
        counts,
        *_parents(p, layer),
        layer.nodes_at,
        layer.elements_at,
        p.size,
        layer.nodes,
        layer.width,
        p.seeds.shape[1],
        BN=rows,
        BM=nodes,
        BE=cols,
        PRECISION=PRECISIONS[p.precision],
        KEEP=layer.keep,
        ALIGNED=layer.aligned,
        num_warps=_warps(rows * nodes, most.warps),
        num_stages=most.stages,
        PULLS=layer.pulls_aligned,
        SCATTER=layer.scatter,
        **_early(p),
    )


def _flow_ratio(p: Pass, layer: FusedLayer) -> None:
    rows, cols = _tile(p.size, 32), _tile(layer.nodes, 128)
    flow_ratio[(layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, cols))](
        p.values,
        p.ratios,
        *_parents(p, layer),
        layer.nodes_at,
        p.size,
        layer.nodes,
        p.seeds.shape[1],
        BN=rows,
        BM=cols,
        PULLS=layer.pulls_aligned,
        **_early(p),
    )


def _wide_flow(p: Pass, layer: FusedLayer) -> None:
    _, codes, counts = _leaves(p, layer)
    most = TILES[p.precision]["wide flow"]
    rows, cols, inner = _tile(p.size, most.rows), _tile(layer.width, most.columns), _tile(layer.nodes, most.inner)
    wide_sum_flow[(layer.terms * triton.cdiv(p.size, rows), triton.cdiv(layer.width, cols))](
        p.ratios,
        p.scales,
        p.elements,
        p.operands,
        layer.weights_at,
        codes,
        layer.use_start,
        layer.uses,
        counts,
        p.flows,
        layer.nodes_at,
        layer.units_at,
        layer.elements_at,
        layer.group_of,
        layer.term_start,
        layer.term_units,
        p.size,
        layer.nodes,
        layer.width,
        BN=rows,
        BE=cols,
        BK=inner,
        PRECISION=PRECISIONS[p.precision],
        KEEP=layer.keep,
        MANY=layer.terms > layer.groups,
        ALIGNED=layer.aligned,
        num_warps=most.warps,
        num_stages=most.stages,
        SCATTER=layer.scatter,
        **_early(p),
    )


def count_edges(p: Pass, edges: FusedEdges, fresh: bool) -> None:
    """Expected counts of edges, once all flows are there.

    ``fresh``: counts of weights with one user are overwritten (shared ones must hold zeros).
    """
    most = TILES[p.precision]["edges"]
    nodes, cols = _tile(edges.nodes, most.rows), _tile(edges.width, most.columns)
    edge_flow[(edges.runs * triton.cdiv(edges.width, cols), triton.cdiv(edges.nodes, nodes))](
        p.ratios,
        p.elements,
        p.weights,
        p.edge_counts,
        edges.run_start,
        edges.nodes_at,
        edges.elements_at,
        edges.offsets,
        edges.strides,
        edges.weights_at,
        p.size,
        edges.nodes,
        edges.width,
        BM=nodes,
        BE=cols,
        BK=_tile(p.size, most.inner),
        PRECISION=PRECISIONS[p.precision],
        ADD=edges.shared or not fresh,
        ALIGNED=edges.aligned,
        num_warps=_warps(nodes * cols, most.warps),
        num_stages=most.stages,
    )


def count_categories(p: Pass, leaves: FusedLeaves, fresh: bool) -> None:
    """Expected counts of leaves whose flows are stored; ``fresh``: overwritten, otherwise added to."""
    most = TILES[p.precision]["leaves"]
    rows, cols = _tile(leaves.categories, most.rows), _tile(leaves.nodes, most.columns)
    leaf_counts[(leaves.runs * triton.cdiv(leaves.categories, rows), triton.cdiv(leaves.nodes, cols))](
        p.flows,
        p.codes[leaves.table],
        p.leaf_counts[leaves.table],
        leaves.run_start,
        leaves.sets,
        leaves.uses,
        leaves.elements_at,
        leaves.offsets,
        leaves.strides,
        p.size,
        leaves.nodes,
        leaves.categories,
        BC=rows,
        BN=cols,
        BK=_tile(p.size, most.inner),
        PRECISION=PRECISIONS[p.precision],
        ADD=not fresh,
        ALIGNED=leaves.aligned,
        num_warps=_warps(rows * cols, most.warps),
        num_stages=most.stages,
    )


def encode_data(data: Tensor, variables: Tensor, sets: Tensor, codes: Tensor, outside: Tensor, size: int) -> None:
    """Codes ``[uses, B]`` of integer data ``[B, V]`` on the GPU; raises ``outside`` for values that are no category."""
    rows = min(512, triton.next_power_of_2(len(data)))
    grid = (len(variables), triton.cdiv(len(data), rows))
    encode[grid](data, variables, sets, codes, outside, data.stride(0), data.stride(1), len(data), size, BN=rows)


def maximise_sums(
    weights: Tensor,
    flows: Tensor,
    rows: FusedRows,
    out: Tensor,
    rounded: Tensor | None,
    wrong: Tensor,
    step: float,
    pseudocount: float,
    least: float,
) -> None:
    """M step of some rows of the flat ``weights``, of which ``rounded`` gets a copy in its own precision.

    Raises the flag ``wrong`` where a total is not finite.
    """
    block = min(4096, triton.next_power_of_2(rows.longest))
    sum_em[(len(rows.at),)](
        weights,
        flows,
        rows.at,
        rows.lengths,
        rows.learns,
        rows.support,
        rows.support_at,
        out,
        out if rounded is None else rounded,
        wrong,
        step,
        pseudocount,
        least,
        HOLES=rows.support is not None,
        ROUND=rounded is not None,
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
