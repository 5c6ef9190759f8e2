"""The blocks of a program as the fused kernels see them: all of them alike, with numbers for what they read and write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import InputLayer, Layer, LeafFactor, ProductLayer, Rows, SumLayer, SumTable, Term

#: Precision → most nodes, and elements, of a block of one term whose elements (or ratios) a program keeps on the chip.
NARROW = {"fast": 512, "exact": 128}
#: Most parts that a term is cut into where nodes see some of it only: each takes exponentials for every node of the block. More
#: where each node sees one of them, of at least eight elements, as in the leaf sums of Poon-Domingos circuits.
PARTS, DIAGONAL_PARTS, LEAST_PART = 8, 64, 8
#: Most parents that look a shared leaf up themselves, instead of reading what one of them stored.
LOOKED_UP = 4


@dataclass(eq=False)
class FusedTerm:
    """What a term multiplies: the units of its factors, and its uses of a leaf table; and the scale of each of its parts."""

    factors: list[int]
    uses: list[int]
    units: list[int]


@dataclass(eq=False)
class FusedBlock:
    """One block in the numbers of :class:`~pcbench_kernels.fused.FusedLayer`.

    Terms are cut into ``parts``, each of ``width`` elements. ``pulls``: (unit, term) of each parent whose term multiplies this
    block. ``seen``: ``[terms · parts, nodes]``, which nodes see a part, where not all of them do. ``node``, ``element`` and
    ``ratio`` are given by :func:`renumber`.
    """

    is_sum: bool
    nodes: int
    width: int
    leaf_table: int | None
    unit: int
    terms: list[FusedTerm]
    column: int
    table: int
    parameter: int
    weights: int
    level: int
    most: int
    pulls: list[tuple[FusedBlock, int]]
    parts: int = 1
    seen: Tensor | None = None
    node: int = 0
    element: int = 0
    ratio: int = 0

    @property
    def elements(self) -> int:
        return self.width * self.pieces

    @property
    def pieces(self) -> int:
        return self.parts * len(self.terms)

    @property
    def end(self) -> int:
        """Past the last of its weights."""
        return self.weights + self.nodes * self.elements

    @property
    def many(self) -> bool:
        return self.pieces > 1

    @property
    def narrow(self) -> bool:
        return self.is_sum and not self.many and max(self.nodes, self.width) <= self.most

    @property
    def shape(self) -> Hashable:
        """Blocks of one level and shape share a launch."""
        return (self.is_sum, self.nodes, self.width, self.leaf_table, self.narrow, self.many, self.parts, self.seen is None)


def products(layer: Layer) -> tuple[Term, ...]:
    """What a layer multiplies; a vector of leaves is a product of one leaf."""
    if isinstance(layer, SumLayer):
        return layer.terms
    if isinstance(layer, ProductLayer):
        return (layer.term,)
    assert isinstance(layer, InputLayer)
    return (Term(0, layer.nodes, (), (LeafFactor(layer.table, layer.first_use),)),)


def seen_parts(support: Tensor | None, terms: int) -> tuple[int, Tensor | None]:
    """The fewest equal parts of a term that every node sees as a whole or not at all, and ``[terms · parts, nodes]`` who sees
    which, from the weights that there are ``[nodes, elements]``.

    One part and ``None`` where all nodes see everything, and where there are no such parts.
    """
    if support is None or bool(support.all()):
        return 1, None
    nodes, width = len(support), support.shape[1] // terms
    for parts in (p for p in range(1, DIAGONAL_PARTS + 1) if width % p == 0):
        pieces = support.view(nodes, terms * parts, -1).transpose(0, 1)
        some = pieces.any(2)
        diagonal = int(some.sum(0).max()) == 1 and width >= LEAST_PART * parts
        if torch.equal(some, pieces.all(2)) and (parts <= PARTS or diagonal):
            return parts, some
    return 1, None


def blocks_of(
    layer: Layer, starts: list[int], tables: tuple[SumTable, ...], precision: str, units: Iterator[int]
) -> Iterator[FusedBlock]:
    """The blocks of a layer, without their pulls.

    A launch looks leaves of one table up; those of others get a block, and one of the ``units``, of their own.
    """
    assert isinstance(layer, InputLayer | ProductLayer | SumLayer)
    terms, groups = products(layer), len(layer.blocks)
    parts, seen = 1, None
    uses_of = Counter(f.table for t in terms for f in t.leaves)
    leaf_table = max(uses_of, key=lambda table: (uses_of[table], -table), default=None)
    if isinstance(layer, SumLayer):
        parts, seen = seen_parts(tables[layer.table].choice.kernel.support(), len(terms))
    held = [[FusedTerm([], [], [layer.unit + g] * parts) for _ in terms] for g in range(groups)]
    for t, term in enumerate(terms):
        for factor in term.factors:
            for g, unit in enumerate(numbers(factor.units)):
                held[g][t].factors.append(unit)
        for leaf in term.leaves:
            for g in range(groups):
                if leaf.table == leaf_table:
                    held[g][t].uses.append(leaf.first_use + g)
                else:
                    unit = next(units)
                    held[g][t].factors.append(unit)
                    yield _leaf(leaf.table, leaf.first_use + g, term.width, unit, NARROW[precision])
    columns = dict(layer.outputs)
    is_sum = isinstance(layer, SumLayer)
    table = layer.table if isinstance(layer, SumLayer) else -1
    sets = numbers(layer.parameters) if isinstance(layer, SumLayer) else [0] * groups
    for g in range(groups):
        yield FusedBlock(
            is_sum,
            layer.nodes,
            terms[0].width // parts,
            leaf_table,
            layer.unit + g,
            held[g],
            columns.get(g, -1),
            table,
            sets[g],
            starts[table] + sets[g] * layer.nodes * layer.elements if is_sum else 0,
            layer.level,
            NARROW[precision],
            [],
            parts,
            seen,
        )


def _leaf(table: int, use: int, nodes: int, unit: int, most: int) -> FusedBlock:
    """A vector of leaves with a value of its own."""
    return FusedBlock(False, nodes, nodes, table, unit, [FusedTerm([], [use], [unit])], -1, -1, 0, 0, 0, most, [])


def numbers(rows: Rows) -> list[int]:
    """Rows as Python numbers."""
    return list(range(rows.start, rows.stop, rows.step or 1)) if isinstance(rows, slice) else [int(r) for r in rows.tolist()]


def read(blocks: list[FusedBlock]) -> dict[int, FusedBlock]:
    """Fills in the pulls; the blocks by unit."""
    by_unit = {b.unit: b for b in blocks}
    for block in blocks:
        block.pulls = []
    for parent in blocks:
        for t, term in enumerate(parent.terms):
            for unit in term.factors:
                by_unit[unit].pulls.append((parent, t))
    return by_unit


def without_shared_leaves(blocks: list[FusedBlock]) -> list[FusedBlock]:
    """Leaves that a few parents share are looked up by each of them: cheaper than to store, read and gather flows for them."""
    by_unit = read(blocks)
    gone = set()
    for block in blocks:
        if block.is_sum or block.column >= 0 or not 1 <= len(block.pulls) <= LOOKED_UP:
            continue
        (term, *others), table = block.terms, block.leaf_table
        if others or term.factors or len(term.uses) != 1:
            continue
        if any(parent.leaf_table not in (None, table) for parent, _ in block.pulls):
            continue
        for parent, t in block.pulls:
            parent.leaf_table = table
            parent.terms[t].factors.remove(block.unit)
            parent.terms[t].uses.append(term.uses[0])
        gone.add(block.unit)
    if not gone:
        return blocks
    left = [b for b in blocks if b.unit not in gone]
    assert read(left).keys() <= by_unit.keys()
    return left


def renumber(blocks: list[FusedBlock]) -> tuple[int, int, int]:
    """Lays blocks out one after the other, wide ones first, so that all of one width stay aligned; nodes, elements, ratios.

    Ratios stand where values do, or beyond them where there are some for each term.
    """
    nodes = elements = 0
    for block in sorted(blocks, key=lambda b: -b.nodes):
        block.node, nodes = nodes, nodes + block.nodes
    for block in sorted(blocks, key=lambda b: -b.width):
        block.element, elements = elements, elements + block.elements
    ratios = nodes
    for block in sorted(blocks, key=lambda b: -b.nodes):
        block.ratio = block.node
        if block.seen is not None:
            block.ratio, ratios = ratios, ratios + block.nodes * block.pieces
    return nodes, elements, ratios


def launches_of(blocks: list[FusedBlock]) -> list[list[FusedBlock]]:
    """Blocks of one level and shape, in order of evaluation. Levels are counted anew, since looked-up leaves have left."""
    by_unit = read(blocks)
    launches: dict[Hashable, list[FusedBlock]] = {}
    for block in sorted(blocks, key=lambda b: b.level):
        below = [by_unit[unit].level for term in block.terms for unit in term.factors]
        block.level = 1 + max(below, default=0)
    for block in sorted(blocks, key=lambda b: b.level):
        launches.setdefault((block.level, block.shape), []).append(block)
    return list(launches.values())
