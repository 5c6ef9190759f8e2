"""Launches of the M step of sums, and of leaves whose counts are in memory."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedEdges, FusedRows
from .em import categorical_em, edge_em, sum_em, take_over
from .launching import launch
from .tiles import EDGE_CELLS, EDGE_ROW, PRECISIONS, TILES, WEIGHT_ROWS, Pass, Update, edge_cells, power, side, stages, warps

#: Weights that a program updates from counts in memory at once, and most of them of one node.
ROW_CELLS, ROW = 1024, 256


def learn_edges(p: Pass, edges: FusedEdges, out: Tensor, rounded: Tensor | None, update: Update) -> None:
    """Counts and updates weights whose rows fit into a tile (``edges.learns``)."""
    most = TILES[p.precision]["edge em"]
    cols = side(edges.width, most.columns)
    nodes, full = _rows(edges, cols, most.rows, edge_cells(p.weights.device))
    pair, inner = cols >= 128, side(p.size, most.inner if cols <= EDGE_ROW else most.inner // 2)
    launch(edge_em, (edges.runs, triton.cdiv(edges.nodes, nodes)))(
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
        edges.support,
        edges.support_at,
        update.rates,
        update.wrong,
        update.hold,
        p.size,
        edges.nodes,
        edges.width,
        update.least,
        BM=nodes,
        BE=cols // 2 if pair else cols,
        BK=inner,
        PAIR=pair,
        PRECISION=PRECISIONS[p.precision],
        ROUND=rounded is not None,
        ALIGNED=edges.aligned,
        FULL=full,
        HOLES=edges.support is not None,
        num_warps=most.warps if nodes * cols > EDGE_CELLS else warps(nodes * cols // 4),
        num_stages=stages(p, nodes, cols, inner, most.stages),
    )


def _rows(edges: FusedEdges, cols: int, most: int, cells: int) -> tuple[int, bool]:
    """Nodes of a program, and whether they and their weights fill its tile; masks take registers that a large one has not."""
    nodes = side(edges.nodes, min(most, cells // cols))
    if edges.nodes % nodes == 0 and edges.width == cols:
        return nodes, True
    return side(edges.nodes, min(most, WEIGHT_ROWS, EDGE_CELLS // cols)), False


def maximise_sums(
    weights: Tensor, counts: Tensor, base: int, rows: FusedRows, out: Tensor, rounded: Tensor | None, update: Update
) -> None:
    """M step of some rows of the flat ``weights``, of which ``rounded`` gets a copy in its own precision.

    ``counts``: flat, the first of them that of weight ``base``.
    """
    cols = side(rows.longest, ROW)
    several = max(1, ROW_CELLS // cols)
    launch(sum_em, (triton.cdiv(len(rows.at), several),))(
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
        update.hold,
        update.rates,
        len(rows.at),
        base,
        update.least,
        HOLES=rows.support is not None,
        ROUND=rounded is not None,
        BR=several,
        BE=cols,
        ALIGNED=rows.aligned and base % 16 == 0,
    )


def maximise_categorical(leaves: Tensor, counts: Tensor, trainable: Tensor, out: Tensor, table: Tensor, update: Update) -> None:
    """M step of categorical leaves ``[P, C, N]`` and their log table ``[P, C+1, N]``."""
    sets, size, nodes = leaves.shape
    masses = counts[:, :-1].sum(1)
    cols = min(64, power(nodes))
    rows = min(64, power(size + 1))
    launch(categorical_em, (sets, triton.cdiv(nodes, cols), triton.cdiv(size + 1, rows)))(
        leaves,
        counts,
        masses,
        trainable,
        out,
        table,
        update.wrong,
        update.hold,
        update.rates,
        size,
        nodes,
        update.least,
        BC=rows,
        BN=cols,
    )


def replace_parameters(fresh: Tensor, learns: Tensor, old: Tensor, out: Tensor) -> None:
    """``out`` ``[P, S, N]``: ``fresh`` where ``learns`` (booleans ``[P, N]``), otherwise ``old``, which may be ``out``."""
    sets, size, nodes = out.shape
    count = sets * size * nodes
    launch(take_over, (triton.cdiv(count, 1024),))(fresh, learns, old, out, count, nodes, size * nodes, BLOCK=1024)
