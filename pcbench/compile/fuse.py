"""Address tables for the fused GPU kernels, or the reason why a program has to run without them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TypeVar

import torch
from torch import Tensor

from pcbench_kernels.fused import FusedEdges, FusedLayer, FusedLeaves, FusedRows

from .layers import (
    InputLayer,
    Layer,
    LeafFactor,
    LeafTable,
    ProductLayer,
    Rows,
    SumLayer,
    SumTable,
    Term,
    weight_starts,
)

#: Programs of edge counts that keep the largest GPUs busy: two for each of some 130 multiprocessors.
FILL = 264
#: Most nodes and elements of a block whose elements, or ratios, a program keeps in registers.
NARROW = 256
#: Most factors of a term that several programs may each multiply again.
FEW = 8
#: Largest domain whose leaves are counted by matrix products; in larger ones most of a one-hot row is wasted.
COUNTED = 512

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Fused:
    """One launch a level, shape and pass.

    Attributes:
        layers: in order of evaluation.
        edges: terms merged by shape, for what does not depend on order.
        leaves: leaf tables that are counted by matrix products, from flows.
        shared: weight tables that several runs of edges add to.
        rows: all sum nodes, those of tables with holes apart.
        num_scales: units, and terms with a scale of their own.
        precision: ``"fast"`` or ``"exact"``.
        variables: how many columns data must have; −1 when some of them have no leaf, so that kernels do not see them.
    """

    layers: tuple[FusedLayer, ...]
    edges: tuple[FusedEdges, ...]
    leaves: tuple[FusedLeaves, ...]
    shared: tuple[int, ...]
    rows: tuple[FusedRows, ...]
    num_scales: int
    precision: str
    variables: int

    @property
    def operands(self) -> torch.dtype:
        """Of the matrix products."""
        return torch.bfloat16 if self.precision == "fast" else torch.float32


def arena_starts(rows: dict[int, int]) -> dict[int, int]:
    """How many nodes lie before each arena when all arenas of one kind lie in one buffer."""
    ends = list(accumulate(width * count for width, count in rows.items()))
    return dict(zip(rows, [0, *ends], strict=False))


def why_not_fused(
    layers: tuple[Layer, ...], sum_tables: tuple[SumTable, ...], leaf_tables: tuple[LeafTable, ...]
) -> str | None:
    """The first property of a program that the fused kernels have no form for; ``None`` when they take all of it."""
    for t, leaf in enumerate(leaf_tables):
        if leaf.categories is None:
            return f"leaf table {t} ({leaf.distribution.name}) has no finite domain to look up"
    for layer in layers:
        where = f"{layer.kind} layer {layer.index}"
        if isinstance(layer, SumLayer):
            table = sum_tables[layer.table]
            if table.choice.kernel.name != "dense":
                return f"{where} stores its weights as {table.choice.kernel.name}, not dense"
            if len({t.width for t in layer.terms}) > 1:
                return f"{where} has terms of different widths"
        terms = _terms(layer)
        if any(f.columns is not None or f.width != t.width for t in terms for f in t.factors):
            return f"{where} has products that pick single nodes of their children"
        if len({f.table for t in terms for f in t.leaves}) > 1:
            return f"{where} has leaves of several tables"
        if any(p.columns is not None for p in layer.pulls):
            return f"{where} feeds products that pick single nodes"
        if len({block for block, _ in layer.outputs}) < len(layer.outputs):
            return f"{where} holds a block that is a root twice"
    return None


def fuse(
    layers: tuple[Layer, ...],
    sum_tables: tuple[SumTable, ...],
    leaf_tables: tuple[LeafTable, ...],
    value_rows: dict[int, int],
    element_rows: dict[int, int],
    num_units: int,
    precision: str,
    device: torch.device,
    variables: int = -1,
) -> Fused:
    """Address tables of layers for which :func:`why_not_fused` has nothing to say."""
    scale = num_units
    starts = weight_starts(sum_tables)
    counted = {t for t, leaf in enumerate(leaf_tables) if (leaf.categories or 0) <= COUNTED}
    every: list[_Block] = []
    launches: dict[Hashable, list[_Block]] = {}
    for layer in sorted(layers, key=lambda layer: layer.level):
        for block in _blocks(layer, sum_tables, starts, arena_starts(value_rows), arena_starts(element_rows)):
            launches.setdefault((layer.level, *block.shape), []).append(block)
            every.append(block)
            if len(block.terms) > 1:
                for term in block.terms:
                    term.unit, scale = scale, scale + 1
    alike: dict[tuple[int, int], list[_Block]] = {}
    for block in every:
        if block.is_sum:
            alike.setdefault((block.nodes, block.width), []).append(block)
    make = _Tables(device)
    tables = tuple(make.layer(blocks, counted) for blocks in launches.values())
    edges = tuple(make.edges(blocks) for blocks in alike.values())
    leaves = tuple(make.leaves(t, leaf_tables[t], [b for b in every if b.leaf_table == t]) for t in sorted(counted))
    shared = sorted({block.table for blocks, e in zip(alike.values(), edges, strict=True) if e.shared for block in blocks})
    return Fused(tables, edges, leaves, tuple(shared), _rows(sum_tables, starts, device), scale, precision, variables)


@dataclass(eq=False)
class _Term:
    """What a term multiplies: (node number, unit) of its factors and its uses of a leaf table; and whose scale it has."""

    factors: list[tuple[int, int]]
    uses: list[int]
    unit: int


@dataclass(eq=False)
class _Block:
    """One block in the numbers of :class:`FusedLayer`."""

    is_sum: bool
    nodes: int
    width: int
    leaf_table: int | None
    node: int
    unit: int
    element: int
    terms: list[_Term]
    pulls: list[tuple[int, int, int]]
    column: int
    table: int
    weights: int

    @property
    def narrow(self) -> bool:
        return len(self.terms) == 1 and max(self.nodes, self.width) <= NARROW and len(self.terms[0].factors) <= FEW

    @property
    def shape(self) -> tuple[Hashable, ...]:
        """Blocks of one level and shape share a launch."""
        return (self.is_sum, self.nodes, self.width, self.leaf_table, self.narrow)


class _Tables:
    """Blocks → tensors on a device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def _tensor(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers or [0], dtype=torch.int64, device=self._device)

    def _runs(self, runs: list[list[T]], *parts: Callable[[T], int]) -> list[Tensor]:
        """Starts of runs, and what is in them, one tensor a part."""
        flat = list(chain.from_iterable(runs))
        starts = [0, *accumulate(len(run) for run in runs)]
        return [self._tensor(starts), *(self._tensor([part(x) for x in flat]) for part in parts)]

    def layer(self, blocks: list[_Block], counted: set[int]) -> FusedLayer:
        first = blocks[0]
        terms = [term for block in blocks for term in block.terms]
        term_start, term_units = self._runs([block.terms for block in blocks], lambda t: t.unit)
        factor_start, factors, units = self._runs([t.factors for t in terms], lambda f: f[0], lambda f: f[1])
        use_start, uses = self._runs([t.uses for t in terms], lambda u: u)
        pull_start, pull_rows, pull_widths, pull_offsets = self._runs(
            [b.pulls for b in blocks], lambda p: p[0], lambda p: p[1], lambda p: p[2]
        )
        return FusedLayer(
            first.is_sum,
            first.narrow,
            len(blocks),
            first.nodes,
            first.width,
            len(terms),
            self._tensor([b.node for b in blocks]),
            self._tensor([b.unit for b in blocks]),
            self._tensor([b.element for b in blocks]),
            term_start,
            self._tensor([g for g, b in enumerate(blocks) for _ in b.terms]),
            term_units,
            factor_start,
            factors,
            units,
            use_start,
            uses,
            first.leaf_table,
            self._tensor([b.weights for b in blocks]),
            pull_start,
            pull_rows,
            pull_widths,
            pull_offsets,
            self._tensor([b.column for b in blocks]),
            any(t.factors or (t.uses and first.leaf_table in counted) for t in terms),
            any(t.uses and first.leaf_table not in counted for t in terms),
            _aligned(blocks),
            all(width % 16 == 0 and offset % 16 == 0 for b in blocks for _, width, offset in b.pulls),
        )

    def edges(self, blocks: list[_Block]) -> FusedEdges:
        """Terms of one shape, those that share weights beside each other."""
        first = blocks[0]
        sharing: dict[int, list[tuple[_Block, int]]] = {}
        for block in blocks:
            for t in range(len(block.terms)):
                sharing.setdefault(block.weights + t * first.width, []).append((block, t))
        runs = list(_runs(list(sharing.values()), first.nodes, first.width))
        run_start, nodes_at, elements_at, offsets, strides, weights_at = self._runs(
            runs,
            lambda e: e[0].node,
            lambda e: e[0].element,
            lambda e: e[1] * e[0].width,
            lambda e: len(e[0].terms) * e[0].width,
            lambda e: e[0].weights + e[1] * e[0].width,
        )
        return FusedEdges(
            first.nodes,
            first.width,
            len(runs),
            run_start,
            nodes_at,
            elements_at,
            offsets,
            strides,
            weights_at,
            len(runs) > len(sharing),
            _aligned(blocks),
        )

    def leaves(self, t: int, table: LeafTable, blocks: list[_Block]) -> FusedLeaves:
        """All uses of a leaf table, those of one parameter set beside each other."""
        sets = table.rows.tolist()
        users: dict[int, list[tuple[_Block, int, int]]] = {}
        for block in blocks:
            for i, term in enumerate(block.terms):
                for use in term.uses:
                    users.setdefault(sets[use], []).append((block, i, use))
        run_start, held, elements_at, offsets, strides = self._runs(
            list(users.values()),
            lambda e: e[2],
            lambda e: e[0].element,
            lambda e: e[1] * e[0].width,
            lambda e: len(e[0].terms) * e[0].width,
        )
        assert table.categories is not None
        aligned = table.nodes % 16 == 0
        return FusedLeaves(
            t,
            table.nodes,
            table.categories,
            len(users),
            run_start,
            self._tensor(list(users)),
            held,
            elements_at,
            offsets,
            strides,
            aligned,
        )


