"""Launches of the max-product pass, and of the walk down the best trees that it has found."""

from __future__ import annotations

from dataclasses import dataclass

import triton
from torch import Tensor

from ..fused import FusedLayer, FusedLeaves
from .best import best_category, best_forward, best_product, follow_best
from .choose import hand_through
from .launching import launch
from .tiles import FILL, early_on, power, span_of
from .topdown import CELLS, STEP
from .up import counts_of

#: Of maxima: samples and nodes of a tile, and elements that are read at once.
ROWS, NODES, ELEMENTS = 32, 64, 16
#: Elements that are gathered, and elements of a row that are looked at, at once.
GATHERED, WHOLE = 128, 512


@dataclass(frozen=True, eq=False)
class Trees:
    """Buffers of a max-product pass over ``size`` samples, which are beside each other in all of them.

    Attributes:
        size: samples ``B``.
        values, elements: flat float32, node-major: ``[nodes, B]``; values relative to the scales of their blocks.
        scales: float64 ``[units, B]``; peaks: float32, the greatest of a block's elements.
        weights: flat float32; logs: their logarithms, those of each parameter set ``[E, N]``.
        lookups: float32 ``[P, C+1, N]``, logs of masses; the last row is the greatest of the others.
        modes: int32 ``[P, N]``, the first category that has it.
        codes: int32 ``[slots, B]``, flat rows of the lookups.
        active: int32 ``[units, B]``, node that a sample reaches, or −1; chosen: ``[slots, B]`` of each leaf table, the same.
    """

    size: int
    values: Tensor
    elements: Tensor
    scales: Tensor
    peaks: Tensor
    weights: Tensor
    logs: Tensor
    lookups: tuple[Tensor, ...]
    modes: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    active: Tensor
    chosen: tuple[Tensor, ...]


def _read(p: Trees, layer: FusedLayer) -> tuple[Tensor, ...]:
    t = layer.leaf_table or 0
    return (p.lookups[t], p.codes[t], layer.slots, layer.factors, layer.units)


def best_of(p: Trees, layer: FusedLayer, most: int) -> None:
    """Values and scales of one launch's blocks; ``most``: elements of the largest of them."""
    inner, rows = min(GATHERED, power(layer.width)), min(ROWS, power(p.size))
    shared = {**counts_of(layer), **early_on(p.values.device)}
    if not layer.is_sum:
        while rows > 1 and layer.groups * triton.cdiv(p.size, rows) < FILL:
            rows //= 2
        launch(best_product, (layer.groups * triton.cdiv(p.size, rows),))(
            p.values,
            p.scales,
            *_read(p, layer),
            layer.nodes_at,
            layer.units_at,
            p.size,
            layer.width,
            BN=rows,
            BK=inner,
            **shared,
        )
        return
    nodes = min(NODES, power(layer.nodes))
    # Nodes are shared out among programs, each of which gathers the elements anew, only where samples are too few.
    span = span_of(layer.nodes, nodes, layer.groups * triton.cdiv(p.size, rows))
    launch(best_forward, (layer.groups * triton.cdiv(p.size, rows), triton.cdiv(layer.nodes, span)))(
        p.values,
        p.scales,
        p.elements,
        p.peaks,
        p.logs,
        *_read(p, layer),
        layer.term_start,
        layer.weights_at,
        layer.nodes_at,
        layer.units_at,
        layer.elements_at,
        p.size,
        layer.nodes,
        layer.width,
        SPAN=span,
        BN=rows,
        BM=nodes,
        BK=inner,
        BE=min(ELEMENTS, power(most)),
        PARTS=layer.parts,
        MANY=layer.many,
        ALIGNED=layer.aligned,
        num_warps=4,
        **shared,
    )


def start_at(p: Trees, root: int, node: int) -> None:
    """Nothing is reached yet, but a node of the root."""
    p.active.fill_(-1)
    for chosen in p.chosen:
        chosen.fill_(-1)
    p.active[root].fill_(node)


def walk_down(p: Trees, layer: FusedLayer, most: int) -> None:
    """The best element of each block that a sample reaches, whose children are reached then; ``most``: elements of a block."""
    chosen = p.active if layer.leaf_table is None else p.chosen[layer.leaf_table]
    down = {
        "USES": power(layer.most_uses) if layer.most_uses else 0,
        "FACTORS": layer.units.shape[1],
        "STEP": min(power(max(layer.most_uses, layer.units.shape[1])), STEP),
        **early_on(p.active.device),
    }
    if not layer.is_sum:
        rows = min(256, power(p.size))
        launch(hand_through, (layer.groups * triton.cdiv(p.size, rows),))(
            p.active, chosen, layer.units_at, layer.slots, layer.units, p.size, BN=rows, **down
        )
        return
    cols = max(16, min(power(most), WHOLE))
    rows = min(max(1, 2 * CELLS // cols), power(p.size))
    launch(follow_best, (layer.groups * triton.cdiv(p.size, rows),))(
        p.active,
        chosen,
        p.weights,
        p.elements,
        p.peaks,
        layer.weights_at,
        layer.units_at,
        layer.elements_at,
        layer.term_start,
        layer.slots,
        layer.units,
        p.size,
        layer.width,
        BN=rows,
        BK=cols,
        PARTS=layer.parts,
        ALIGNED=layer.aligned,
        **down,
    )


def explain_leaves(p: Trees, leaves: FusedLeaves, out: Tensor) -> None:
    """``out`` ``[B, V]``: categories of the leaves that samples reach, the likeliest where they are not observed."""
    rows = min(256, power(p.size))
    launch(best_category, (len(leaves.variables) * triton.cdiv(p.size, rows),))(
        p.chosen[leaves.table],
        p.codes[leaves.table],
        p.modes[leaves.table],
        leaves.variables,
        leaves.owners,
        out,
        p.size,
        leaves.nodes,
        leaves.categories,
        out.shape[1],
        BN=rows,
    )
