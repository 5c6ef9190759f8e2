"""Circuits of PyJuice 2.6, converted in memory. PyJuice is not imported: its objects are read by their attributes.

PyJuice counts nodes in blocks of ``block_size``. Edge ``e`` of a sum joins node block ``edge_ids[0, e]`` to block
``edge_ids[1, e]`` of its concatenated children, with weights ``params[e]`` of shape ``[block, child's block]``; a
product's ``edge_ids[n, c]`` is a block (or node) of child ``c``; leaf parameters are one flat vector, node by node. A tied
node has no parameters of its own, but a source. A circuit of PyJuice is truthy only sometimes (``len`` counts what an
earlier walk has not seen), so nothing here asks for its truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..circuit import (
    Block,
    Circuit,
    Dense,
    InputBlock,
    Parameter,
    ProductBlock,
    SumBlock,
    SumEdges,
    topological_order,
)
from ..collector import collector_paused
from ..distributions import Bernoulli, Categorical, Distribution, Gaussian
from ..errors import CircuitError, ParameterError, hinted
from ..scope import Domain, Finite, Real, Variable, Variables
from .pyjuice_values import integers, mask_of, matrix, normalised, singles, source_of, tiles, values_of

Leaf: TypeAlias = tuple[Distribution, Domain]


def _categorical(dist: Any) -> Leaf:
    return Categorical(int(dist.num_cats)), Finite(int(dist.num_cats))


def _bernoulli(dist: Any) -> Leaf:
    return Bernoulli(), Finite(2)


def _gaussian(dist: Any) -> Leaf:
    least = float(dist.min_sigma)
    return (Gaussian(least * least) if least > 0 else Gaussian()), Real()


#: PyJuice's families, by the name of their class. A new one is one function and one line here.
LEAVES: dict[str, Callable[[Any], Leaf]] = {"Categorical": _categorical, "Bernoulli": _bernoulli, "Gaussian": _gaussian}


@hinted
@collector_paused
def from_pyjuice(root: Any, variables: Variables | None = None) -> Circuit:
    """A PyJuice circuit with its parameters, as a circuit whose parameters carry their values.

    ``Model.create(compile(from_pyjuice(root)))`` is then a model of the same distribution. Nodes that are tied there share
    a parameter here. A sum whose node blocks all see all elements becomes dense, another one block-sparse, one with blocks
    of a single node or with masked zeros sparse; a product that only passes one child on is left out. Parameters that
    PyJuice has not initialised stay open.

    Args:
        root: ``SumNodes``, ``ProdNodes`` or ``InputNodes`` of PyJuice 2.6; after training, call ``update_parameters()`` of
            the ``TensorCircuit`` first and pass its ``root_ns``.
        variables: names and domains of all columns; read off the leaves where left out.

    Raises:
        CircuitError: for an unsupported family or kind of node, naming it.
        ParameterError: for parameters of the wrong shape, or that are no probabilities.
    """
    return converted(root, variables)[0]


def converted(root: Any, variables: Variables | None = None) -> tuple[Circuit, dict[Any, Parameter]]:
    """What :func:`from_pyjuice` returns, and what has become of the parameters of each node that holds some."""
    conversion = _Conversion(root, variables)
    return conversion.circuit(), conversion.parameters


class _Conversion:
    """One circuit on its way: nodes in topological order, and what they have become."""

    def __init__(self, root: Any, variables: Variables | None) -> None:
        children: dict[Any, list[Any]] = {}
        stack = [root]
        while stack:
            node = stack.pop()
            below = list(_read(node, "chs", _untold(node)))  # first, for what is no node may not be hashable either
            if node not in children:
                children[node] = below
                stack.extend(below)
        self.root, self.given = root, variables
        self.children = children
        self.order = topological_order([root], children)
        self.names = {node: f"PyJuice {type(node).__name__} #{i}" for i, node in enumerate(self.order)}
        self.variables: dict[int, Variable] = {}
        self.parameters: dict[Any, Parameter] = {}
        self.patterns: dict[Any, tuple[Tensor, int]] = {}  # by source of weights: the first holder's edges, and its elements
        self.blocks: dict[Any, Block] = {}

    def circuit(self) -> Circuit:
        """Everything converted, children first."""
        kinds = {node: self.kind(node) for node in self.order}
        make = {"input": self.input, "product": self.product, "sum": self.sum}
        for node in self.order:
            self.blocks[node] = make[kinds[node]](node)
        return Circuit(self.blocks[self.root], self.given)

    def kind(self, node: Any) -> str:
        """``"input"``, ``"product"`` or ``"sum"``."""
        where = self.names[node]
        questions = {"input": "is_input", "product": "is_prod", "sum": "is_sum"}
        kinds = [kind for kind, question in questions.items() if _read(node, question, where)()]
        if not kinds:
            raise CircuitError(f"{where} is of an unsupported kind; supported are input, product and sum nodes")
        if getattr(node, "external_params", None) is not None:
            raise CircuitError(
                f"{where} takes its weights from outside, sample by sample; supported are sums with weights of their own"
            )
        return kinds[0]

    def size(self, node: Any) -> tuple[int, int]:
        """Number of node blocks, and nodes in each."""
        where = self.names.get(node) or _untold(node)
        return int(_read(node, "num_node_blocks", where)), int(_read(node, "block_size", where))

    # -- inputs --------------------------------------------------------------------------------------------------------
    def input(self, node: Any) -> InputBlock:
        """``InputNodes`` → a block of leaves."""
        where = self.names[node]
        columns = [int(i) for i in _read(node, "scope", where)]
        if len(columns) != 1:
            raise CircuitError(f"{where} is over {len(columns)} variables {columns[:6]}; supported are leaves over one")
        dist = _read(node, "dist", where)
        family = type(dist).__name__
        if family not in LEAVES:
            raise CircuitError(
                f"{where} over variable {columns[0]} is of the family {family!r}; supported are {', '.join(sorted(LEAVES))}"
            )
        distribution, domain = LEAVES[family](dist)
        blocks, block_size = self.size(node)
        nodes, source = blocks * block_size, source_of(node)
        if source not in self.parameters:
            self.parameters[source] = self.leaf_parameter(source, distribution, nodes, where)
        variable = self.variable(columns[0], domain)
        return InputBlock(variable, distribution, nodes, self.parameters[source])

    def variable(self, column: int, domain: Domain) -> Variable:
        """The caller's variable, or one named after its column; two domains for one column are the circuit's to refuse."""
        if self.given is not None and column < len(self.given):
            return self.given[column]
        return self.variables.setdefault(column, Variable(column, f"x{column}", domain))

    def leaf_parameter(self, source: Any, distribution: Distribution, nodes: int, where: str) -> Parameter:
        """A flat vector, node by node → ``[S, N]``; standard deviations → variances."""
        shape = (distribution.num_parameters, nodes)
        given = values_of(source)
        if given is None:
            return Parameter(shape)
        if given.numel() != math.prod(shape):
            raise ParameterError(f"{where}: {nodes} leaves have {given.numel()} parameters, expected {math.prod(shape)}")
        value = given.reshape(nodes, -1).T.contiguous()
        if isinstance(distribution, Categorical):
            value = normalised(value, value.double().sum(0), lambda total: total, where)
        elif isinstance(distribution, Gaussian):
            value = torch.stack((value[0], value[1].square()))
        return Parameter(shape, value)

    # -- products ------------------------------------------------------------------------------------------------------
    def product(self, node: Any) -> Block:
        """``ProdNodes`` → a product block, or the child itself where there is one and it is passed on as it is."""
        where = self.names[node]
        blocks, block_size = self.size(node)
        edges = integers(_read(node, "edge_ids", where))
        children = [self.blocks[c] for c in self.children[node]]
        if edges.ndim != 2 or edges.shape[1] != len(children) or len(edges) not in (blocks, blocks * block_size):
            raise CircuitError(
                f"{where}: edge_ids need shape [{blocks} blocks or {blocks * block_size} nodes, {len(children)}], "
                f"got {tuple(edges.shape)}"
            )
        if len(edges) == blocks:
            others = {self.size(c)[1] for c in self.children[node]} - {block_size}
            if others:
                raise CircuitError(f"{where}: edges between blocks of {block_size} and of {others.pop()} nodes")
            edges = (edges[:, None, :] * block_size + torch.arange(block_size)[:, None]).reshape(-1, len(children))
        straight = bool((edges == torch.arange(len(edges))[:, None]).all()) and {c.nodes for c in children} == {len(edges)}
        if straight and len(children) == 1:
            return children[0]
        return ProductBlock(children, None if straight else edges)

    # -- sums ----------------------------------------------------------------------------------------------------------
    def sum(self, node: Any) -> SumBlock:
        """``SumNodes`` → a sum block."""
        where, source = self.names[node], source_of(node)
        sizes = {self.size(c)[1] for c in self.children[node]}
        if len(sizes) != 1:
            raise CircuitError(f"{where}: its children have blocks of {sorted(sizes)} nodes, expected one size")
        blocks, tall = self.size(node)
        elements, wide = sum(self.size(c)[0] for c in self.children[node]), sizes.pop()
        ids = integers(_read(node, "edge_ids", where))
        if ids.ndim != 2 or len(ids) != 2:
            raise CircuitError(f"{where}: edge_ids need shape [2, edges], got {tuple(ids.shape)}")
        for row, limit, what in ((ids[0], blocks, "nodes"), (ids[1], elements, "elements")):
            if row.numel() and not 0 <= int(row.min()) <= int(row.max()) < limit:
                raise CircuitError(f"{where}: edge_ids name blocks of {what} outside 0…{limit - 1}")
        first, width = self.patterns.setdefault(source, (ids, elements))
        if width != elements or not torch.equal(first, ids):
            raise CircuitError(f"{where} is tied to a sum with other edges; supported are ties with the same edges, in order")
        weights = values_of(source)
        if weights is not None and tuple(weights.shape) != (ids.shape[1], tall, wide):
            raise ParameterError(f"{where}: weights need shape {(ids.shape[1], tall, wide)}, got {tuple(weights.shape)}")
        mask = mask_of(source)
        if source in self.parameters:
            weights = None  # they stand in the shared parameter
        if weights is not None:
            total = torch.zeros(blocks, tall, dtype=torch.float64).index_add_(0, ids[0], weights.double().sum(2))
            weights = normalised(weights, total, lambda t: t[ids[0]][:, :, None], where)
        if mask is None and len(torch.unique(ids, dim=1).T) == ids.shape[1] == blocks * elements:
            edges: SumEdges = Dense()
            weights = weights if weights is None else matrix(weights, ids, blocks, elements)
        elif mask is None and math.gcd(tall, wide) > 1:
            edges, weights = tiles(ids, tall, wide, weights)
        else:
            edges, weights = singles(ids, tall, wide, weights, mask)
        if source not in self.parameters:
            self.parameters[source] = Parameter(edges.weight_shape(blocks * tall, elements * wide), weights)
        return SumBlock([self.blocks[c] for c in self.children[node]], blocks * tall, edges, self.parameters[source])


# -- reading -----------------------------------------------------------------------------------------------------------
def _untold(node: Any) -> str:
    hint = "; pass its root_ns, after update_parameters()" if hasattr(node, "root_ns") else ""
    return f"an object of type {type(node).__name__!r}{hint}"


def _read(node: Any, name: str, where: str) -> Any:
    try:
        return getattr(node, name)
    except AttributeError:
        raise CircuitError(f"{where} has no {name!r}; expected SumNodes, ProdNodes or InputNodes of PyJuice 2.6") from None