def _runs(sharing: list[list[T]], nodes: int, width: int) -> Iterator[list[T]]:
    """Runs of terms that share weights: long, but enough of them to fill the chip."""
    tiles = -(-nodes // 128) * -(-width // 128) * len(sharing)
    parts = max(1, FILL // tiles)
    for terms in sharing:
        step = max(1, -(-len(terms) // parts))
        yield from (terms[i : i + step] for i in range(0, len(terms), step))


def _rows(tables: tuple[SumTable, ...], starts: list[int], device: torch.device) -> tuple[FusedRows, ...]:
    whole = [(t, start) for t, start in zip(tables, starts, strict=False) if t.choice.kernel.support() is None]
    holed = [(t, start) for t, start in zip(tables, starts, strict=False) if t.choice.kernel.support() is not None]
    return tuple(_joined(parts, device) for parts in (whole, holed) if parts)


def _joined(parts: list[tuple[SumTable, int]], device: torch.device) -> FusedRows:
    at, lengths, learns, support, support_at, held = [], [], [], [], [], 0
    for table, start in parts:
        sets, nodes, elements = table.shape
        at.append(start + torch.arange(sets * nodes) * elements)
        lengths.append(torch.full((sets * nodes,), elements))
        trains = torch.ones(sets, dtype=torch.bool) if table.trainable is None else table.trainable.cpu()
        learns.append(trains.repeat_interleave(nodes))
        if (holes := table.choice.kernel.support()) is not None:
            support.append(holes.flatten().cpu())
            support_at.append((held + torch.arange(nodes) * elements).repeat(sets))
            held += nodes * elements
    return FusedRows(
        torch.cat(at).to(device),
        torch.cat(lengths).to(device, torch.int32),
        torch.cat(learns).to(device, torch.int32),
        max(table.shape[2] for table, _ in parts),
        torch.cat(support).to(device) if support else None,
        torch.cat(support_at).to(device) if support else None,
    )


def _aligned(blocks: list[_Block]) -> bool:
    return all(block.weights % 16 == 0 and block.width % 16 == 0 for block in blocks)


def _blocks(
    layer: Layer,
    sum_tables: tuple[SumTable, ...],
    starts: list[int],
    values: dict[int, int],
    elements: dict[int, int],
) -> Iterator[_Block]:
    groups, terms = _groups(layer), _terms(layer)
    held = [[_Term([], [], layer.unit + g) for _ in terms] for g in range(groups)]
    for t, term in enumerate(terms):
        for factor in term.factors:
            for g, (row, unit) in enumerate(zip(_numbers(factor.rows), _numbers(factor.units), strict=True)):
                held[g][t].factors.append((values[factor.width] + row * factor.width, unit))
        for leaf in term.leaves:
            for g in range(groups):
                held[g][t].uses.append(leaf.first_use + g)
    pulls: list[list[tuple[int, int, int]]] = [[] for _ in range(groups)]
    for pull in layer.pulls:
        for g, row in zip(pull.order, _numbers(pull.rows), strict=True):
            pulls[g].append((elements[pull.elements] + row * pull.elements, pull.elements, pull.offset))
    columns = [-1] * groups
    for block, column in layer.outputs:
        columns[block] = column
    leaf_table = min((f.table for t in terms for f in t.leaves), default=None)
    is_sum = isinstance(layer, SumLayer)
    table = layer.table if isinstance(layer, SumLayer) else 0
    sets = _numbers(layer.parameters) if isinstance(layer, SumLayer) else [0] * groups
    for g in range(groups):
        yield _Block(
            is_sum,
            layer.nodes,
            terms[0].width,
            leaf_table,
            values[layer.nodes] + (layer.value_row + g) * layer.nodes,
            layer.unit + g,
            elements[layer.elements] + (layer.element_row + g) * layer.elements,
            held[g],
            pulls[g],
            columns[g],
            table,
            starts[table] + sets[g] * layer.nodes * layer.elements if is_sum else 0,
        )


def _terms(layer: Layer) -> tuple[Term, ...]:
    """What a layer multiplies; a vector of leaves is a product of one leaf."""
    if isinstance(layer, SumLayer):
        return layer.terms
    if isinstance(layer, ProductLayer):
        return (layer.term,)
    assert isinstance(layer, InputLayer)
    return (Term(0, layer.nodes, (), (LeafFactor(layer.table, layer.first_use),)),)


def _groups(layer: Layer) -> int:
    assert isinstance(layer, InputLayer | ProductLayer | SumLayer)
    return len(layer.blocks)


def _numbers(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop, rows.step or 1)) if isinstance(rows, slice) else [int(r) for r in rows.tolist()]
