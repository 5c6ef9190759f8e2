"""What a compiled circuit is made of: layers of blocks of one shape, and where each finds its children and parents.

A *unit* is a block that has a value of its own in memory: sum blocks, inputs with several parents, products with several
parents. A product with one parent is fused into the sum above it as a *term*, and a leaf with one parent into the term
above it: their values are never stored.

Two arenas for each width hold everything of one evaluation. ``values[N]`` ``[rows, B, N]``: log values of units, relative
to a scale per unit and sample. ``elements[E]`` ``[rows, B, E]``: what a sum layer multiplies its weights with; after the
downward pass, the same rows hold the flows of those elements. A child or a parent is an address, so an edge that skips
levels costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor

from pcbench_kernels import Choice, SumPattern

from ..circuit import InputBlock, Parameter, ProductBlock, SumBlock
from ..distributions import Distribution

#: Rows of an arena: a slice when they are evenly spaced, so that no copy is made.
Rows: TypeAlias = slice | Tensor


def compact(rows: list[int]) -> Rows:
    """Evenly spaced, ascending rows become a slice."""
    if len(rows) == 1:
        return slice(rows[0], rows[0] + 1)
    step = rows[1] - rows[0]
    if step > 0 and all(b - a == step for a, b in pairwise(rows)):
        return slice(rows[0], rows[-1] + 1, step)
    return torch.tensor(rows)


def cut(rows: Rows, start: int, stop: int) -> Rows:
    """Rows number ``start`` to ``stop`` (exclusive) of ``rows``."""
    if isinstance(rows, slice):
        step = rows.step or 1
        return slice(rows.start + start * step, rows.start + (stop - 1) * step + 1, step)
    return rows[start:stop]


@dataclass(frozen=True, eq=False)
class Factor:
    """One child of each of the first ``count`` blocks of a layer, multiplied into a term."""

    count: int
    width: int
    rows: Rows  # in values[width]
    units: Rows  # unit numbers of the children
    columns: Tensor | None = None  # [count or 1, term width]: which child node each element takes; None: its own


@dataclass(frozen=True, eq=False)
class LeafFactor:
    """One leaf fused into every block of a layer: uses ``first_use …`` of leaf table ``table``."""

    table: int
    first_use: int


@dataclass(frozen=True, eq=False)
class Term:
    """A product that fills elements ``offset … offset+width`` of every block of a layer."""

    offset: int
    width: int
    factors: tuple[Factor, ...]
    leaves: tuple[LeafFactor, ...]


@dataclass(frozen=True, eq=False)
class Pull:
    """Where some blocks of a layer find the flow that one of their parents sends them."""

    targets: Tensor | None  # blocks of this layer, ascending, each once; None: all of them in order
    order: tuple[int, ...]  # the same as Python numbers
    elements: int  # arena
    rows: Rows
    offset: int
    width: int
    columns: Tensor | None


@dataclass(frozen=True, eq=False)
class Layer:
    """``groups`` blocks of one shape. ``unit``, ``value_row`` and ``element_row`` are the first of ``groups`` in a row."""

    index: int
    level: int
    nodes: int
    elements: int
    unit: int
    value_row: int
    element_row: int
    pulls: tuple[Pull, ...]
    outputs: tuple[tuple[int, int], ...]  # (block of the layer, first output column) for roots

    @property
    def kind(self) -> str:
        raise AssertionError("abstract")


@dataclass(frozen=True, eq=False)
class InputLayer(Layer):
    """Leaves of one table that have several parents, or a domain without a table."""

    blocks: tuple[InputBlock, ...] = ()
    table: int = 0
    first_use: int = 0

    @property
    def kind(self) -> str:
        return "input"


@dataclass(frozen=True, eq=False)
class ProductLayer(Layer):
    """Products that several parents share, or that are roots."""

    blocks: tuple[ProductBlock, ...] = ()
    term: Term = field(default_factory=lambda: Term(0, 0, (), ()))

    @property
    def kind(self) -> str:
        return "product"


@dataclass(frozen=True, eq=False)
class SumLayer(Layer):
    """Sums with the products below them fused in."""

    blocks: tuple[SumBlock, ...] = ()
    terms: tuple[Term, ...] = ()
    table: int = 0
    parameters: Rows = field(default_factory=lambda: slice(0, 0))

    @property
    def kind(self) -> str:
        return "sum"


@dataclass(frozen=True, eq=False)
class SumTable:
    """Weights of one pattern, side by side: ``[parameters, *form]``."""

    pattern: SumPattern
    choice: Choice
    parameters: tuple[Parameter, ...]
    trainable: Tensor | None  # [P] booleans; None: all
    uses: int

    @property
    def untied(self) -> bool:
        """Whether every parameter set is used by one block only."""
        return self.uses == len(self.parameters)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parameters), *self.choice.kernel.form())


def weight_starts(tables: Sequence[SumTable]) -> list[int]:
    """Where each table begins when the weights of all lie in one buffer, and the buffer's end, in weights."""
    starts = [0]
    for table in tables:
        # A multiple of 64 keeps whatever a GPU loads at once within a table.
        starts.append(starts[-1] + -(-prod(table.shape) // 64) * 64)
    return starts


@dataclass(frozen=True, eq=False)
class LeafTable:
    """Leaf parameters of one family and width: ``[parameters, S, N]``, and everyone who uses them.

    ``categories`` is the size of the domain when the leaves can be looked up in a table, otherwise ``None``.
    Use ``u`` reads parameter ``rows[u]`` at variable ``variables[u]``; its flow ends up in ``elements[N][element_rows[u]]``.
    """

    distribution: Distribution
    nodes: int
    categories: int | None
    parameters: tuple[Parameter, ...]
    trainable: Tensor | None
    rows: Tensor
    variables: Tensor
    element_rows: Tensor
    blocks: tuple[InputBlock, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parameters), self.distribution.num_parameters, self.nodes)

    @property
    def untied(self) -> bool:
        """Whether use ``u`` has parameter row ``u`` to itself."""
        return len(self.rows) == len(self.parameters)
