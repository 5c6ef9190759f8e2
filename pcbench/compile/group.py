"""Second pass: units of one shape and level become a layer, laid out so that neighbours are neighbours in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcbench_kernels import Choice, SumPattern, choose_sum_kernel

from ..circuit import Block, BlockSparse, Circuit, Dense, InputBlock, Parameter, ProductBlock, SumBlock
from ..errors import ParameterError
from ..scope import Finite
from .layers import (
    Factor,
    InputLayer,
    Layer,
    LeafFactor,
    LeafTable,
    ProductLayer,
    Pull,
    SumLayer,
    SumTable,
    Term,
    compact,
)
from .lower import TermSpec, Unit

#: How many multiplications a matrix product may do for one that counts before a sparse layout wins: Tensor Cores do sixteen
#: times the work of the other units, and zeros keep a layer with the fused kernels.
WASTE = {"cpu": 4, "cuda": 32}


@dataclass
class _LeafBuilder:
    """A leaf table under construction."""

    index: int
    first: InputBlock
    categories: int | None
    rows_of: dict[Parameter, int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    element_rows: list[int] = field(default_factory=list)
    blocks: list[InputBlock] = field(default_factory=list)

    def add(self, block: InputBlock, element_row: int) -> int:
        self.rows.append(self.rows_of.setdefault(block.parameter, len(self.rows_of)))
        self.element_rows.append(element_row)
        self.blocks.append(block)
        return len(self.rows) - 1


@dataclass
class _SumBuilder:
    """A weight table under construction."""

    index: int
    pattern: SumPattern
    choice: Choice
    rows_of: dict[Parameter, int] = field(default_factory=dict)
    uses: int = 0


@dataclass(frozen=True)
class _Parent:
    """A term that multiplies a unit: where the flow for the unit will be found."""

    elements: int
    row: int
    offset: int
    width: int
    columns: Tensor | None


class Grouping:
    """Lays units out, level by level; the result is ``layers``, the tables, and where every block went."""

    def __init__(self, circuit: Circuit, units: list[Unit], device: str = "cpu") -> None:
        self.circuit = circuit
        self._waste = WASTE[device]
        self.value_rows: dict[int, int] = {}  # rows handed out in each arena so far
        self.element_rows: dict[int, int] = {}
        self.num_units = 0
        self.address: dict[Block, tuple[int, int]] = {}  # unit -> (row in values[nodes], unit number)
        self.term_of: dict[Block, tuple[int, int, int]] = {}  # fused leaf or unit's own element row: (elements, row, offset)
        self.leaf_use: dict[InputBlock, tuple[int, int]] = {}
        self._parents: dict[Block, list[_Parent]] = {}
        self._leaves: dict[Hashable, _LeafBuilder] = {}
        self._sums: dict[Hashable, _SumBuilder] = {}
        self._patterns: dict[Parameter, Hashable] = {}
        self._outputs: dict[Block, list[int]] = {}
        column = 0
        for root in circuit.roots:
            self._outputs.setdefault(root, []).append(column)
            column += root.nodes
        drafts: list[Callable[[], Layer]] = []
        grouped: dict[tuple[int, Hashable], list[Unit]] = {}
        for unit in units:
            grouped.setdefault((unit.level, self._signature(unit)), []).append(unit)
        # Levels first; inside a level, the order of first appearance.
        for _, members in sorted(grouped.items(), key=lambda item: item[0][0]):
            drafts.append(self._lay_out(len(drafts), members))
        # Parents are known only once every layer is laid out, so pulls are filled in last.
        self.layers: tuple[Layer, ...] = tuple(make() for make in drafts)
        self.sum_tables = tuple(_finished_sums(b) for b in self._sums.values())
        self.leaf_tables = tuple(_finished_leaves(b) for b in self._leaves.values())

    # -- what may share a layer -----------------------------------------------------------------------------------------
    def _signature(self, unit: Unit) -> Hashable:
        block = unit.block
        if isinstance(block, InputBlock):
            return ("input", self._leaf_key(block))
        single = len(unit.terms) == 1
        terms = tuple(_term_signature(t, single, self._leaf_key) for t in unit.terms)
        if isinstance(block, ProductBlock):
            return ("product", block.nodes, terms)
        return ("sum", block.nodes, block.elements, terms, self._pattern_key(block))

    def _leaf_key(self, block: InputBlock) -> Hashable:
        domain = block.variable.domain
        return (block.distribution, block.nodes, domain.size if isinstance(domain, Finite) else None)

    def _pattern_key(self, block: SumBlock) -> Hashable:
        edges = block.edges
        shape = (block.nodes, block.elements)
        key: Hashable = (*shape, 0)
        if not isinstance(edges, Dense):
            tile = edges.tile if isinstance(edges, BlockSparse) else 1
            key = (*shape, tile, edges.rows.numpy().tobytes(), edges.cols.numpy().tobytes())
        if self._patterns.setdefault(block.parameter, key) != key:
            raise ParameterError(
                f"{self.circuit.label(block)} is tied to a sum block with other edges; tied blocks need the same edges"
            )
        if key not in self._sums:
            if isinstance(edges, Dense):
                pattern = SumPattern(*shape)
            else:
                tile = edges.tile if isinstance(edges, BlockSparse) else 1
                pattern = SumPattern(*shape, tile, edges.rows, edges.cols, self._waste)
            self._sums[key] = _SumBuilder(len(self._sums), pattern, choose_sum_kernel(pattern))
        return key

    # -- placing a layer ------------------------------------------------------------------------------------------------
    def _lay_out(self, index: int, members: list[Unit]) -> Callable[[], Layer]:
        first = members[0].block
        members = sorted(members, key=self._placement)
        blocks = [u.block for u in members]
        elements = first.elements if isinstance(first, SumBlock) else first.nodes
        value_row = _reserve(self.value_rows, first.nodes, len(members))
        element_row = _reserve(self.element_rows, elements, len(members))
        unit = self.num_units
        self.num_units += len(members)
        for i, block in enumerate(blocks):
            self.address[block] = (value_row + i, unit + i)
            self.term_of[block] = (elements, element_row + i, 0)
        terms = self._place_terms(members, elements, element_row)
        outputs = tuple((i, c) for i, b in enumerate(blocks) for c in self._outputs.get(b, []))
        place = (index, members[0].level, first.nodes, elements, unit, value_row, element_row)

        if isinstance(first, InputBlock):
            table, use = self._use_leaves([b for b in blocks if isinstance(b, InputBlock)], element_row)
            inputs = tuple(b for b in blocks if isinstance(b, InputBlock))
            return lambda: InputLayer(*place, self._pulls(blocks), outputs, inputs, table, use)
        if isinstance(first, ProductBlock):
            products = tuple(b for b in blocks if isinstance(b, ProductBlock))
            return lambda: ProductLayer(*place, self._pulls(blocks), outputs, products, terms[0])
        sums = tuple(b for b in blocks if isinstance(b, SumBlock))
        key = self._pattern_key(sums[0])
        builder = self._sums[key]
        rows = [builder.rows_of.setdefault(b.parameter, len(builder.rows_of)) for b in sums]
        builder.uses += len(rows)
        return lambda: SumLayer(*place, self._pulls(blocks), outputs, sums, terms, builder.index, compact(rows))

    def _placement(self, unit: Unit) -> tuple[int, int]:
        """More factors first (factor ``j`` then covers a prefix of the layer), then in the order of the first child."""
        factors = unit.terms[0].factors if unit.terms else []
        first = self.address[factors[0][0]][0] if factors else self.circuit.index[unit.block]
        return (-len(factors), first)

    def _place_terms(self, members: list[Unit], elements: int, element_row: int) -> tuple[Term, ...]:
        terms: list[Term] = []
        offset = 0
        for t in range(len(members[0].terms)):
            specs = [u.terms[t] for u in members]
            factors = []
            for j in range(len(specs[0].factors)):
                chosen = [s.factors[j] for s in specs if j < len(s.factors)]
                factors.append(self._factor(chosen))
                for g, (child, columns) in enumerate(chosen):
                    parent = _Parent(elements, element_row + g, offset, specs[0].width, columns)
                    self._parents.setdefault(child, []).append(parent)
            leaves = []
            for j in range(len(specs[0].leaves)):
                table, use = self._use_leaves([s.leaves[j] for s in specs], element_row)
                leaves.append(LeafFactor(table, use))
            for g, unit in enumerate(members):
                if isinstance(unit.block, SumBlock) and unit.block.children[t] not in self.address:
                    self.term_of[unit.block.children[t]] = (elements, element_row + g, offset)
            terms.append(Term(offset, specs[0].width, tuple(factors), tuple(leaves)))
            offset += specs[0].width
        return tuple(terms)

    def _factor(self, chosen: list[tuple[Block, Tensor | None]]) -> Factor:
        rows = compact([self.address[c][0] for c, _ in chosen])
        units = compact([self.address[c][1] for c, _ in chosen])
        return Factor(len(chosen), chosen[0][0].nodes, rows, units, _stacked([k for _, k in chosen]))

    def _use_leaves(self, blocks: list[InputBlock], element_row: int) -> tuple[int, int]:
        key = self._leaf_key(blocks[0])
        domain = blocks[0].variable.domain
        categories = domain.size if isinstance(domain, Finite) else None
        builder = self._leaves.setdefault(key, _LeafBuilder(len(self._leaves), blocks[0], categories))
        uses = [builder.add(b, element_row + i) for i, b in enumerate(blocks)]
        for i, block in enumerate(blocks):
            self.leaf_use[block] = (builder.index, uses[i])
        return builder.index, uses[0]

    def _pulls(self, blocks: list[Block]) -> tuple[Pull, ...]:
        """Group parents by where their flows lie; a round holds each block at most once."""
        rounds: dict[Hashable, tuple[list[int], list[_Parent]]] = {}
        for i, block in enumerate(blocks):
            seen: dict[Hashable, int] = {}
            for parent in self._parents.get(block, []):
                place = (parent.elements, parent.offset, parent.width, parent.columns is None)
                seen[place] = seen.get(place, 0) + 1
                targets, found = rounds.setdefault((place, seen[place]), ([], []))
                targets.append(i)
                found.append(parent)
        pulls = []
        for targets, found in rounds.values():
            p = found[0]
            everyone = targets == list(range(len(blocks)))
            pulls.append(
                Pull(
                    None if everyone else torch.tensor(targets),
                    tuple(targets),
                    p.elements,
                    compact([f.row for f in found]),
                    p.offset,
                    p.width,
                    _stacked([f.columns for f in found]),
                )
            )
        # A pull that covers every block goes first: it writes, and the others add.
        return tuple(sorted(pulls, key=lambda p: p.targets is not None))


def _term_signature(term: TermSpec, single: bool, leaf_key: Callable[[InputBlock], Hashable]) -> Hashable:
    leaves = tuple(leaf_key(b) for b in term.leaves)
    plain = all(k is None and b.nodes == term.width for b, k in term.factors)
    if single and plain and term.factors:
        return (term.width, leaves, "any number of plain factors")
    return (term.width, leaves, tuple((b.nodes, k is None) for b, k in term.factors))


def _stacked(columns: list[Tensor | None]) -> Tensor | None:
    present = [c for c in columns if c is not None]
    if not present:
        return None
    stacked = torch.stack(present)
    return stacked[:1] if bool((stacked == stacked[:1]).all()) else stacked


def _reserve(counter: dict[int, int], width: int, count: int) -> int:
    start = counter.get(width, 0)
    counter[width] = start + count
    return start


def _trainable(parameters: tuple[Parameter, ...]) -> Tensor | None:
    return None if all(p.trainable for p in parameters) else torch.tensor([p.trainable for p in parameters])


def _finished_sums(builder: _SumBuilder) -> SumTable:
    parameters = tuple(builder.rows_of)
    return SumTable(builder.pattern, builder.choice, parameters, _trainable(parameters), builder.uses)


def _finished_leaves(builder: _LeafBuilder) -> LeafTable:
    parameters = tuple(builder.rows_of)
    return LeafTable(
        builder.first.distribution,
        builder.first.nodes,
        builder.categories,
        parameters,
        _trainable(parameters),
        torch.tensor(builder.rows),
        torch.tensor([b.variable.index for b in builder.blocks]),
        torch.tensor(builder.element_rows),
        tuple(builder.blocks),
    )
