"""Chow-Liu trees, and the deterministic circuit of one.

C. K. Chow and C. N. Liu, Approximating discrete probability distributions with dependence trees, 1968.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from ..circuit import Block, Circuit, InputBlock, Parameter, ProductBlock, SumBlock
from ..distributions import Categorical
from ..errors import CircuitError, OptionError, hinted
from ..scope import Finite, Variable, Variables
from .common import Data, Table, read_table
from .information import table_information


@dataclass(frozen=True)
class Tree:
    """A rooted tree over variables.

    Attributes:
        parents: the parent of each variable; −1 at the root.
        order: all variables, parents before children.

    Raises:
        CircuitError: when ``parents`` is no tree with one root.
    """

    parents: tuple[int, ...]
    order: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parents", tuple(int(p) for p in self.parents))
        roots = [v for v, p in enumerate(self.parents) if p == -1]
        if len(roots) != 1:
            raise CircuitError(f"a tree has one root (parent −1), but {len(roots)} of {len(self.parents)} variables are roots")
        for v, p in enumerate(self.parents):
            if not -1 <= p < len(self.parents):
                raise CircuitError(f"variable {v} has parent {p}, but there are only {len(self.parents)} variables")
        below = self.children
        order = list(roots)
        for v in order:
            order += below[v]
        if len(order) != len(self.parents):
            lost = min(set(range(len(self.parents))) - set(order))
            raise CircuitError(f"variable {lost} is not connected to the root: its parents form a cycle")
        object.__setattr__(self, "order", tuple(order))

    @property
    def root(self) -> int:
        return self.parents.index(-1)

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The children of each variable, ascending."""
        out: list[list[int]] = [[] for _ in self.parents]
        for v, p in enumerate(self.parents):
            if p >= 0:
                out[p].append(v)
        return tuple(tuple(c) for c in out)

    @property
    def depth(self) -> int:
        """Edges on the longest path down from the root."""
        level = [0] * len(self.parents)
        for v in self.order[1:]:
            level[v] = level[self.parents[v]] + 1
        return max(level)

    def __len__(self) -> int:
        return len(self.parents)


def spanning_tree(information: Tensor, root: int | None = None) -> Tree:
    """The tree of greatest total information ``[V, V]``.

    Args:
        information: of each pair, symmetric, nats.
        root: of the tree; its centre where left out, which makes the fewest layers.
    """
    count = len(information)
    if root is not None and not 0 <= root < count:
        raise OptionError(f"root must be a variable, 0…{count - 1}, got {root}")
    if count == 1:
        return Tree((-1,))
    # SciPy finds the least tree and takes zeros for missing edges: so the gap to the best pair, plus one.
    cost = (information.max() - information).numpy() + 1.0
    np.fill_diagonal(cost, 0.0)
    chosen = minimum_spanning_tree(csr_matrix(cost))
    graph = chosen + chosen.T
    return _rooted(graph, _centre(graph) if root is None else root)


def _rooted(graph: csr_matrix, root: int) -> Tree:
    _, before = breadth_first_order(graph, root, directed=False)
    parents = before.astype(np.int64)
    parents[root] = -1
    return Tree(tuple(parents.tolist()))


