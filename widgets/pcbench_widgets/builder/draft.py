"""A draft: blocks on their way to a circuit. Incomplete is allowed; what can never become a circuit is not.

`Draft` holds the blocks and what follows from them (scopes, node counts, parents), and takes a `Change` forwards and
backwards. Which changes are legal stands in `rules`; widgets/src/workbench/builder/draft.ts is its twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pcbench import Dense, Distribution, Finite, Parameter
from pcbench.circuit import SumEdges
from pcbench.errors import CircuitError
from pcbench.scope import Domain

KINDS = ("input", "product", "sum")
_MOST_NAMES = 6


class Refusal(CircuitError):
    """An edit that was not made; the text says why, `node` is the id of the block at which to show it."""

    def __init__(self, reason: str, node: int | None = None) -> None:
        super().__init__(reason)
        self.node = node


@dataclass(frozen=True, eq=False)
class DraftBlock:
    """One block. `nodes` is what the user chose; a product's follows from its children (see `Draft.nodes`).

    `parameter` None means fresh values of whatever shape fits; blocks that hold the same object are tied.
    """

    id: int
    kind: str
    name: str | None = None
    children: tuple[int, ...] = ()
    nodes: int = 1
    variable: str = ""
    distribution: Distribution | None = None
    edges: SumEdges = field(default_factory=Dense)
    parameter: Parameter | None = None
    index: Tensor | None = None
    x: float | None = None
    y: float | None = None
    group: str | None = None

    @property
    def label(self) -> str:
        """The user's name, or kind and id."""
        return self.name or f"{self.kind}#{self.id}"

    def fresh(self) -> DraftBlock:
        """The same block with dense edges and no values: what is left when its elements change."""
        return self if self.kind == "product" else replace(self, edges=Dense(), parameter=None)


Pair = tuple[DraftBlock | None, DraftBlock | None]
Domains = Mapping[str, Domain]


@dataclass(frozen=True, eq=False)
class Change:
    """Blocks before and after by id, and the variables and roots where they changed."""

    blocks: Mapping[int, Pair]
    variables: tuple[Domains, Domains] | None = None
    roots: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def inverse(self) -> Change:
        return Change(
            {id: (after, before) for id, (before, after) in self.blocks.items()},
            None if self.variables is None else (self.variables[1], self.variables[0]),
            None if self.roots is None else (self.roots[1], self.roots[0]),
        )

    def then(self, later: Change) -> Change:
        """Both as one."""
        blocks = dict(self.blocks)
        for id, (before, after) in later.blocks.items():
            blocks[id] = (blocks[id][0] if id in blocks else before, after)
        return Change(blocks, _joined(self.variables, later.variables), _joined(self.roots, later.roots))


