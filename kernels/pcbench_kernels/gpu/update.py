"""Launches of the M step, and of data that is laid out for a pass."""

from __future__ import annotations

from dataclasses import dataclass

import triton
from torch import Tensor

from ..fused import FusedEdges, FusedLeaves, FusedRows
from .em import categorical_em, edge_em, leaf_em, sum_em
from .encode import encode
from .tiles import EDGE_CELLS, LEAF_CELLS, PRECISIONS, TILES, Pass, power, side, warps


@dataclass(frozen=True, eq=False)
class Update:
    """What a launch of the M step needs beside parameters and counts.

    Attributes:
        rates: float32 ``[2]``: step size and pseudocount.
        wrong: int32 flag, raised where a total is not finite.
        least: mass below which a node keeps its parameters.
    """

    rates: Tensor
    wrong: Tensor
    least: float


def encode_data(data: Tensor, variables: Tensor, sets: Tensor, codes: Tensor, outside: Tensor, size: int) -> None:
    """Codes ``[uses, B]`` of integer data ``[B, V]`` on the GPU; raises ``outside`` for values that are no category."""
    rows = min(512, triton.next_power_of_2(len(data)))
    grid = (len(variables), triton.cdiv(len(data), rows))
    encode[grid](data, variables, sets, codes, outside, data.stride(0), data.stride(1), len(data), size, BN=rows)


def learn_edges(p: Pass, edges: FusedEdges, out: Tensor, rounded: Tensor | None, update: Update) -> None:
    """Counts and updates weights whose rows fit into a tile (``edges.learns``)."""
    most = TILES[p.precision]["edge em"]
    cols = side(edges.width, most.columns)
    nodes = side(edges.nodes, min(most.rows, EDGE_CELLS // cols))
    edge_em[(edges.runs, triton.cdiv(edges.nodes, nodes))](
        p.ratios,
        p.elements,
        p.weights,
        out,
        out if rounded is None else rounded,
        edges.run_start,
        edges.nodes_at,
        edges.elements_at,
        edges.weights_at,
        edges.offsets,
        edges.strides,
        edges.trainable,
        update.rates,
        update.wrong,
        p.size,
        edges.nodes,
        edges.width,
        update.least,
        BM=nodes,
        BE=cols,
        BK=side(p.size, most.inner),
        PRECISION=PRECISIONS[p.precision],
        ROUND=rounded is not None,
        ALIGNED=edges.aligned,
        num_warps=warps(nodes * cols, most.warps),
        num_stages=most.stages,
    )


def learn_categories(p: Pass, leaves: FusedLeaves, old: Tensor, out: Tensor, table: Tensor, update: Update) -> None:
    """Counts and updates leaves whose flows are stored, and their log table (``leaves.learns``)."""
    most = TILES[p.precision]["leaf em"]
    rows = side(leaves.categories, most.rows)
    cols = side(leaves.nodes, min(most.columns, LEAF_CELLS // rows))
    leaf_em[(leaves.runs, triton.cdiv(leaves.nodes, cols))](
        p.flows,
        p.codes[leaves.table],
        old,
        out,
        table,
        leaves.run_start,
        leaves.sets,
        leaves.uses,
        leaves.elements_at,
        leaves.offsets,
        leaves.strides,
        leaves.trainable,
        update.rates,
        update.wrong,
        p.size,
        leaves.nodes,
        leaves.categories,
        update.least,
        BC=rows,
        BN=cols,
        BK=side(p.size, most.inner),
        PRECISION=PRECISIONS[p.precision],
        ALIGNED=leaves.aligned,
        num_warps=warps(rows * cols, most.warps),
        num_stages=most.stages,
    )


def maximise_sums(
    weights: Tensor, counts: Tensor, base: int, rows: FusedRows, out: Tensor, rounded: Tensor | None, update: Update
) -> None:
    """M step of some rows of the flat ``weights``, of which ``rounded`` gets a copy in its own precision.

    ``counts``: flat, the first of them that of weight ``base``.
    """
    block = min(4096, triton.next_power_of_2(rows.longest))
    sum_em[(len(rows.at),)](
        weights,
        counts,
        rows.at,
        rows.lengths,
        rows.learns,
        rows.support,
        rows.support_at,
        out,
        out if rounded is None else rounded,
        update.wrong,
        update.rates,
        base,
        update.least,
        HOLES=rows.support is not None,
        ROUND=rounded is not None,
        BE=block,
        num_warps=1 if block <= 256 else 4,
    )


def maximise_categorical(leaves: Tensor, counts: Tensor, trainable: Tensor, out: Tensor, table: Tensor, update: Update) -> None:
    """M step of categorical leaves ``[P, C, N]`` and their log table ``[P, C+1, N]``."""
    sets, size, nodes = leaves.shape
    masses = counts[:, :-1].sum(1)
    cols = min(64, power(nodes))
    rows = min(64, power(size + 1))
    categorical_em[(sets, triton.cdiv(nodes, cols), triton.cdiv(size + 1, rows))](
        leaves,
        counts,
        masses,
        trainable,
        out,
        table,
        update.wrong,
        update.rates,
        size,
        nodes,
        update.least,
        BC=rows,
        BN=cols,
    )
