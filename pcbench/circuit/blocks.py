"""Blocks: vectors of nodes of one kind over one scope. What a user builds, and never changes afterwards.

Edges point from a block to its children. A block may be a child of any number of blocks, at any distance (shared
sub-circuits, skip connections); two blocks that hold the same :class:`Parameter` are tied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import torch
from torch import Tensor

from ..distributions import Distribution
from ..errors import CircuitError, ParameterError, hinted_class
from ..scope import Scope, Variable

#: How far a row of weights may sum from one: real files carry six digits.
NORMALISATION_TOLERANCE = 1e-5


@hinted_class
@dataclass(frozen=True, eq=False)
class Parameter:
    """One tensor of parameters. Blocks that hold the same object share (tie) it.

    Args:
        shape: as the holder's edges or distribution ask for.
        value: initial value, copied; ``None`` means random when a model is made.
        trainable: whether learning may change it.
        name: for messages and files.
    """

    shape: tuple[int, ...]
    value: Tensor | None = None
    trainable: bool = True
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.value is not None:
            if tuple(self.value.shape) != self.shape:
                raise ParameterError(f"parameter {self.name or ''} needs shape {self.shape}, got {tuple(self.value.shape)}")
            object.__setattr__(self, "value", self.value.detach().clone())


@dataclass(frozen=True, eq=False)
class Dense:
    """Every node sees every element; weights ``[N, E]``."""

    def weight_shape(self, nodes: int, elements: int) -> tuple[int, ...]:
        return (nodes, elements)

    def count(self, nodes: int, elements: int) -> int:
        return nodes * elements


@dataclass(frozen=True, eq=False)
class BlockSparse:
    """Dense tiles of ``tile × tile``: tile ``i`` covers nodes ``rows[i]·tile…`` and elements ``cols[i]·tile…``.

    Weights ``[tiles, tile, tile]`` (node, element).
    """

    tile: int
    rows: Tensor
    cols: Tensor

    def weight_shape(self, nodes: int, elements: int) -> tuple[int, ...]:
        return (len(self.rows), self.tile, self.tile)

    def count(self, nodes: int, elements: int) -> int:
        return len(self.rows) * self.tile * self.tile


@dataclass(frozen=True, eq=False)
class Sparse:
    """An arbitrary list of edges: edge ``i`` joins node ``rows[i]`` to element ``cols[i]``; weights ``[edges]``."""

    rows: Tensor
    cols: Tensor

    def weight_shape(self, nodes: int, elements: int) -> tuple[int, ...]:
        return (len(self.rows),)

    def count(self, nodes: int, elements: int) -> int:
        return len(self.rows)


SumEdges: TypeAlias = Dense | BlockSparse | Sparse


@hinted_class
@dataclass(frozen=True, eq=False)
class InputBlock:
    """``nodes`` leaf nodes of one family over one variable.

    Args:
        variable: the variable modelled.
        distribution: the family, with its hyperparameters.
        nodes: number of leaf nodes ``N``.
        parameter: ``[S, N]``; a fresh one where left out; the same object in several blocks ties them.
        name: for people.
    """

    variable: Variable
    distribution: Distribution
    nodes: int = 1
    parameter: Parameter = field(default=cast("Parameter", None))  # filled in below, never None afterwards
    name: str | None = None
    scope: Scope = field(init=False)
    children: tuple[Block, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        where = f"input block {self.name or ''} over {self.variable.name!r}"
        if self.nodes < 1:
            raise CircuitError(f"{where}: needs at least one node, got nodes={self.nodes}")
        if reason := self.distribution.rejects(self.variable.domain):
            raise CircuitError(f"{where}: {reason}")
        shape = (self.distribution.num_parameters, self.nodes)
        if cast("Parameter | None", self.parameter) is None:
            object.__setattr__(self, "parameter", Parameter(shape))
        if self.parameter.shape != shape:
            raise ParameterError(f"{where}: parameters need shape {shape}, got {self.parameter.shape}")
        if self.parameter.value is not None and (wrong := self.distribution.invalid(self.parameter.value)):
            raise ParameterError(f"{where}: {wrong}")
        object.__setattr__(self, "scope", 1 << self.variable.index)


@hinted_class
@dataclass(frozen=True, eq=False)
class ProductBlock:
    """Products of children's nodes.

    Args:
        children: blocks with disjoint scopes (that they are is checked when a circuit is made of them).
        index: ``[N, children]``, which node of each child a product node multiplies; where left out, node ``i`` of
            every child (all children then have the same number of nodes).
        name: for people.
    """

    children: Sequence[Block]
    index: Tensor | None = None
    name: str | None = None
    nodes: int = field(init=False)
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(self.children))
        where = f"product block {self.name or ''}".rstrip()
        if not self.children:
            raise CircuitError(f"{where}: needs at least one child")
        sizes = [c.nodes for c in self.children]
        if self.index is None:
            if len(set(sizes)) != 1:
                raise CircuitError(f"{where}: children have {sizes} nodes; give an index, or the same number to all")
            nodes = sizes[0]
        else:
            index = _index_tensor(self.index, where, "index")
            if index.ndim != 2 or index.shape[1] != len(self.children) or not len(index):
                raise CircuitError(f"{where}: index needs shape [nodes, {len(self.children)}], got {tuple(index.shape)}")
            for c, size in enumerate(sizes):
                _check_range(index[:, c], size, where, f"index into child {c}")
            object.__setattr__(self, "index", index)
            nodes = len(index)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "scope", _union(self.children))


@hinted_class
@dataclass(frozen=True, eq=False)
class SumBlock:
    """Weighted sums (mixtures) over elements: the children's nodes, concatenated in order.

    Args:
        children: blocks over one scope (that it is one is checked when a circuit is made of them).
        nodes: number of sum nodes ``N``.
        edges: ``Dense()``, ``BlockSparse(…)`` or ``Sparse(…)``.
        parameter: the weights, of ``edges.weight_shape``; each node's weights sum to one.
        name: for people.
    """

    children: Sequence[Block]
    nodes: int = 1
    edges: SumEdges = field(default_factory=Dense)
    parameter: Parameter = field(default=cast("Parameter", None))  # filled in below, never None afterwards
    name: str | None = None
    elements: int = field(init=False)  # ``E``: how many a node may have an edge to
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(self.children))
        where = f"sum block {self.name or ''}".rstrip()
        if not self.children:
            raise CircuitError(f"{where}: needs at least one child")
        if self.nodes < 1:
            raise CircuitError(f"{where}: needs at least one node, got nodes={self.nodes}")
        object.__setattr__(self, "elements", sum(c.nodes for c in self.children))
        object.__setattr__(self, "edges", _checked_edges(self.edges, self.nodes, self.elements, where))
        shape = self.edges.weight_shape(self.nodes, self.elements)
        if cast("Parameter | None", self.parameter) is None:
            object.__setattr__(self, "parameter", Parameter(shape))
        if self.parameter.shape != shape:
            raise ParameterError(f"{where}: weights need shape {shape}, got {self.parameter.shape}")
        if self.parameter.value is not None:
            check_weights(self.parameter.value, self.edges, self.nodes, where)
        object.__setattr__(self, "scope", _union(self.children))

    @property
    def num_edges(self) -> int:
        """Number of sum edges."""
        return self.edges.count(self.nodes, self.elements)


Block: TypeAlias = InputBlock | ProductBlock | SumBlock


def row_sums(weights: Tensor, edges: SumEdges, nodes: int) -> Tensor:
    """Total weight of each of a block's nodes: weights as stored → ``[N]`` in float64."""
    w = weights.double()
    if isinstance(edges, Dense):
        return w.sum(1)
    if isinstance(edges, Sparse):
        return torch.zeros(nodes, dtype=torch.float64).index_add_(0, edges.rows, w)
    total = torch.zeros(nodes // edges.tile, edges.tile, dtype=torch.float64)
    return total.index_add_(0, edges.rows, w.sum(2)).reshape(-1)


def check_weights(weights: Tensor, edges: SumEdges, nodes: int, where: str) -> None:
    """Raise :class:`ParameterError` unless weights are finite, not negative, and each node's sum to one."""
    if not bool(torch.isfinite(weights).all()):
        raise ParameterError(f"{where}: weights must be finite, got NaN or infinity")
    if float(weights.min()) < 0:
        place = tuple(int(i) for i in (weights < 0).nonzero()[0])
        raise ParameterError(f"{where}: weights must not be negative, got {float(weights[place]):.6g} at {place}")
    total = row_sums(weights, edges, nodes)
    off = (total - 1).abs()
    if float(off.max()) > NORMALISATION_TOLERANCE:
        node = int(off.argmax())
        raise ParameterError(f"{where}: weights of node {node} sum to {float(total[node]):.8g}, expected 1")


def _union(children: Sequence[Block]) -> Scope:
    scope = 0
    for child in children:
        scope |= child.scope
    return scope


def _index_tensor(values: Tensor, where: str, what: str) -> Tensor:
    values = torch.as_tensor(values)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise CircuitError(f"{where}: {what} needs integers, got {values.dtype}")
    return values.detach().long().cpu().clone()


def _check_range(values: Tensor, size: int, where: str, what: str) -> None:
    if len(values) and (int(values.min()) < 0 or int(values.max()) >= size):
        wrong = values[(values < 0) | (values >= size)][0]
        raise CircuitError(f"{where}: {what} must lie in 0…{size - 1}, got {int(wrong)}")


def _checked_edges(edges: SumEdges, nodes: int, elements: int, where: str) -> SumEdges:
    if isinstance(edges, Dense):
        return edges
    rows, cols = _index_tensor(edges.rows, where, "edge rows"), _index_tensor(edges.cols, where, "edge columns")
    if rows.ndim != 1 or rows.shape != cols.shape:
        raise CircuitError(f"{where}: edge rows {tuple(rows.shape)} and columns {tuple(cols.shape)} must be equally long lists")
    tile = edges.tile if isinstance(edges, BlockSparse) else 1
    if tile < 1 or nodes % tile or elements % tile:
        raise CircuitError(f"{where}: {nodes} nodes and {elements} elements are not multiples of the tile {tile}")
    _check_range(rows, nodes // tile, where, "edge rows")
    _check_range(cols, elements // tile, where, "edge columns")
    key = rows * (elements // tile) + cols
    if len(torch.unique(key)) != len(key):
        raise CircuitError(f"{where}: the same edge is listed more than once")
    empty = torch.bincount(rows, minlength=nodes // tile) == 0
    if bool(empty.any()):
        raise CircuitError(f"{where}: node {int(empty.nonzero()[0, 0]) * tile} has no edges")
    return BlockSparse(edges.tile, rows, cols) if isinstance(edges, BlockSparse) else Sparse(rows, cols)