def _centre(graph: csr_matrix) -> int:
    """The middle of a longest path, found by walking to the farthest variable twice."""
    order, _ = breadth_first_order(graph, 0, directed=False)
    start = int(order[-1])
    order, before = breadth_first_order(graph, start, directed=False)
    path = [int(order[-1])]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return path[len(path) // 2]


@hinted
def chow_liu_tree(
    data: Data,
    variables: Variables | None = None,
    observed: Data | None = None,
    bins: int | None = None,
    pseudocount: float = 1.0,
    root: int | None = None,
) -> Tree:
    """The tree of greatest mutual information between neighbours.

    Args: as for :func:`~pcbench.structures.information.mutual_information`; ``root``: a variable, by default the
    tree's centre. A constant column has no information about any other; it is attached somewhere, and harms nothing.

    Raises:
        DataError: for data that does not fit the variables.
    """
    return table_tree(read_table(data, variables, observed), bins, pseudocount, root)


def table_tree(table: Table, bins: int | None = None, pseudocount: float = 1.0, root: int | None = None) -> Tree:
    """:func:`chow_liu_tree` of checked data."""
    if not pseudocount >= 0:
        raise OptionError(f"pseudocount must not be negative, got {pseudocount}")
    return spanning_tree(table_information(table, bins, pseudocount), root)


def checked_tree(tree: Tree | Sequence[int], variables: Variables) -> Tree:
    """A tree that the user gave, as a tree over the variables.

    Raises:
        OptionError: when it is over another number of variables.
    """
    tree = tree if isinstance(tree, Tree) else Tree(tuple(tree))
    if len(tree) != len(variables):
        raise OptionError(f"the tree is over {len(tree)} variables, but there are {len(variables)}")
    return tree


@hinted
def chow_liu(
    data: Data,
    variables: Variables | None = None,
    observed: Data | None = None,
    tree: Tree | Sequence[int] | None = None,
    bins: int | None = None,
    pseudocount: float = 1.0,
) -> Circuit:
    """A Chow-Liu tree as a deterministic circuit, with its maximum-likelihood parameters: nothing is left to learn.

    Each node's hidden state is the value of its variable, so MPE is exact.

    Args:
        data: ``[B, V]`` of finite variables.
        variables, observed, bins: as for :func:`chow_liu_tree`.
        tree: parents of the variables; learnt from the data where left out.
        pseudocount: rows' worth of a uniform distribution added to every table.

    Raises:
        DataError: for data that does not fit.
        CircuitError: when a variable is real.
    """
    table = read_table(data, variables, observed)
    for variable in table.variables:
        if not isinstance(variable.domain, Finite):
            raise CircuitError(f"a Chow-Liu circuit needs finite variables, but {variable.name!r} is {variable.domain}")
    found = table_tree(table, bins, pseudocount) if tree is None else checked_tree(tree, table.variables)
    return _tree_circuit(table, found, pseudocount)


def _tree_circuit(table: Table, tree: Tree, pseudocount: float) -> Circuit:
    below = tree.children
    message: dict[int, Block] = {}  # over a variable's subtree; node i: the parent has value i
    for v in reversed(tree.order):
        variable = table.variables[v]
        given = _conditional(table, v, tree.parents[v], pseudocount)
        if not below[v] and tree.parents[v] >= 0:
            masses = Parameter((given.shape[1], len(given)), given.T)
            message[v] = InputBlock(variable, Categorical(given.shape[1]), len(given), masses, variable.name)
            continue
        parts = [_indicators(variable), *(message.pop(c) for c in below[v])]
        top = ProductBlock(parts) if len(parts) > 1 else parts[0]
        weights = Parameter(tuple(given.shape), given)
        message[v] = SumBlock([top], len(given), parameter=weights, name=f"{variable.name} | parent")
    return Circuit(message[tree.root], table.variables)


def _size(variable: Variable) -> int:
    assert isinstance(variable.domain, Finite)  # checked by chow_liu
    return variable.domain.size


def _indicators(variable: Variable) -> InputBlock:
    size = _size(variable)
    fixed = Parameter((size, size), torch.eye(size, dtype=torch.float64), trainable=False)
    return InputBlock(variable, Categorical(size), size, fixed, variable.name)


def _conditional(table: Table, v: int, parent: int, pseudocount: float) -> Tensor:
    """p(x_v | x_parent) ``[values of the parent, values of v]`` in float64; one row at the root."""
    size = _size(table.variables[v])
    height = 1 if parent < 0 else _size(table.variables[parent])
    key = table.values[:, v].long()
    if parent >= 0:
        key = key + size * table.values[:, parent].long()
    if table.observed is not None:
        seen = table.observed[:, v] if parent < 0 else table.observed[:, v] & table.observed[:, parent]
        key = key[seen]
    counts = torch.bincount(key, minlength=height * size).reshape(height, size).double()
    # A parent value without rows gets the uniform distribution, whatever the pseudocount.
    counts += pseudocount / (height * size)
    counts[counts.sum(1) == 0] = 1.0
    return counts / counts.sum(1, keepdim=True)
