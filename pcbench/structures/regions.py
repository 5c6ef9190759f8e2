"""Region graphs, and circuits built on them: what RAT-SPN, Poon-Domingos and quad trees have in common.

A region is a set of variables; a split cuts it into parts. Each region becomes ``latents`` sum nodes, each split
``latents`` products (node ``i`` multiplies node ``i`` of every part), and a region's sums mix over all its splits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..circuit import Block, BlockSparse, Circuit, Dense, InputBlock, ProductBlock, SumBlock, SumEdges, topological_order
from ..errors import CircuitError, DecomposabilityError, OptionError, SmoothnessError, hinted
from ..scope import Scope, Variables, scope_indices, scope_of
from .common import Leaves, leaf_block, whole

#: What stands on the product of a leaf region: a dense sum, a block-diagonal one, or nothing.
LeafSums: TypeAlias = Literal["dense", "diagonal", "none"]


@dataclass(frozen=True, eq=False)
class Region:
    """A set of variables and the ways in which it is split; a leaf region has none.

    Args:
        variables: of a leaf region, by index; a split region has those of its parts.
        splits: each a list of regions with disjoint variables; all splits cover the same variables.

    Raises:
        DecomposabilityError: parts of a split share a variable.
        SmoothnessError: splits cover different variables.
    """

    variables: tuple[int, ...] = ()
    splits: tuple[tuple[Region, ...], ...] = ()
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", tuple(tuple(s) for s in self.splits))
        if not self.splits:
            object.__setattr__(self, "variables", tuple(self.variables))
            object.__setattr__(self, "scope", _leaf_scope(self.variables))
            return
        scope = _split_scope(self.splits[0])
        for split in self.splits[1:]:
            if other := _split_scope(split) ^ scope:
                raise SmoothnessError(f"splits of a region cover different variables: only one has {scope_indices(other)}")
        if self.variables and scope_of(self.variables) != scope:
            raise CircuitError(f"a region of variables {sorted(self.variables)} is split into {scope_indices(scope)}")
        object.__setattr__(self, "variables", tuple(scope_indices(scope)))
        object.__setattr__(self, "scope", scope)


def _leaf_scope(variables: tuple[int, ...]) -> Scope:
    if not variables or min(variables) < 0:
        raise CircuitError(f"a leaf region needs at least one variable, by index, got {list(variables)}")
    if len(set(variables)) != len(variables):
        raise DecomposabilityError(f"a leaf region lists a variable twice: {list(variables)}")
    return scope_of(variables)


def _split_scope(split: tuple[Region, ...]) -> Scope:
    if not split:
        raise CircuitError("a split needs at least one part")
    scope = 0
    for part in split:
        if shared := scope & part.scope:
            raise DecomposabilityError(f"parts of a split share variables {scope_indices(shared)}")
        scope |= part.scope
    return scope


@hinted
def from_regions(
    root: Region,
    latents: int,
    variables: Variables,
    distribution: Leaves = None,
    leaf_sums: LeafSums = "dense",
    max_splits: int | None = None,
    tile: int | None = None,
    seed: int = 0,
) -> Circuit:
    """A circuit over a region graph. Regions that occur in several splits are shared.

    Args:
        root: the region of all variables; it becomes one sum node.
        latents: nodes of every other region.
        variables: of the circuit.
        distribution: leaf family; see :func:`~pcbench.structures.hclt.hclt`.
        leaf_sums: what stands on the product of a leaf region's leaves: ``"dense"`` sums, ``"diagonal"`` ones (in tiles),
            or ``"none"``.
        max_splits: most splits that a tile of sum nodes mixes over; where a region has more, its tiles take turns in a
            random order. The root is never limited.
        tile: nodes of a tile, a divisor of ``latents``; only used by ``"diagonal"`` and ``max_splits``.
        seed: of that order.

    Raises:
        OptionError: for options that make no sense, or a region of variables that do not exist.
    """
    whole(latents, "latents")
    if leaf_sums not in ("dense", "diagonal", "none"):
        raise OptionError(f"leaf_sums must be 'dense', 'diagonal' or 'none', got {leaf_sums!r}")
    tile = usual_tile(latents) if tile is None else whole(tile, "tile")
    if latents % tile:
        raise OptionError(f"tile={tile} does not divide latents={latents}")
    if max_splits is not None:
        whole(max_splits, "max_splits")
    if root.scope != (1 << len(variables)) - 1:
        missing = ((1 << len(variables)) - 1) ^ root.scope
        raise OptionError(f"the root region must hold all {len(variables)} variables; it differs in {variables.names(missing)}")
    return _Builder(latents, variables, distribution, leaf_sums, max_splits, tile, seed).build(root)


def usual_tile(latents: int) -> int:
    """The greatest power of two that divides ``latents``, at most 32 (16 for small circuits); all nodes where it is tiny."""
    tile = min(latents & -latents, 32 if latents > 32 else 16)
    return tile if tile >= 8 else latents


@dataclass
class _Builder:
    latents: int
    variables: Variables
    distribution: Leaves
    leaf_sums: LeafSums
    max_splits: int | None
    tile: int
    seed: int

    def build(self, root: Region) -> Circuit:
        below: dict[Region, list[Region]] = {}
        stack = [root]
        while stack:
            region = stack.pop()
            if region not in below:
                below[region] = list(dict.fromkeys(part for split in region.splits for part in split))
                stack.extend(below[region])
        order = topological_order([root], below)
        self.leaves: dict[int, InputBlock] = {}
        self.drawn = self._draw(order)
        made: dict[Region, Block] = {}
        for region in order[:-1]:
            made[region] = self._inner(region, made) if region.splits else self._leaf(region)
        return Circuit(SumBlock(self._products(root, made), 1, name="root"), self.variables)

    def _products(self, region: Region, made: dict[Region, Block]) -> list[Block]:
        """The products that a region's sums mix over: one for each split."""
        if not region.splits:
            return [self._factors(region)]
        return [ProductBlock([made[p] for p in split]) if len(split) > 1 else made[split[0]] for split in region.splits]

    def _factors(self, region: Region) -> Block:
        for i in region.variables:
            if i not in self.leaves:
                self.leaves[i] = leaf_block(self.variables[i], self.distribution, self.latents)
        parts = [self.leaves[i] for i in region.variables]
        return ProductBlock(parts) if len(parts) > 1 else parts[0]

    def _leaf(self, region: Region) -> Block:
        factors = self._factors(region)
        if self.leaf_sums == "none":
            return factors
        edges: SumEdges = Dense()
        if self.leaf_sums == "diagonal" and self.tile < self.latents:
            diagonal = torch.arange(self.latents // self.tile)
            edges = BlockSparse(self.tile, diagonal, diagonal)
        return SumBlock([factors], self.latents, edges)

    def _inner(self, region: Region, made: dict[Region, Block]) -> Block:
        if region not in self.drawn:
            return SumBlock(self._products(region, made), self.latents)
        used, place = torch.unique(self.drawn[region], return_inverse=True)
        tiles, drawn = place.shape
        products = self._products(Region(splits=tuple(region.splits[i] for i in used.tolist())), made)
        rows = torch.arange(tiles).repeat_interleave(drawn * tiles)
        cols = (place[..., None] * tiles + torch.arange(tiles)).reshape(-1)
        return SumBlock(products, self.latents, BlockSparse(self.tile, rows, cols) if tiles > 1 else Dense())

    def _draw(self, order: list[Region]) -> dict[Region, Tensor]:
        """For each region with too many splits, those that each tile of its sums mixes over: ``[tiles, max_splits]``.

        Regions are visited from the root down (``order`` runs the other way), and splits whose parts nobody uses yet
        come first, so that hardly a region is left out of the circuit.
        """
        generator = torch.Generator().manual_seed(self.seed)
        tiles = self.latents // self.tile
        drawn: dict[Region, Tensor] = {}
        used = {order[-1]}
        for region in reversed(order):
            if region not in used:
                continue
            chosen = range(len(region.splits))
            if self.max_splits is not None and len(chosen) > self.max_splits and region is not order[-1]:
                shuffled = torch.randperm(len(chosen), generator=generator).tolist()
                shuffled.sort(key=lambda i: all(part in used for part in region.splits[i]))
                # Taking turns around the circle: splits of a tile are distinct, and all are used before one is used twice.
                turns = torch.arange(tiles * self.max_splits) % len(chosen)
                drawn[region] = torch.tensor(shuffled)[turns].reshape(tiles, self.max_splits)
                chosen = drawn[region].unique().tolist()
            used |= {part for i in chosen for part in region.splits[i]}
        return drawn