def _joined(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first[0], second[1]


class Draft:
    """Blocks by id, variables in column order, and the roots that the user chose (none: whatever has no parent)."""

    def __init__(self) -> None:
        self.blocks: dict[int, DraftBlock] = {}
        self.variables: Domains = {}
        self.roots: tuple[int, ...] = ()
        self.parents: dict[int, dict[int, None]] = {}
        self.scope: dict[int, int] = {}
        """Bit set over `bits`."""
        self.open: dict[int, bool] = {}
        """Whether the block, or one below it, still waits for children: its scope may grow."""
        self.nodes: dict[int, int] = {}
        self.bits: dict[str, int] = {}

    def put(self, change: Change) -> set[int]:
        """Makes a change, without a question; gives the ids of blocks whose number of nodes became another."""
        if change.variables is not None:
            self.variables = change.variables[1]
        if change.roots is not None:
            self.roots = change.roots[1]
        for id, (before, after) in change.blocks.items():
            if before is not None:
                for child in before.children:
                    self.parents.get(child, {}).pop(id, None)
            if after is None:
                for table in (self.blocks, self.scope, self.open, self.nodes):
                    table.pop(id, None)
            else:
                self.blocks[id] = after
                self.parents.setdefault(id, {})
        for id, (_, after) in change.blocks.items():
            for child in () if after is None else after.children:
                self.parents.setdefault(child, {})[id] = None
        for id, (_, after) in change.blocks.items():
            if after is None and not self.parents.get(id):
                self.parents.pop(id, None)
        return self._settle(id for id, (_, after) in change.blocks.items() if after is not None)

    def _settle(self, changed: Iterable[int]) -> set[int]:
        """Brings what follows from the blocks up to date, from the changed ones upwards; children before parents."""
        affected = self.ancestors(changed)
        waiting = {id: sum(child in affected for child in set(self.blocks[id].children)) for id in affected}
        ready = [id for id, count in waiting.items() if count == 0]
        resized: set[int] = set()
        while ready:
            id = ready.pop()
            if self._derive(self.blocks[id]):
                resized.add(id)
            for parent in self.parents[id]:
                waiting[parent] -= 1
                if waiting[parent] == 0:
                    ready.append(parent)
        return resized

    def _derive(self, block: DraftBlock) -> bool:
        if block.kind == "input":
            scope = 1 << self.bits.setdefault(block.variable, len(self.bits))
            still_open, nodes = False, block.nodes
        else:
            scope = 0
            still_open = not block.children
            for child in block.children:
                scope |= self.scope[child]
                still_open = still_open or self.open[child]
            nodes = block.nodes
            if block.kind == "product":
                nodes = self.nodes[block.children[0]] if block.children else 1
                nodes = nodes if block.index is None else len(block.index)
        before = self.nodes.get(block.id)
        self.scope[block.id], self.open[block.id], self.nodes[block.id] = scope, still_open, nodes
        return before is not None and before != nodes

    def ancestors(self, ids: Iterable[int]) -> dict[int, None]:
        """The blocks and everything above them."""
        found = dict.fromkeys(ids)
        stack = list(found)
        while stack:
            for parent in self.parents[stack.pop()]:
                if parent not in found:
                    found[parent] = None
                    stack.append(parent)
        return found

    def is_below(self, id: int, top: int) -> bool:
        """Whether a block is `top` or somewhere below it; looked for from below, where circuits are narrow."""
        return top in self.ancestors([id])

    def elements(self, block: DraftBlock) -> int:
        """How many nodes the children have together."""
        return sum(self.nodes[child] for child in block.children)

    def parameter_count(self, block: DraftBlock) -> int:
        if block.distribution is not None:
            return block.distribution.num_parameters * block.nodes
        return block.edges.count(block.nodes, self.elements(block)) if block.kind == "sum" and block.children else 0

    def parameter_shape(self, block: DraftBlock) -> tuple[int, ...]:
        if block.distribution is not None:
            return (block.distribution.num_parameters, block.nodes)
        return block.edges.weight_shape(block.nodes, self.elements(block))

    def tops(self) -> tuple[int, ...]:
        """The chosen roots; or, where none is chosen, the blocks without a parent."""
        return self.roots or tuple(sorted(id for id in self.blocks if not self.parents[id]))

    def names(self, scope: int) -> str:
        """A scope for messages: at most six names."""
        members = [name for name in self.variables if scope >> self.bits.get(name, len(self.bits)) & 1]
        cut = f", … {len(members)} in all" if len(members) > _MOST_NAMES else ""
        return "{" + ", ".join(members[:_MOST_NAMES]) + cut + "}"

    def overlap(self, block: DraftBlock) -> tuple[int, int, int] | None:
        """Two children of a product and the variables that they share; None where it is decomposable."""
        seen = 0
        for child in block.children:
            if common := seen & self.scope[child]:
                return next(c for c in block.children if self.scope[c] & common), child, common
            seen |= self.scope[child]
        return None


def domain_size(domain: Domain) -> int | None:
    """A domain as it travels: the number of values, None for the real line."""
    return domain.size if isinstance(domain, Finite) else None


def problems(draft: Draft) -> Iterator[tuple[int | None, str]]:
    """What keeps the draft from being a circuit: the block, where there is one, and a sentence."""
    if not draft.blocks:
        yield None, "The document is empty: add an input."
        return
    below = _below(draft, draft.roots) if draft.roots else None
    for block in draft.blocks.values():
        if block.kind != "input":
            yield from ((block.id, text) for text in _block_problems(draft, block))
        if below is not None and block.id not in below:
            yield block.id, f"{block.label} is not below a root: connect it, make it a root, or remove it"
    tops = draft.tops()
    if not draft.roots and len(tops) > 1:
        shown = ", ".join(draft.blocks[id].label for id in tops[:_MOST_NAMES]) + (", …" if len(tops) > _MOST_NAMES else "")
        yield tops[-1], f"{len(tops)} blocks have no parent ({shown}): connect them, or choose the root"


def _block_problems(draft: Draft, block: DraftBlock) -> Iterator[str]:
    if not block.children:
        yield f"{block.label} has no children"
    elif block.kind == "product":
        if shared := draft.overlap(block):
            first, second = (draft.blocks[id].label for id in shared[:2])
            names = draft.names(shared[2])
            yield f"{block.label} is not decomposable: its children {first} and {second} both depend on {names}"
        sizes = [draft.nodes[child] for child in block.children]
        if block.index is None and len(set(sizes)) > 1:
            yield f"{block.label} multiplies node by node, but its children have {', '.join(map(str, sizes))} nodes"
    else:
        for child in block.children:
            if (lacking := draft.scope[block.id] & ~draft.scope[child]) and not draft.open[child]:
                names, label = draft.names(lacking), draft.blocks[child].label
                yield f"{block.label} is not smooth: its child {label} does not depend on {names}, which other children do"


def _below(draft: Draft, tops: Iterable[int]) -> set[int]:
    found = set(tops)
    stack = list(found)
    while stack:
        for child in draft.blocks[stack.pop()].children:
            if child not in found:
                found.add(child)
                stack.append(child)
    return found
