"""Determinism: at most one child of a sum is positive, whatever the values. MPE is then exact, and EM needs one step.

Whether two nodes can be positive together is decided pair by pair, downwards:

- two leaves of one variable: when their supports meet;
- a sum and another node: when some child with a positive weight and the other node can;
- two products: never, when some pair of their children over common variables never can; surely, when each child meets at most
  one child of the other product and all those pairs surely can.

What remains is « unknown »: deciding it is NP-hard. So a « yes » is a proof, and a « no » says which of the two it is.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from itertools import combinations
from typing import TypeAlias

import torch
from torch import Tensor

from ..errors import OptionError, hinted
from ..scope import Finite, Scope
from .blocks import Block, BlockSparse, Dense, InputBlock, Parameter, ProductBlock, SumBlock
from .circuit import Circuit
from .properties import Report, decomposable
from .validity import Violation

#: One comparison costs about two microseconds; a million says « not shown » within seconds.
BUDGET = 1_000_000

#: How many values of a common assignment a message shows.
SHOWN = 8


class Overlap(enum.Enum):
    """Whether two nodes can be positive at the same values."""

    NEVER = "never"
    SURE = "sure"
    UNKNOWN = "unknown"


Pair: TypeAlias = tuple[int, int]
Steps: TypeAlias = Generator[Pair, Overlap, Overlap]


@hinted
def deterministic(circuit: Circuit, values: dict[Parameter, Tensor] | None = None, budget: int = BUDGET) -> Report:
    """Every sum node's children have disjoint supports.

    Args:
        circuit: any decomposable circuit; for others the report says where they are not.
        values: of the parameters (as of ``model.values()``); where left out, the circuit's own. A parameter without a
            value counts as positive everywhere.
        budget: most pairs of nodes to compare.

    Returns:
        A report; each violation names a sum node, two of its children, and values at which both are positive, or says
        that their disjointness was not shown.
    """
    if budget < 1:
        raise OptionError(f"budget must be at least 1, got {budget}")
    if not (undecomposable := decomposable(circuit)):
        # A product of dependent factors may be zero where each factor is not: nothing below would mean anything.
        return Report("deterministic", undecomposable.violations)
    supports = _Supports(circuit, values or {})
    search = _Search(supports, budget)
    found: list[Violation] = []
    for block in circuit.blocks:
        if isinstance(block, SumBlock):
            try:
                violation = _violation(circuit, block, supports, search)
            except _OutOfBudgetError:
                label = circuit.label(block)
                found.append(Violation(block, f"{label}: not shown to be deterministic within {budget:,} comparisons"))
                break
            if violation is not None:
                found.append(violation)
    return Report("deterministic", tuple(found))


def _violation(circuit: Circuit, block: SumBlock, supports: _Supports, search: _Search) -> Violation | None:
    """The first pair of children that can be positive together, for the first node that has one."""
    checked: set[tuple[int, ...]] = set()
    for node in range(block.nodes):
        children = tuple(supports.below(supports.start[circuit.index[block]] + node))
        if children in checked:
            continue
        checked.add(children)
        for a, b in combinations(children, 2):
            overlap = search.overlap(a, b)
            if overlap is Overlap.NEVER:
                continue
            head = f"{circuit.label(block)}: node {node} is not deterministic: its children "
            both = f"{supports.label(a)} and {supports.label(b)}"
            if overlap is Overlap.SURE:
                return Violation(block, f"{head}{both} are both positive at {search.witness(a, b)}")
            return Violation(
                block, f"{circuit.label(block)}: node {node}: its children {both} were not shown to exclude each other"
            )
    return None


class _Supports:
    """Nodes by number, block by block: their children with positive weight, and where they are positive."""

    def __init__(self, circuit: Circuit, values: dict[Parameter, Tensor]) -> None:
        self.circuit = circuit
        self.values = values
        self.start: list[int] = []
        self.owner: list[int] = []
        self._masks: dict[Parameter, list[int] | None] = {}
        self._sorted: dict[int, tuple[list[int], list[int]]] = {}
        self._below: dict[int, list[int]] = {}
        alive: list[Tensor] = []
        full: list[Tensor] = []
        for i, block in enumerate(circuit.blocks):
            self.start.append(len(self.owner))
            self.owner += [i] * block.nodes
            alive.append(self._flags(block, alive, False))
            full.append(self._flags(block, full, True))
        self.is_alive: list[bool] = torch.cat(alive).tolist()  # positive for some values
        self.is_full: list[bool] = torch.cat(full).tolist()  # positive for all values

    def _flags(self, block: Block, flags: list[Tensor], everywhere: bool) -> Tensor:
        """Which nodes of a block are positive somewhere, or everywhere, from the same of the blocks below: ``[N]`` bool."""
        if isinstance(block, InputBlock):
            masks = self._leaf_masks(block)
            if masks is None or not isinstance(block.variable.domain, Finite):
                return torch.ones(block.nodes, dtype=torch.bool)
            every = (1 << block.variable.domain.size) - 1
            return torch.tensor([m == every if everywhere else m != 0 for m in masks])
        parts = [flags[self.circuit.index[c]] for c in block.children]
        if isinstance(block, ProductBlock):
            index = block.index
            return torch.stack([p if index is None else p[index[:, k]] for k, p in enumerate(parts)]).all(0)
        elements = torch.cat(parts)
        weights = self._weights(block)
        if isinstance(block.edges, Dense):
            if weights is None:
                return elements.any().expand(block.nodes)
            return ((weights > 0) & elements).any(1)
        rows, cols = self._edges(block)
        return torch.bincount(rows[elements[cols]], minlength=block.nodes) > 0

    def label(self, node: int) -> str:
        i = self.owner[node]
        return f"{self.circuit.label(self.circuit.blocks[i])}[{node - self.start[i]}]"

    def below(self, node: int) -> list[int]:
        """The children of a product node; those of a sum node that have a positive weight and can be positive."""
        if node not in self._below:
            i = self.owner[node]
            block = self.circuit.blocks[i]
            starts = [self.start[self.circuit.index[c]] for c in block.children]
            n = node - self.start[i]
            if isinstance(block, SumBlock):
                ends = [(s, s + c.nodes) for s, c in zip(starts, block.children, strict=True)]
                element = [k for s, e in ends for k in range(s, e)]
                row = [k for k in (element[e] for e in self._elements(i, block, n)) if self.is_alive[k]]
            else:
                assert isinstance(block, ProductBlock)  # leaves are never opened
                picks = [n] * len(starts) if block.index is None else block.index[n].tolist()
                row = [s + k for s, k in zip(starts, picks, strict=True)]
            self._below[node] = row
        return self._below[node]

    def _elements(self, i: int, block: SumBlock, n: int) -> list[int]:
        """Elements to which a sum node has an edge of positive weight."""
        if isinstance(block.edges, Dense):
            weights = self._weights(block)
            return list(range(block.elements)) if weights is None else (weights[n] > 0).nonzero()[:, 0].tolist()
        if i not in self._sorted:
            rows, cols = self._edges(block)
            order = torch.argsort(rows, stable=True)
            bounds = torch.searchsorted(rows[order], torch.arange(block.nodes + 1))
            self._sorted[i] = (cols[order].tolist(), bounds.tolist())
        listed, ends = self._sorted[i]
        return listed[ends[n] : ends[n + 1]]

    def _weights(self, block: SumBlock) -> Tensor | None:
        return self.values.get(block.parameter, block.parameter.value)

    def _edges(self, block: SumBlock) -> tuple[Tensor, Tensor]:
        """Nodes and elements of a sparse block's edges of positive weight."""
        assert not isinstance(block.edges, Dense)  # callers look first
        rows, cols = block.edges.rows, block.edges.cols
        if isinstance(block.edges, BlockSparse):
            tile = block.edges.tile
            inside = torch.arange(tile)
            rows = (rows[:, None, None] * tile + inside[:, None]).expand(-1, tile, tile).reshape(-1)
            cols = (cols[:, None, None] * tile + inside).expand(-1, tile, tile).reshape(-1)
        weights = self._weights(block)
        if weights is None:
            return rows, cols
        kept = weights.reshape(-1) > 0
        return rows[kept], cols[kept]

    def _leaf_masks(self, block: InputBlock) -> list[int] | None:
        """Values with positive mass, as bit sets, one a node; ``None``: every value, or a density."""
        domain = block.variable.domain
        value = self.values.get(block.parameter, block.parameter.value)
        if value is None or not isinstance(domain, Finite):
            return None
        if block.parameter not in self._masks:
            positive = block.distribution.log_table(value.double(), domain) > -torch.inf
            if bool(positive.all()):  # the usual case, and bit sets of large tables take time
                self._masks[block.parameter] = [(1 << domain.size) - 1] * block.nodes
            else:
                columns = positive.T.tolist()
                self._masks[block.parameter] = [sum(1 << c for c, p in enumerate(column) if p) for column in columns]
        return self._masks[block.parameter]

    def mask(self, node: int) -> int:
        """The values at which a leaf over a finite domain is positive; −1 (all bits) for a density."""
        i = self.owner[node]
        block = self.circuit.blocks[i]
        assert isinstance(block, InputBlock)  # callers look first
        masks = self._leaf_masks(block)
        if masks is not None:
            return masks[node - self.start[i]]
        return (1 << block.variable.domain.size) - 1 if isinstance(block.variable.domain, Finite) else -1


