"""Levels too small to keep a GPU busy, joined into one launch whose programs wait for each other.

A level of a few blocks takes as long as memory takes to answer three times, and a launch of its own adds a third to that.
Programs are started in order, those of lower levels first: whoever waits, waits for programs that run, or have run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
import triton
from torch import Tensor

from ..fused import FusedChain, FusedLayer
from .tiles import FILL, LARGE_BLOCK, on_chip

#: Fewest levels that are worth it, and most: what waits for some of them need not wait for all.
LEVELS, LONGEST = 3, 16
#: Most factors, leaves and parents of a block: what is looked up ahead.
MOST = 4
#: Numbers of samples whose launches are remembered.
SIZES = 64


class Launches:
    """The launches of passes over a program's layers, by how many samples there are; tables of joined ones are kept."""

    def __init__(self, layers: Sequence[FusedLayer]) -> None:
        self._layers = layers
        self._joined: dict[range, FusedLayer] = {}
        self._of: dict[int, tuple[FusedLayer, ...]] = {}

    def of(self, size: int) -> tuple[FusedLayer, ...]:
        """In order of evaluation. Layers that follow each other are joined where that is worth it."""
        if size not in self._of:
            if len(self._of) >= SIZES:
                self._of.pop(next(iter(self._of)))
            launches: list[FusedLayer] = []
            for key, found in groupby(self._layers, lambda layer: _key(layer, size)):
                alike = list(found)
                for i in range(0, len(alike), LONGEST):
                    piece = alike[i : i + LONGEST]
                    launches += piece if key is None or len(piece) < LEVELS else [self._join(piece)]
            self._of[size] = tuple(launches)
        return self._of[size]

    def _join(self, layers: list[FusedLayer]) -> FusedLayer:
        places = range(layers[0].place, layers[-1].place + 1)
        if places not in self._joined:
            self._joined[places] = _join(layers, places)
        return self._joined[places]


def _key(layer: FusedLayer, size: int) -> tuple[int | None, ...] | None:
    """Equal for layers that can be joined; ``None``: it cannot."""
    few = max(layer.factors.shape[1], layer.most_uses, layer.pull_rows.shape[1]) <= MOST
    # Of larger blocks, the weights alone take as long as a launch.
    small = layer.groups * triton.cdiv(size, 16) <= FILL and layer.nodes * layer.width <= LARGE_BLOCK
    return (layer.nodes, layer.width, layer.leaf_table) if few and small and on_chip(size, layer) else None


def _join(layers: Sequence[FusedLayer], places: range) -> FusedLayer:
    first = layers[0]
    tables: dict[str, Any] = {name: torch.cat([getattr(layer, name) for layer in layers]) for name in (
        "nodes_at", "units_at", "elements_at", "ratios_at", "term_units", "weights_at", "seed_columns",
    )}  # fmt: skip
    columns: dict[str, Any] = {name: _columns([getattr(layer, name) for layer in layers]) for name in (
        "factors", "units", "pull_rows", "pull_widths", "pull_offsets",
    )}  # fmt: skip
    groups = len(tables["nodes_at"])
    children = _children(tables["units_at"], columns["units"], columns["factors"])
    numbers = torch.arange(groups + 1, device=children.device)
    return replace(
        first,
        groups=groups,
        terms=groups,
        **tables,
        **columns,
        term_start=numbers,
        group_of=numbers[:-1],
        slots=_slots(layers),
        most_uses=max(layer.most_uses for layer in layers),
        roots=any(layer.roots for layer in layers),
        keep=any(layer.keep for layer in layers),
        aligned=all(layer.aligned for layer in layers),
        pulls_aligned=all(layer.pulls_aligned for layer in layers),
        chain=FusedChain(
            places,
            max(layer.groups for layer in layers),
            children,
            _parents(children),
        ),
    )


def _columns(tables: Sequence[Tensor]) -> Tensor:
    """Tables of different numbers of columns below each other, filled up with −1."""
    most = max(table.shape[1] for table in tables)
    return torch.cat([torch.nn.functional.pad(table, (0, most - table.shape[1]), value=-1) for table in tables])


def _slots(layers: Sequence[FusedLayer]) -> Tensor:
    """Runs of leaves; those of one layer follow those of the one before."""
    start = layers[0].slots[:1]
    return torch.cat([start, start + torch.cat([layer.slots.diff() for layer in layers]).cumsum(0)])


def _children(units_at: Tensor, units: Tensor, factors: Tensor) -> Tensor:
    """``[groups, F]``: the blocks among these that each multiplies; −1: none."""
    found = (units[:, :, None] == units_at) & (factors >= 0)[:, :, None]
    return torch.where(found.any(2), found.int().argmax(2), -1)


def _parents(children: Tensor) -> Tensor:
    """``[groups, P]``: the other way round."""
    held: list[list[int]] = [[] for _ in range(len(children))]
    for parent, row in enumerate(children.tolist()):
        for child in row:
            if child >= 0:
                held[child].append(parent)
    columns = triton.next_power_of_2(max(1, *map(len, held)))
    return torch.tensor([row + [-1] * (columns - len(row)) for row in held], device=children.device)
