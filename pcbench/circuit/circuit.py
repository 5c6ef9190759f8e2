"""A circuit: roots, everything below them in topological order, and the variables. Frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..collector import collector_paused
from ..errors import CircuitError, CycleError, ParameterError, hinted_class
from ..scope import Scope, Variable, Variables
from .blocks import Block, InputBlock, Parameter, ProductBlock, SumBlock
from .validity import require_valid

T = TypeVar("T")


def topological_order(roots: Sequence[T], children: Mapping[T, Sequence[T]]) -> list[T]:
    """Children before parents, without recursion (an HMM of 4096 steps is a path of 8192 blocks).

    Raises:
        CycleError: naming the nodes along the cycle.
    """
    order: list[T] = []
    state: dict[T, int] = {}  # 1: on the path from a root, 2: done
    for root in roots:
        stack: list[tuple[T, int]] = [(root, 0)]
        while stack:
            node, position = stack.pop()
            if position == 0:
                if state.get(node) == 2:
                    continue
                state[node] = 1
            below = children[node]
            while position < len(below) and state.get(below[position]) == 2:
                position += 1
            if position == len(below):
                state[node] = 2
                order.append(node)
                continue
            child = below[position]
            if state.get(child) == 1:
                path = [n for n, _ in stack] + [node]
                loop = [*path[path.index(child) :], child]
                raise CycleError(f"a node is its own descendant: {' → '.join(str(n) for n in loop)}")
            stack.append((node, position + 1))
            stack.append((child, 0))
    return order


@hinted_class
class Circuit:
    """A smooth, decomposable circuit.

    Args:
        roots: one block or several; their nodes, in order, are the columns of a likelihood.
        variables: all variables, in column order; collected from the input blocks where left out.
        checked: raise on unsmooth sums and undecomposable products. ``False`` is for teaching what goes wrong without
            them: such a circuit can be looked at, but not compiled.

    Raises:
        SmoothnessError, DecomposabilityError: naming the block and the variables.
        CircuitError: for an empty list of roots, or inputs whose variables contradict ``variables``.
    """

    @collector_paused
    def __init__(self, roots: Block | Sequence[Block], variables: Variables | None = None, checked: bool = True) -> None:
        self.roots: tuple[Block, ...] = tuple(roots) if isinstance(roots, Sequence) else (roots,)
        if not self.roots:
            raise CircuitError("a circuit needs at least one root")
        self.blocks: tuple[Block, ...] = _reachable(self.roots)
        self.index: dict[Block, int] = {b: i for i, b in enumerate(self.blocks)}
        self.variables: Variables = _collect_variables(self.blocks, variables)
        _check_holders(self)
        self.checked = checked
        self.parameters: tuple[Parameter, ...] = tuple(
            dict.fromkeys(b.parameter for b in self.blocks if not isinstance(b, ProductBlock))
        )
        if checked:
            require_valid(self.blocks, self.variables, self.label)

    def label(self, block: Block) -> str:
        """A name for messages and views: the user's, or kind and position."""
        return block.name or f"{kind_of(block)}#{self.index[block]}"

    def parents(self) -> dict[Block, list[Block]]:
        """Each block's parents, once per edge."""
        out: dict[Block, list[Block]] = {b: [] for b in self.blocks}
        for block in self.blocks:
            for child in block.children:
                out[child].append(block)
        return out

    def levels(self) -> list[int]:
        """Longest distance of each block from an input, in the order of ``blocks``."""
        level: list[int] = []
        for block in self.blocks:
            level.append(1 + max((level[self.index[c]] for c in block.children), default=-1))
        return level

    @property
    def num_nodes(self) -> int:
        """Input and sum nodes (products carry no value of their own; this is how the literature counts)."""
        return sum(b.nodes for b in self.blocks if not isinstance(b, ProductBlock))

    @property
    def num_edges(self) -> int:
        """Sum edges."""
        return sum(b.num_edges for b in self.blocks if isinstance(b, SumBlock))

    @property
    def num_parameters(self) -> int:
        """Numbers in all distinct parameters (tied ones once)."""
        return sum(_size(p.shape) for p in self.parameters)

    @property
    def num_outputs(self) -> int:
        """Nodes in all roots."""
        return sum(r.nodes for r in self.roots)

    def scope(self) -> Scope:
        """All variables that some root depends on."""
        scope = 0
        for root in self.roots:
            scope |= root.scope
        return scope

    def __repr__(self) -> str:
        kinds = Counter(kind_of(b) for b in self.blocks)
        return (
            f"Circuit({len(self.variables)} variables, {self.num_nodes:,} nodes, {self.num_edges:,} sum edges, "
            f"{self.num_parameters:,} parameters; {kinds['input']} input, {kinds['product']} product, "
            f"{kinds['sum']} sum blocks)"
        )


def _check_holders(circuit: Circuit) -> None:
    """Blocks can share a parameter only if it means the same to them."""
    meaning: dict[Parameter, tuple[object, Block]] = {}
    for block in circuit.blocks:
        if not isinstance(block, ProductBlock):
            own = block.distribution if isinstance(block, InputBlock) else "sum weights"
            known, first = meaning.setdefault(block.parameter, (own, block))
            if known != own:
                raise ParameterError(
                    f"{circuit.label(block)} is tied to {circuit.label(first)}, but their shared parameter is "
                    f"{own} to one and {known} to the other"
                )


def kind_of(block: Block) -> str:
    """``"input"``, ``"product"`` or ``"sum"``."""
    return "input" if isinstance(block, InputBlock) else "product" if isinstance(block, ProductBlock) else "sum"


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _reachable(roots: tuple[Block, ...]) -> tuple[Block, ...]:
    children: dict[Block, Sequence[Block]] = {}
    stack = list(roots)
    while stack:
        block = stack.pop()
        if block not in children:
            children[block] = block.children
            stack.extend(block.children)
    return tuple(topological_order(roots, children))


def _collect_variables(blocks: tuple[Block, ...], given: Variables | None) -> Variables:
    seen: dict[int, Variable] = {}
    for block in blocks:
        if isinstance(block, InputBlock):
            variable = block.variable
            known = given[variable.index] if given is not None and variable.index < len(given) else None
            known = known or seen.setdefault(variable.index, variable)
            if known != variable or (given is not None and variable.index >= len(given)):
                raise CircuitError(f"an input block models {variable}, but column {variable.index} is {known}")
    if given is not None:
        return given
    if sorted(seen) != list(range(len(seen))):
        missing = next(i for i in range(max(seen) + 1) if i not in seen)
        raise CircuitError(f"no input block models column {missing}; pass variables= to leave a column unmodelled")
    ordered = [seen[i] for i in range(len(seen))]
    return Variables((v.domain for v in ordered), (v.name for v in ordered))
