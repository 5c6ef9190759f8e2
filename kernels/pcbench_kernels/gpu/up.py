"""Launches of the upward pass."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedLayer
from .forward import narrow_sum_forward, product_forward, wide_sum_forward
from .launching import launch
from .tiles import (
    FILL,
    LEAST,
    PRECISIONS,
    PRODUCT_CELLS,
    TILES,
    WEIGHT_ROWS,
    WIDE_REGISTERS,
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
from .turn import renew_flags, root_values, tell_flags


def value_of(p: Pass, layer: FusedLayer) -> None:
    """Values and scales of one launch's blocks."""
    if layer.is_sum and on_chip(p.size, layer):
        _narrow_forward(p, layer)
        return
    _products(p, layer)
    if layer.is_sum:
        _wide_forward(p, layer)


def conclude(p: Pass, roots: Tensor, widest: int, report: Tensor, hold: Tensor | None) -> None:
    """Log-likelihoods into float64 ``report`` ``[B, outputs]``, and seeds where a way down follows; see :func:`root_values`.

    Args:
        p: the pass, after its last layer.
        roots, widest: see :func:`root_values`; most nodes of one.
        report: on the GPU, or pinned.
        hold: flag that is raised where parameters have to stay what they are; ``None``: nobody asks.
    """
    cols = power(widest)
    rows = max(1, min(power(p.size), 1024 // cols))
    launch(root_values, (len(roots), triton.cdiv(p.size, rows), triton.cdiv(widest, min(cols, 1024))))(
        p.values,
        p.scales,
        roots,
        report,
        p.seeds,
        p.suspect,
        p.suspect if hold is None else hold,
        p.size,
        p.seeds.shape[1],
        BN=rows,
        BM=min(cols, 1024),
        SEEDS=p.downward,
        HOLD=hold is not None,
        **early(p),
    )


def tell(flags: Tensor, report: Tensor) -> None:
    """Flags into float64 ``report``, on the GPU or pinned."""
    launch(tell_flags, (1,))(flags, report, COUNT=len(flags), SIZE=power(len(flags)))


def renew(flags: Tensor, first: int) -> None:
    """Lower flags; the last is raised where it or another one from the ``first`` on was up."""
    launch(renew_flags, (1,))(flags, FIRST=first, COUNT=len(flags), SIZE=power(len(flags)))


def _terms(layer: FusedLayer) -> tuple[Tensor, ...]:
    return (layer.slots, layer.factors, layer.units)


def counts_of(layer: FusedLayer) -> dict[str, int]:
    """How many leaves of a term are under way at once (0, 2, 4, or four after four), and columns of factors."""
    uses = power(layer.most_uses + 1 & ~1) if layer.most_uses else 0
    return {"USES": min(uses, 5), "FACTORS": layer.factors.shape[1]}


def _leaves(p: Pass, layer: FusedLayer) -> tuple[Tensor, Tensor]:
    t = layer.leaf_table or 0
    return p.lookups[t], p.codes[t]


def _places(layer: FusedLayer) -> tuple[Tensor, ...]:
    return (layer.weights_at, layer.nodes_at, layer.units_at, layer.elements_at)


def _products(p: Pass, layer: FusedLayer) -> None:
    cols = min(power(layer.width), 4096)
    # Few terms are cut into more programs, down to a sample each: all of the chip has to be busy.
    rows = min(max(1, PRODUCT_CELLS // cols), power(layer.terms * p.size // FILL + 1))
    launch(product_forward, (layer.terms * triton.cdiv(p.size, rows),))(
        p.values,
        p.scales,
        p.elements,
        *_leaves(p, layer),
        *_terms(layer),
        layer.group_of,
        layer.term_start,
        layer.term_units,
        layer.elements_at if layer.is_sum else layer.nodes_at,
        p.size,
        layer.width,
        BN=rows,
        BK=cols,
        **counts_of(layer),
        PARTS=layer.parts,
        MANY=layer.many,
        LINEAR=layer.is_sum,
        WHOLE=layer.width <= cols,
        FULL=layer.width == cols,
        **early(p),
    )


def _narrow_forward(p: Pass, layer: FusedLayer) -> None:
    inner = side(layer.width, 512)
    nodes = side(layer.nodes, WEIGHT_ROWS)
    # Nodes are shared out among programs, each of which gathers the elements anew, only where samples are too few.
    rows, span = narrow_tiles(p, layer, inner, layer.nodes)
    links, columns = links_of(layer, down=False)
    launch(narrow_sum_forward, (layer.groups * triton.cdiv(p.size, rows) * triton.cdiv(layer.nodes, span),))(
        p.values,
        p.scales,
        p.elements,
        p.operands,
        *_leaves(p, layer),
        *_terms(layer),
        *_places(layer),
        *links,
        p.done[FILL * layer.place :],
        p.suspect,
        p.size,
        layer.nodes,
        layer.width,
        LEAST,
        SPAN=span,
        BN=rows,
        BM=nodes,
        BK=inner,
        **counts_of(layer),
        PRECISION=PRECISIONS[p.precision],
        KEEP=p.downward,
        FULL=layer.width == inner,
        ALIGNED=layer.aligned,
        **columns,
        num_warps=warps(max(rows, nodes // 2) * inner),
        num_stages=1,
        **limited(p, inner, layer.factors.shape[1] > 4 or layer.most_uses > 4),
        **early(p),
    )


def _wide_forward(p: Pass, layer: FusedLayer) -> None:
    most = TILES[p.precision]["wide forward"]
    rows, nodes, inner = side(p.size, most.rows), side(layer.nodes, most.columns), side(layer.width, most.inner)
    ahead = most.stages if layer.many else min(most.stages, triton.cdiv(layer.width, inner))
    launch(wide_sum_forward, (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, nodes)))(
        p.values,
        p.scales,
        p.elements,
        p.operands,
        *_places(layer),
        layer.term_start,
        layer.term_units,
        layer.seen,
        p.suspect,
        p.size,
        layer.nodes,
        layer.width,
        LEAST,
        BN=rows,
        BM=nodes,
        BK=inner,
        PRECISION=PRECISIONS[p.precision],
        MANY=layer.many,
        ONE=layer.width <= inner,
        HOLES=layer.holes,
        FULL=layer.nodes % nodes == 0 and layer.width % inner == 0,
        ALIGNED=layer.aligned,
        num_warps=max(most.warps, 8) if layer.holes else most.warps,  # a height for each node: twice the exponentials
        **({"maxnreg": WIDE_REGISTERS} if p.precision == "fast" and not layer.many and by_groups(p.values.device) else {}),
        num_stages=stages(p, rows, nodes, inner, ahead),
        **early(p),
    )
