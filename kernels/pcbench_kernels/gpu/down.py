"""Launches of the downward pass, and of expected counts of edges."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedEdges, FusedLayer
from .backward import flow_ratio, narrow_sum_flow, product_flow, wide_sum_flow
from .edges import edge_flow
from .launching import launch
from .tiles import (
    FILL,
    PRECISIONS,
    TILES,
    WEIGHT_ROWS,
    Pass,
    by_groups,
    early,
    limited,
    links_of,
    narrow_tiles,
    on_chip,
    power,
    side,
    stages,
    warps,
)


def flow_through(p: Pass, layer: FusedLayer) -> None:
    """Flows of one launch's blocks, from their parents to their elements."""
    if not layer.is_sum:
        _product_flow(p, layer)
    elif on_chip(p.size, layer):
        _narrow_flow(p, layer)
    else:
        _flow_ratio(p, layer)
        _wide_flow(p, layer)


def _parents(p: Pass, layer: FusedLayer) -> tuple[Tensor, ...]:
    return (p.flows, p.seeds, layer.pull_rows, layer.pull_widths, layer.pull_offsets, layer.seed_columns)


def _pulls(layer: FusedLayer) -> dict[str, int | bool]:
    return {"PARENTS": layer.pull_rows.shape[1], "ROOTS": layer.roots, "PULLS": layer.pulls_aligned}


def _product_flow(p: Pass, layer: FusedLayer) -> None:
    rows, cols = side(p.size, 32), side(layer.nodes, 128)
    launch(product_flow, (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, cols)))(
        *_parents(p, layer),
        layer.elements_at,
        p.size,
        layer.nodes,
        p.seeds.shape[1],
        BN=rows,
        BM=cols,
        **_pulls(layer),
        **early(p),
    )


def _narrow_flow(p: Pass, layer: FusedLayer) -> None:
    nodes = side(layer.nodes, 512)
    cols = side(layer.width, WEIGHT_ROWS)
    rows, span = narrow_tiles(p, layer, nodes, layer.width)
    sharing = triton.cdiv(layer.width, span)  # where there are several, tiles of a level are fewer than FILL
    links, columns = links_of(layer, down=True)
    # Beside what a chain needs, operands stay in registers where no groups of warps multiply.
    lavish = layer.pull_rows.shape[1] > 4 or (layer.chain is not None and not by_groups(p.values.device))
    launch(narrow_sum_flow, (layer.groups * triton.cdiv(p.size, rows) * sharing,))(
        p.values,
        p.ratios,
        p.tickets[FILL * layer.place :],
        p.elements,
        p.operands,
        layer.weights_at,
        *_parents(p, layer),
        layer.nodes_at,
        layer.elements_at,
        *links,
        p.done[len(p.done) // 2 + FILL * layer.place :],
        p.size,
        layer.nodes,
        layer.width,
        p.seeds.shape[1],
        SPAN=span,
        BN=rows,
        BM=nodes,
        BE=cols,
        PRECISION=PRECISIONS[p.precision],
        KEEP=layer.keep,
        ALIGNED=layer.aligned,
        **_pulls(layer),
        SHARED=sharing > 1,
        **columns,
        num_warps=warps(max(rows, cols // 2) * nodes),
        num_stages=1,
        **limited(p, nodes, lavish),
        **early(p),
    )


def _flow_ratio(p: Pass, layer: FusedLayer) -> None:
    cols = side(layer.nodes, 128)
    rows = min(power(p.size), 32 if layer.pull_rows.shape[1] <= 4 else 1024 // cols)  # what parents send takes registers
    launch(flow_ratio, (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, cols)))(
        p.values,
        p.ratios,
        p.scales,
        *_parents(p, layer),
        layer.nodes_at,
        layer.ratios_at,
        layer.units_at,
        layer.term_start,
        layer.term_units,
        layer.seen,
        p.size,
        layer.nodes,
        p.seeds.shape[1],
        BN=rows,
        BM=cols,
        HOLES=layer.holes,
        **_pulls(layer),
        **early(p),
    )


def _wide_flow(p: Pass, layer: FusedLayer) -> None:
    most = TILES[p.precision]["wide flow"]
    rows, cols, inner = side(p.size, most.rows), side(layer.width, most.columns), side(layer.nodes, most.inner)
    launch(wide_sum_flow, (layer.terms * triton.cdiv(p.size, rows), triton.cdiv(layer.width, cols)))(
        p.ratios,
        p.scales,
        p.elements,
        p.operands,
        layer.weights_at,
        p.flows,
        layer.ratios_at,
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
        MANY=layer.many,
        HOLES=layer.holes,
        FULL=layer.width % cols == 0 and layer.nodes % inner == 0,
        ALIGNED=layer.aligned,
        num_warps=most.warps,
        num_stages=stages(p, rows, cols, inner, min(most.stages, triton.cdiv(layer.nodes, inner))),
        **early(p),
    )


def count_edges(p: Pass, edges: FusedEdges, out: Tensor, base: int, fresh: bool) -> None:
    """Expected counts of edges, once all flows are there, into ``out``, whose first count is that of weight ``base``.

    ``fresh``: counts of weights with one user are overwritten (shared ones must hold zeros).
    """
    most = TILES[p.precision]["edges"]
    nodes, cols, inner = side(edges.nodes, most.rows), side(edges.width, most.columns), side(p.size, most.inner)
    launch(edge_flow, (edges.runs * triton.cdiv(edges.width, cols), triton.cdiv(edges.nodes, nodes)))(
        p.ratios,
        p.elements,
        p.weights,
        out,
        edges.run_start,
        edges.nodes_at,
        edges.elements_at,
        edges.offsets,
        edges.strides,
        edges.weights_at,
        p.size,
        edges.nodes,
        edges.width,
        base,
        BM=nodes,
        BE=cols,
        BK=inner,
        PRECISION=PRECISIONS[p.precision],
        ADD=edges.shared or not fresh,
        ALIGNED=edges.aligned,
        FULL=edges.nodes % nodes == 0 and edges.width % cols == 0,
        num_warps=warps(nodes * cols // 4, most.warps),
        num_stages=stages(p, nodes, cols, inner, most.stages),
    )
