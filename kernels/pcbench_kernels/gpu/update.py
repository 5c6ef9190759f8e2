"""Launches of the M step of sums, and of leaves whose counts are in memory."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedEdges, FusedRows
from .em import categorical_em, edge_em, hold_back, sum_em, take_over
from .launching import launch
from .tiles import EDGE_CELLS, PRECISIONS, TILES, Pass, Update, power, side, warps


def learn_edges(p: Pass, edges: FusedEdges, out: Tensor, rounded: Tensor | None, update: Update) -> None:
    """Counts and updates weights whose rows fit into a tile (``edges.learns``)."""
    most = TILES[p.precision]["edge em"]
    cols = side(edges.width, most.columns)
    nodes = side(edges.nodes, min(most.rows, EDGE_CELLS // cols))
    pair = cols >= 128
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
        update.rates,
        update.wrong,
        update.hold,
        p.size,
        edges.nodes,
        edges.width,
        update.least,
        BM=nodes,
        BE=cols // 2 if pair else cols,
        BK=side(p.size, most.inner),
        PAIR=pair,
        PRECISION=PRECISIONS[p.precision],
        ROUND=rounded is not None,
        ALIGNED=edges.aligned,
        num_warps=warps(nodes * cols // 4, most.warps),
        num_stages=most.stages,
    )


def hold(report: Tensor, flags: Tensor, update: Update) -> None:
    """Raises ``update.hold`` where one of two ``flags`` is up, or a log-likelihood of the flat ``report`` is not finite."""
    count = len(report)
    launch(hold_back, (1,))(report, flags, update.hold, count, BLOCK=min(1024, power(count)))


def maximise_sums(
    weights: Tensor, counts: Tensor, base: int, rows: FusedRows, out: Tensor, rounded: Tensor | None, update: Update
) -> None:
    """M step of some rows of the flat ``weights``, of which ``rounded`` gets a copy in its own precision.

    ``counts``: flat, the first of them that of weight ``base``.
    """
    block = min(4096, triton.next_power_of_2(rows.longest))
    launch(sum_em, (len(rows.at),))(
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
