"""Launches of the top-down pass that draws samples, and of sums that are maximised before another one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import triton
from torch import Tensor

from ..fused import FusedLayer, FusedLeaves
from .choose import add_masses, begin, choose_category, choose_edge, hand_through
from .launching import launch
from .tiles import FILL, LEAST, early_on, power

#: Numbers of a tile of scores, and most elements of a block in one.
CELLS, WHOLE = 2048, 2048
#: Children of a term that are told at once.
STEP = 16


@dataclass(frozen=True, eq=False)
class Draws:
    """Buffers of ``size`` samples from ``rows`` rows of evidence.

    Attributes:
        size, rows: samples ``S``; rows of evidence ``B``.
        told: int64 ``[4]``: seed, number of the first sample, samples of a row, node of the root.
        states: int64 ``[S]``, of the noise; row_of: int32 ``[S]``.
        active: int32 ``[units, S]``, node that a sample reaches, or −1.
        chosen: int32 ``[slots, S]`` of each leaf table, the same for its slots.
        weights: flat, float32.
        elements, scales, codes: of the upward pass over the evidence; unused where ``prior``.
        suspect: int32 flag.
        places: int64 ``[units]``, block of the circuit, which numbers the noise; leaf_places: ``[slots]`` of each leaf table.
        prior: whether nothing is observed, so that every element is 1.
    """

    size: int
    rows: int
    told: Tensor
    states: Tensor
    row_of: Tensor
    active: Tensor
    chosen: tuple[Tensor, ...]
    weights: Tensor
    elements: Tensor
    scales: Tensor
    codes: tuple[Tensor, ...]
    suspect: Tensor
    places: Tensor
    leaf_places: tuple[Tensor, ...]
    prior: bool


def start(d: Draws, root: int) -> None:
    """Nothing is reached yet, but the unit of the root."""
    d.active.fill_(-1)
    for chosen in d.chosen:
        chosen.fill_(-1)
    launch(begin, (triton.cdiv(d.size, 256),))(d.told, d.states, d.row_of, d.active, root, d.size, BN=256)


def draw_edges(d: Draws, layer: FusedLayer, most: int) -> None:
    """An element of each block that a sample reaches, whose children are reached then; ``most``: elements of a block."""
    chosen = d.active if layer.leaf_table is None else d.chosen[layer.leaf_table]
    fans = max(layer.most_uses, layer.units.shape[1])
    down = {
        "USES": power(layer.most_uses) if layer.most_uses else 0,
        "FACTORS": layer.units.shape[1],
        "STEP": min(power(fans), STEP),
    }
    options = early_on(d.active.device)
    if not layer.is_sum:
        rows = min(256, power(d.size))
        launch(hand_through, (layer.groups * triton.cdiv(d.size, rows),))(
            d.active, chosen, layer.units_at, layer.slots, layer.units, d.size, BN=rows, **down, **options
        )
        return
    cols = max(16, min(power(most), WHOLE))
    rows = min(max(1, CELLS // cols), power(d.size))
    while rows > 1 and layer.groups * triton.cdiv(d.size, rows) < FILL:
        rows //= 2
    launch(choose_edge, (layer.groups * triton.cdiv(d.size, rows),))(
        d.active,
        chosen,
        d.states,
        d.row_of,
        d.weights,
        d.elements,
        d.scales,
        d.suspect,
        layer.weights_at,
        layer.units_at,
        layer.elements_at,
        layer.term_start,
        layer.term_units,
        layer.slots,
        layer.units,
        d.places,
        d.size,
        d.rows,
        layer.width,
        LEAST,
        BN=rows,
        BK=cols,
        **down,
        PARTS=layer.parts,
        PRIOR=d.prior,
        MANY=layer.many,
        WHOLE=most <= cols,
        ALIGNED=layer.aligned,
        **options,
    )


def runs_of(categories: int) -> tuple[int, int]:
    """Into how many runs a leaf's categories are divided, and how many are in one: both near the root of all."""
    each = power(math.isqrt(categories - 1) + 1)
    return -(-categories // each), each


def add_up_leaves(masses: Tensor, upto: Tensor) -> None:
    """Running sums ``upto`` ``[P, runs, N]`` float64 of masses ``[P, C, N]``, for :func:`draw_categories`."""
    sets, categories, nodes = masses.shape
    runs, each = runs_of(categories)
    cols = min(power(nodes), max(16, 4096 // each))
    while cols > 16 and sets * triton.cdiv(nodes, cols) < FILL:
        cols //= 2
    launch(add_masses, (sets * triton.cdiv(nodes, cols),))(
        masses, upto, masses.stride(0), masses.stride(1), nodes, categories, runs, BN=cols, BC=each
    )


def draw_categories(d: Draws, leaves: FusedLeaves, masses: Tensor, upto: Tensor, out: Tensor) -> None:
    """``out`` ``[S, V]``: categories of the leaves that samples reach, where they are not observed."""
    runs, each = runs_of(leaves.categories)
    rows = min(max(1, CELLS // 2 // max(each, power(runs))), power(d.size))
    launch(choose_category, (len(leaves.variables) * triton.cdiv(d.size, rows),))(
        d.chosen[leaves.table],
        d.states,
        d.row_of,
        d.codes[leaves.table],
        masses,
        upto,
        leaves.variables,
        leaves.owners,
        d.leaf_places[leaves.table],
        out,
        masses.stride(0),
        masses.stride(1),
        d.size,
        d.rows,
        leaves.nodes,
        leaves.categories,
        runs,
        out.shape[1],
        BN=rows,
        BR=power(runs),
        BC=each,
        PRIOR=d.prior,
    )