class _OutOfBudgetError(Exception):
    """The search took more comparisons than it may."""


class _Search:
    """Overlap of pairs of nodes, each pair decided once, without recursion."""

    def __init__(self, supports: _Supports, budget: int) -> None:
        self.supports = supports
        self.circuit = supports.circuit
        self.left = budget
        self.known: dict[Pair, Overlap] = {}

    def overlap(self, a: int, b: int) -> Overlap:
        """Whether two nodes can be positive at the same values."""
        first = (min(a, b), max(a, b))
        if first in self.known:
            return self.known[first]
        stack: list[tuple[Pair, Steps]] = [(first, self._decide(*first))]
        answer: Overlap | None = None
        while stack:
            pair, steps = stack[-1]
            try:
                wanted = next(steps) if answer is None else steps.send(answer)
            except StopIteration as done:
                self.known[pair] = answer = done.value
                stack.pop()
                continue
            wanted = (min(wanted), max(wanted))
            answer = self.known.get(wanted)
            if answer is None:
                stack.append((wanted, self._decide(*wanted)))
        return self.known[first]

    def _decide(self, a: int, b: int) -> Steps:
        """The rules above. Yields the pairs it must know, and returns the answer. ``a <= b``."""
        self.left -= 1
        if self.left < 0:
            raise _OutOfBudgetError
        s = self.supports
        if not (s.is_alive[a] and s.is_alive[b]):
            return Overlap.NEVER
        if a == b or s.is_full[a] or s.is_full[b]:
            return Overlap.SURE
        if not self._scope(a) & self._scope(b):
            return Overlap.SURE
        kind = self._kind(a), self._kind(b)
        if kind == (InputBlock, InputBlock):
            return Overlap.SURE if s.mask(a) & s.mask(b) else Overlap.NEVER
        if SumBlock in kind:
            return (yield from self._decide_sum(a, b, kind[1] is SumBlock))
        return (yield from self._decide_product(a, b))

    def _decide_sum(self, a: int, b: int, open_later: bool) -> Steps:
        opened, other = (b, a) if open_later else (a, b)  # the later node is the higher one, so pairs meet again below
        result = Overlap.NEVER
        for child in self.supports.below(opened):
            overlap = yield (child, other)
            if overlap is Overlap.SURE:
                return Overlap.SURE
            if overlap is Overlap.UNKNOWN:
                result = Overlap.UNKNOWN
        return result

    def _decide_product(self, a: int, b: int) -> Steps:
        result = Overlap.SURE
        met: set[int] = set()
        for c, d in self._factor_pairs(a, b):
            overlap = yield (c, d)
            if overlap is Overlap.NEVER:
                return Overlap.NEVER
            # A factor that meets two factors of the other product must agree with both at once: nothing is sure then.
            if overlap is Overlap.UNKNOWN or c in met or d in met:
                result = Overlap.UNKNOWN
            met |= {c, d}
        return result

    def _factor_pairs(self, a: int, b: int) -> list[Pair]:
        left = self.supports.below(a) if self._kind(a) is ProductBlock else [a]
        right = self.supports.below(b) if self._kind(b) is ProductBlock else [b]
        return [(c, d) for c in left for d in right if self._scope(c) & self._scope(d)]

    def _kind(self, node: int) -> type:
        return type(self.circuit.blocks[self.supports.owner[node]])

    def _scope(self, node: int) -> Scope:
        return self.circuit.blocks[self.supports.owner[node]].scope

    # -- a witness ----------------------------------------------------------------------------------------------------
    def witness(self, a: int, b: int) -> str:
        """Values at which two nodes that surely overlap are both positive, for a message."""
        if self.supports.is_full[a] and self.supports.is_full[b]:
            return "all values"
        found: dict[int, int | None] = {}
        stack: list[Pair] = [(a, b)]
        while stack:
            stack += self._follow(*stack.pop(), found)
        variables = self.circuit.variables
        shown = [f"{variables[v].name}={'any' if x is None else x}" for v, x in sorted(found.items())]
        return ", ".join(shown[:SHOWN]) + (", …" if len(shown) > SHOWN else "")

    def _follow(self, a: int, b: int, found: dict[int, int | None]) -> list[Pair]:
        """One step of the proof that a pair overlaps: the pairs that carry it, or a value of a variable."""
        s = self.supports
        a, b = min(a, b), max(a, b)
        if a != b and s.is_full[b]:
            b = a  # a node that is positive everywhere asks for nothing
        elif a != b and s.is_full[a]:
            a = b
        elif a != b and not self._scope(a) & self._scope(b):
            return [(a, a), (b, b)]
        kind = self._kind(a), self._kind(b)
        if kind == (InputBlock, InputBlock):
            block = self.circuit.blocks[s.owner[a]]
            common = s.mask(a) & s.mask(b)
            found[block.scope.bit_length() - 1] = (common & -common).bit_length() - 1 if common >= 0 else None
            return []
        if a == b:
            return [(c, c) for c in (s.below(a)[:1] if kind[0] is SumBlock else s.below(a))]
        if SumBlock in kind:
            opened, other = (b, a) if kind[1] is SumBlock else (a, b)
            sure = (c for c in s.below(opened) if self.overlap(c, other) is Overlap.SURE)
            return [(next(sure), other)]
        pairs = self._factor_pairs(a, b)
        met = {c for pair in pairs for c in pair}
        factors = [c for n in (a, b) if self._kind(n) is ProductBlock for c in s.below(n)]
        return pairs + [(c, c) for c in factors if c not in met]
