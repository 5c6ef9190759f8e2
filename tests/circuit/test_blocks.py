"""Blocks refuse what makes no sense, each time with its own message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pcbench.circuit import BlockSparse, Dense, InputBlock, Parameter, ProductBlock, Sparse, SumBlock
from pcbench.distributions import Bernoulli, Binomial, Categorical, Gaussian
from pcbench.errors import CircuitError, OptionError, ParameterError
from pcbench.scope import Finite, Real, Variables, scope_indices, scope_of

VARIABLES = Variables([Finite(3), Finite(2), Real()], ["colour", "coin", "height"])


def leaf(nodes: int = 4, i: int = 0) -> InputBlock:
    family = (Categorical(3), Bernoulli(), Gaussian())[i]
    return InputBlock(VARIABLES[i], family, nodes)


def long(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long)


def weights(value: list[Any]) -> Parameter:
    tensor = torch.tensor(value, dtype=torch.float64)
    return Parameter(tuple(tensor.shape), tensor)


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    # inputs
    (lambda: leaf(0), CircuitError, "input block  over 'colour': needs at least one node, got nodes=0"),
    (lambda: InputBlock(VARIABLES[0], Bernoulli()), CircuitError, "over 'colour': Bernoulli covers .* but the domain is 0…2"),
    (lambda: InputBlock(VARIABLES[0], Categorical(2)), CircuitError, "covers values 0…1, but the domain is 0…2"),
    (lambda: InputBlock(VARIABLES[0], Binomial(1)), CircuitError, r"Binomial\(trials=1\) covers values 0…1"),
    (lambda: InputBlock(VARIABLES[1], Gaussian()), CircuitError, "Gaussian models real values, but the domain is 0…1"),
    (lambda: InputBlock(VARIABLES[2], Categorical(3)), CircuitError, "but the domain is ℝ"),
    (lambda: InputBlock(VARIABLES[1], Bernoulli(), 2, Parameter((1, 3))), ParameterError, r"shape \(1, 2\), got \(1, 3\)"),
    (lambda: InputBlock(VARIABLES[1], Bernoulli(), 1, weights([[1.5]])), ParameterError, r"lie in \[0, 1\], got .* 1.5"),
    (lambda: InputBlock(VARIABLES[1], Bernoulli(), 1, weights([[torch.nan]])), ParameterError, "must be finite"),
    (lambda: InputBlock(VARIABLES[0], Categorical(3), 1, weights([[0.5], [0.2], [0.2]])), ParameterError, "off by 0.1"),
    (
        lambda: InputBlock(VARIABLES[2], Gaussian(), 1, weights([[0.0], [0.0]])),
        ParameterError,
        "variances must be positive, got 0",
    ),
    # products
    (lambda: ProductBlock([]), CircuitError, "product block: needs at least one child"),
    (lambda: ProductBlock([leaf(2), leaf(3, 1)]), CircuitError, r"children have \[2, 3\] nodes; give an index"),
    (lambda: ProductBlock([leaf(2)], torch.zeros(1, 1)), CircuitError, "index needs integers, got torch.float32"),
    (lambda: ProductBlock([leaf(2)], long(0, 1)), CircuitError, r"index needs shape \[nodes, 1\], got \(2,\)"),
    (lambda: ProductBlock([leaf(2)], long(0, 2)[:, None]), CircuitError, "index into child 0 must lie in 0…1, got 2"),
    # sums
    (lambda: SumBlock([]), CircuitError, "sum block: needs at least one child"),
    (lambda: SumBlock([leaf()], 0), CircuitError, "at least one node, got nodes=0"),
    (
        lambda: SumBlock([leaf()], 1, name="root", parameter=Parameter((1, 3))),
        ParameterError,
        r"root: .* \(1, 4\), got \(1, 3\)",
    ),
    (
        lambda: SumBlock([leaf(2)], 1, parameter=weights([[1.2, -0.2]])),
        ParameterError,
        r"not be negative, got -0.2 at \(0, 1\)",
    ),
    (
        lambda: SumBlock([leaf(2)], 2, parameter=weights([[0.5, 0.5], [0.5, 0.6]])),
        ParameterError,
        "node 1 sum to 1.1, expected 1",
    ),
    (
        lambda: SumBlock([leaf(2)], 1, parameter=weights([[torch.inf, 0.0]])),
        ParameterError,
        "must be finite, got NaN or infinity",
    ),
    # edges
    (lambda: SumBlock([leaf(4)], 4, BlockSparse(3, long(0), long(0))), CircuitError, "are not multiples of the tile 3"),
    (lambda: SumBlock([leaf(4)], 4, BlockSparse(2, long(0, 2), long(0, 0))), CircuitError, "edge rows must lie in 0…1, got 2"),
    (
        lambda: SumBlock([leaf(4)], 4, BlockSparse(2, long(0, 1), long(0, -1))),
        CircuitError,
        "edge columns must lie in 0…1, got -1",
    ),
    (lambda: SumBlock([leaf(4)], 4, BlockSparse(2, long(0), long(0))), CircuitError, "node 2 has no edges"),
    (lambda: SumBlock([leaf(4)], 2, Sparse(long(0, 1, 1), long(0, 3, 3))), CircuitError, "same edge is listed more than once"),
    (
        lambda: SumBlock([leaf(4)], 2, Sparse(long(0, 1), long(0))),
        CircuitError,
        r"rows \(2,\) and columns \(1,\) must be equally long",
    ),
    (lambda: SumBlock([leaf(4)], 1, Sparse(torch.zeros(1), long(0))), CircuitError, "edge rows needs integers"),
    (
        lambda: SumBlock([leaf(4)], 2, Sparse(long(0, 1, 1), long(0, 1, 2)), weights([1.0, 0.5, 0.4])),
        ParameterError,
        "weights of node 1 sum to 0.9",
    ),
    # parameters, variables, domains, keywords
    (lambda: Parameter((2, 2), torch.ones(2), name="w"), ParameterError, r"parameter w needs shape \(2, 2\), got \(2,\)"),
    (lambda: Variables([Finite(2)] * 2, ["a", "a"]), CircuitError, "variable name 'a' is used more than once"),
    (lambda: Variables([Finite(2)], ["a", "b"]), CircuitError, "1 domains but 2 names"),
    (lambda: VARIABLES["color"], CircuitError, "no variable 'color'; did you mean 'colour'?"),
    (lambda: Finite(0), CircuitError, "at least one value, got size=0"),
    (lambda: Categorical(0), CircuitError, "Categorical needs size ≥ 1, got 0"),
    (lambda: Binomial(0), CircuitError, "Binomial needs trials ≥ 1, got 0"),
    (lambda: Gaussian(min_variance=0.0), CircuitError, "Gaussian needs min_variance > 0"),
    (lambda: SumBlock([leaf()], node=2), OptionError, r"SumBlock\(\) has no option 'node'; did you mean 'nodes'\?"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[m[:40] for _, _, m in BAD])
def test_bad_input_has_its_own_message(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_messages_differ() -> None:
    assert len({message for _, _, message in BAD}) == len(BAD)


def test_weights_may_be_off_by_six_digits() -> None:
    SumBlock([leaf(2)], 1, parameter=weights([[0.333333, 0.666666]]))


def test_block_sparse_weights_are_summed_over_tiles() -> None:
    tiles = torch.full((3, 2, 2), 0.25)
    tiles[0] = 0.5
    edges = BlockSparse(2, long(0, 1, 1), long(0, 0, 1))
    block = SumBlock([leaf(4)], 4, edges, Parameter((3, 2, 2), tiles))
    assert block.num_edges == 12
    assert block.elements == 4
    with pytest.raises(ParameterError, match="node 0 sum to 2"):
        SumBlock([leaf(4)], 4, edges, Parameter((3, 2, 2), tiles * torch.tensor([2.0, 1.0, 1.0])[:, None, None]))


def test_values_are_copied() -> None:
    value = torch.tensor([[0.5, 0.5]])
    parameter = Parameter((1, 2), value)
    value[0, 0] = 9.0
    assert parameter.value is not None
    assert float(parameter.value[0, 0]) == 0.5
    index = long(0, 1)[:, None]
    product = ProductBlock([leaf(2)], index)
    index[0] = 1
    assert product.index is not None
    assert product.index.tolist() == [[0], [1]]


def test_edge_shapes() -> None:
    assert Dense().weight_shape(3, 4) == (3, 4)
    assert Sparse(long(0), long(0)).weight_shape(3, 4) == (1,)
    assert BlockSparse(2, long(0), long(0)).weight_shape(4, 4) == (1, 2, 2)


def test_scopes() -> None:
    assert scope_indices(scope_of([0, 70, 3])) == [0, 3, 70]
    assert scope_indices(0) == []
    assert VARIABLES.names(scope_of([0, 2])) == "{colour, height}"
    assert Variables.binary(9).names(2**9 - 1, limit=2) == "{x0, x1, … 9 in all}"
