"""PyJuice circuits: the converted circuit gives the likelihood that PyJuice's nodes mean.

The nodes are the stand-ins of :mod:`.pyjuice_nodes`, whose likelihood is computed node by node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import pcbench as pcb
from pcbench import BlockSparse, Circuit, Dense, InputBlock, ProductBlock, Sparse, SumBlock
from pcbench.circuit import initial_values
from pcbench.errors import CircuitError, CycleError, OptionError, ParameterError
from tests import oracle

from .pyjuice_nodes import (
    Bernoulli,
    DiscreteLogistic,
    ExternalParamsSumNodes,
    Gaussian,
    InputNodes,
    Nodes,
    ProdNodes,
    SumNodes,
    categorical,
    likelihood,
    weighted,
)


def assert_same_distribution(root: Nodes, circuit: Circuit, rows: list[list[float]]) -> None:
    """Engine, oracle and the walk over the stand-ins agree."""
    expected = np.log([likelihood(root, row) for row in rows])
    data = torch.tensor(rows, dtype=torch.float64)
    values = oracle.numbers(initial_values(circuit))
    np.testing.assert_allclose(oracle.log_likelihood(circuit, values, oracle.Rows.of(data)), expected, atol=1e-6)
    model = pcb.Model.create(pcb.compile(circuit, dtype=torch.float64))
    found = pcb.log_likelihood(model, data).reshape(expected.shape)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def grid(columns: int, categories: int) -> list[list[float]]:
    axis = torch.arange(categories, dtype=torch.float64)
    rows: list[list[float]] = torch.cartesian_prod(*[axis] * columns).reshape(-1, columns).tolist()
    return rows


def only_sum(circuit: Circuit, position: int = 0) -> SumBlock:
    return [b for b in circuit.blocks if isinstance(b, SumBlock)][position]


def mixture(edge_ids: Any = None, blocks: int = 2, block_size: int = 2, child_size: int = 2) -> SumNodes:
    """A sum over products over two variables, under a root of one node."""
    product = ProdNodes([categorical(0, 3, child_size), categorical(1, 3, child_size)])
    middle = weighted(SumNodes([product], blocks, block_size, edge_ids))
    return weighted(SumNodes([middle], 1, 1), seed=1)


def test_dense_sum() -> None:
    root = mixture()
    circuit = pcb.from_pyjuice(root)
    assert [type(b.edges) for b in circuit.blocks if isinstance(b, SumBlock)] == [Dense, Dense]
    assert (circuit.num_nodes, circuit.num_edges) == (6 + 6 + 4 + 1, 4 * 6 + 4)
    assert_same_distribution(root, circuit, grid(2, 3))


def test_dense_sum_with_shuffled_edges() -> None:
    ids = torch.cartesian_prod(torch.arange(2), torch.arange(3)).T[:, [4, 0, 5, 2, 1, 3]]
    root = mixture(ids)
    circuit = pcb.from_pyjuice(root)
    assert isinstance(only_sum(circuit).edges, Dense)
    assert_same_distribution(root, circuit, grid(2, 3))


@pytest.mark.parametrize(
    ("block_size", "child_size", "tile"), [(2, 2, 2), (4, 2, 2), (2, 4, 2), (4, 4, 4), (1, 2, 1), (1, 1, 1)]
)
def test_block_sparse_sum(block_size: int, child_size: int, tile: int) -> None:
    root = mixture([[1, 0, 1, 0], [2, 1, 0, 2]], 2, block_size, child_size)
    circuit = pcb.from_pyjuice(root)
    edges = only_sum(circuit).edges
    assert isinstance(edges, Sparse) if tile == 1 else isinstance(edges, BlockSparse) and edges.tile == tile
    assert only_sum(circuit).num_edges == 4 * block_size * child_size
    assert_same_distribution(root, circuit, grid(2, 3))


def test_masked_weights_are_no_edges() -> None:
    mask = torch.rand(6, 2, 2, generator=torch.Generator().manual_seed(3)) < 0.4
    middle = weighted(SumNodes([ProdNodes([categorical(0, 3, 2), categorical(1, 3, 2)])], 2, 2), mask=mask)
    root = weighted(SumNodes([middle], 1, 1))
    circuit = pcb.from_pyjuice(root)
    assert only_sum(circuit).num_edges == int((~mask).sum())
    assert_same_distribution(root, circuit, grid(2, 3))


def test_sum_over_several_children_in_order() -> None:
    first, second = (ProdNodes([categorical(0, n, 2, seed=n), categorical(1, n, 2, seed=n)]) for n in (1, 2))
    root = weighted(SumNodes([first, second, first], 1, 1))
    assert_same_distribution(root, pcb.from_pyjuice(root), grid(2, 3))


def test_product_index_in_blocks_and_nodes() -> None:
    left, right = categorical(0, 3, 2), categorical(1, 2, 2)
    blocks = ProdNodes([left, right], [[2, 0], [0, 1], [2, 1]])
    nodes = ProdNodes([left, right], [[5, 0], [0, 3], [2, 1], [2, 2]], blocks=2)
    straight = ProdNodes([right, categorical(0, 2, 2, seed=5)])
    root = weighted(SumNodes([blocks, nodes, straight], 2, 2))
    circuit = pcb.from_pyjuice(root)
    index = [b.index for b in circuit.blocks if isinstance(b, ProductBlock)]
    assert [i if i is None else i.tolist() for i in index] == [
        [[4, 0], [5, 1], [0, 2], [1, 3], [4, 2], [5, 3]],
        [[5, 0], [0, 3], [2, 1], [2, 2]],
        None,
    ]
    assert_same_distribution(root, circuit, grid(2, 3))


def test_products_of_one_child_vanish_unless_they_permute() -> None:
    leaf = categorical(0, 3, 2)
    root = weighted(SumNodes([leaf], 1, 1))
    assert not any(isinstance(b, ProductBlock) for b in pcb.from_pyjuice(root).blocks)
    turned = weighted(SumNodes([ProdNodes([leaf], [[2], [0]])], 1, 1))
    assert any(isinstance(b, ProductBlock) for b in pcb.from_pyjuice(turned).blocks)
    for each in (root, turned):
        assert_same_distribution(each, pcb.from_pyjuice(each), grid(1, 3))


def hmm(edge_ids: Any = None) -> SumNodes:
    """A homogeneous one: emissions and transitions are tied."""
    emit = categorical(3, 2, 2)
    below: Nodes = emit
    first: SumNodes | None = None
    for variable in (2, 1, 0):
        step = SumNodes([below], 2, 2, edge_ids, source=first)
        first = weighted(step) if first is None else first
        below = ProdNodes([InputNodes([variable], emit.dist, 2, 2, source=emit), step])
    return weighted(SumNodes([below], 1, 1), seed=7)


@pytest.mark.parametrize("edge_ids", [None, [[0, 1, 1], [1, 1, 0]]])
def test_tied_nodes_share_a_parameter(edge_ids: Any) -> None:
    root = hmm(edge_ids)
    circuit = pcb.from_pyjuice(root)
    assert len(circuit.parameters) == 3
    assert len({b.parameter for b in circuit.blocks if isinstance(b, InputBlock)}) == 1
    assert_same_distribution(root, circuit, grid(4, 3))


def test_tied_sums_with_edges_in_another_order_are_refused() -> None:
    root = hmm()
    tied = root.chs[0].chs[1]
    assert isinstance(tied, SumNodes)
    tied.edge_ids = tied.edge_ids[:, [1, 0, 3, 2]]
    with pytest.raises(CircuitError, match=r"SumNodes #9 is tied to a sum with other edges"):
        pcb.from_pyjuice(root)


def test_families() -> None:
    coin = InputNodes([0], Bernoulli(), 1, 2, [0.25, 0.9])
    bell = InputNodes([1], Gaussian(min_sigma=0.5), 1, 2, [1.0, 2.0, -3.0, 0.75])
    root = weighted(SumNodes([ProdNodes([coin, bell, categorical(2, 1, 2)])], 1, 2))
    circuit = pcb.from_pyjuice(root)
    leaves = [b.distribution for b in circuit.blocks if isinstance(b, InputBlock)]
    assert leaves == [pcb.Bernoulli(), pcb.Gaussian(min_variance=0.25), pcb.Categorical(3)]
    rows = [[c, x, k] for c in (0.0, 1.0) for x in (-2.5, 0.0, 1.75) for k in (0.0, 2.0)]
    assert_same_distribution(root, circuit, rows)


def test_open_parameters_names_and_dtype() -> None:
    root = SumNodes([ProdNodes([InputNodes([v], Bernoulli(), 1, 2) for v in (0, 1)])], 1, 1)
    variables = pcb.Variables.binary(3, ["rain", "wet", "unseen"])
    circuit = pcb.from_pyjuice(root, variables=variables)
    assert circuit.variables == variables
    assert all(p.value is None for p in circuit.parameters)
    kept = pcb.from_pyjuice(weighted(root)).parameters[-1].value
    assert kept is not None
    assert kept.dtype == torch.float32
    with pytest.raises(OptionError, match="did you mean 'variables'"):
        pcb.from_pyjuice(root, variable=variables)  # type: ignore[call-arg]


def test_weights_a_little_off_are_normalised() -> None:
    root = mixture()
    assert root._params is not None
    root._params *= 1.0002
    value = pcb.from_pyjuice(root).parameters[-1].value
    assert value is not None
    assert float(value.double().sum()) == pytest.approx(1, abs=1e-6)


def external(root: Any) -> Any:
    """The root's grandchild under a sum whose weights come from outside."""
    return ExternalParamsSumNodes([root.chs[0].chs[0]], 1, 1)


def with_other(place: str, name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step that changes one attribute of the root, of its child, of the product below or of that one's second leaf."""

    def step(root: Any) -> Any:
        middle = root.chs[0]
        product = middle.chs[0]
        node = {"root": root, "middle": middle, "product": product, "leaf": product.chs[1]}[place]
        setattr(node, name, change(getattr(node, name)))
        return root

    return step


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (
            with_other("leaf", "dist", lambda _: DiscreteLogistic()),
            CircuitError,
            r"InputNodes #1 over variable 1 .*'DiscreteLogistic'; supported are Bernoulli, Categorical",
        ),
        (
            with_other("leaf", "scope", lambda _: [1, 2]),
            CircuitError,
            r"InputNodes #1 is over 2 variables \[1, 2\]; supported are leaves over one",
        ),
        (external, CircuitError, r"ExternalParamsSumNodes #3 takes its weights from outside"),
        (
            with_other("root", "chs", lambda _: [Nodes(2, 2, [])]),
            CircuitError,
            r"Nodes #0 is of an unsupported kind; supported are input, product and sum",
        ),
        (
            with_other("root", "_params", lambda p: p * 1.1),
            ParameterError,
            r"SumNodes #4: the probabilities of a node sum to 1\.1, expected 1",
        ),
        (
            with_other("root", "_params", lambda p: p * float("nan")),
            ParameterError,
            r"SumNodes #4: the probabilities of a node sum to nan",
        ),
        (
            with_other("leaf", "_params", lambda p: p * 0.5),
            ParameterError,
            r"InputNodes #1: the probabilities of a node sum to 0\.5",
        ),
        (
            with_other("leaf", "_params", lambda p: p[:-1]),
            ParameterError,
            r"InputNodes #1: 6 leaves have 17 parameters, expected 18",
        ),
        (
            with_other("middle", "_params", lambda p: p[:-1]),
            ParameterError,
            r"SumNodes #3: weights need shape \(6, 2, 2\), got \(5, 2, 2\)",
        ),
        (
            with_other("middle", "edge_ids", lambda e: e + 1),
            CircuitError,
            r"SumNodes #3: edge_ids name blocks of nodes outside 0…1",
        ),
        (with_other("middle", "edge_ids", lambda e: e[0]), CircuitError, r"SumNodes #3: edge_ids need shape \[2, edges\]"),
        (with_other("product", "edge_ids", lambda e: e[:, :1]), CircuitError, r"ProdNodes #2: edge_ids need shape"),
        (
            with_other("product", "chs", lambda c: [c[0], categorical(1, 6, 1)]),
            CircuitError,
            r"ProdNodes #2: edges between blocks of 2 and of 1 nodes",
        ),
        (
            lambda root: type("TensorCircuit", (), {"root_ns": root})(),
            CircuitError,
            r"'TensorCircuit'; pass its root_ns, .* has no 'chs'",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(step: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pcb.from_pyjuice(step(mixture()))


def test_cycles_and_foreign_objects() -> None:
    root = mixture()
    root.chs[0].chs.append(root)
    with pytest.raises(CycleError):
        pcb.from_pyjuice(root)
    with pytest.raises(CircuitError, match=r"'str' has no 'chs'; expected SumNodes, ProdNodes or InputNodes of PyJuice 2\.6"):
        pcb.from_pyjuice("circuit.jpc")
    with pytest.raises(CircuitError, match=r"'dict' has no 'chs'"):
        pcb.from_pyjuice({})
