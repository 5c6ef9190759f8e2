"""Parameters that are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    Categorical,
    Circuit,
    Gaussian,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
)
from pcbench.errors import (
    ParameterError,
)

from .models import MIXED, MODELS, X, Y, leaf


def weights(*values: float) -> Callable[[], Any]:
    tensor = torch.tensor([values], dtype=torch.float64)
    return lambda: SumBlock([leaf(X, tensor.shape[1])], 1, parameter=Parameter(tuple(tensor.shape), tensor), name="s")


def coins(*values: float) -> Callable[[], Any]:
    tensor = torch.tensor([values], dtype=torch.float64)
    return lambda: InputBlock(X, Bernoulli(), tensor.shape[1], Parameter(tuple(tensor.shape), tensor))


BAD_PARAMETERS: dict[str, tuple[Callable[[], Any], str]] = {
    "negative weight": (weights(1.2, -0.2), r"s: weights must not be negative, got -0.2 at \(0, 1\)"),
    "unnormalised weights": (weights(0.5, 0.4), "s: weights of node 0 sum to 0.9, expected 1"),
    "weights a little off": (weights(0.5, 0.50002), "node 0 sum to 1.00002"),
    "weight NaN": (weights(0.5, math.nan), "finite"),
    "weight infinite": (weights(0.5, math.inf), "finite"),
    "coin above one": (coins(0.5, 1.5), r"\[0, 1\].*1.5"),
    "coin below zero": (coins(-0.5, 0.5), r"\[0, 1\].*-0.5"),
    "coin NaN": (coins(0.5, math.nan), "finite"),
    "value of another shape": (lambda: Parameter((2, 2), torch.zeros(2, 3)), r"\(2, 2\), got \(2, 3\)"),
    "shape of another block": (lambda: SumBlock([leaf(X)], 1, parameter=Parameter((2, 2))), r"\(1, 2\), got \(2, 2\)"),
    "shape of another leaf": (lambda: InputBlock(X, Bernoulli(), 2, Parameter((2, 2))), r"\(1, 2\), got \(2, 2\)"),
    "categories that do not sum to one": (
        lambda: InputBlock(X, Categorical(2), 1, Parameter((2, 1), torch.tensor([[0.5], [0.6]]))),
        "sum to 1.*0.1",
    ),
    "variance zero": (
        lambda: InputBlock(MIXED[2], Gaussian(), 1, Parameter((2, 1), torch.tensor([[0.0], [0.0]]))),
        "positive, got 0",
    ),
}


@pytest.mark.parametrize("mistake", BAD_PARAMETERS)
def test_parameters_that_are_none(mistake: str) -> None:
    make, message = BAD_PARAMETERS[mistake]
    with pytest.raises(ParameterError, match=message):
        make()


def test_values_for_a_model_are_checked_one_by_one() -> None:
    model = MODELS["finite"]
    top = model.circuit.roots[0].parameter  # type: ignore[union-attr]
    good = model.values()
    spoilt = {
        "no value": {p: v for p, v in good.items() if p is not top},
        r"needs shape \(1, 2\), got \(2,\)": good | {top: torch.tensor([0.5, 0.5])},
        "must not be negative, got -0.5": good | {top: torch.tensor([[1.5, -0.5]])},
        "sum to 0.5, expected 1": good | {top: torch.tensor([[0.25, 0.25]])},
        "finite": good | {top: torch.tensor([[math.nan, 0.25]])},
    }
    for message, values in spoilt.items():
        with pytest.raises(ParameterError, match=f"top.*{message}"):
            Model.from_values(model.program, values)


def test_tied_blocks_need_the_same_edges() -> None:
    shared = Parameter((2,))
    one = SumBlock([leaf(X)], 2, Sparse(torch.tensor([0, 1]), torch.tensor([0, 1])), shared)
    two = SumBlock([leaf(X)], 2, Sparse(torch.tensor([0, 1]), torch.tensor([1, 0])), shared)
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(SumBlock([one, two])))


@pytest.mark.parametrize("order", [1, -1])
def test_tied_leaves_need_the_same_family(order: int) -> None:
    shared = Parameter((1, 2))
    blocks = [InputBlock(X, Bernoulli(), 2, shared), InputBlock(X, Binomial(1), 2, shared)][::order]
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(SumBlock(blocks)))


@pytest.mark.parametrize("order", [1, -1])
def test_weights_cannot_be_tied_to_leaves(order: int) -> None:
    shared = Parameter((1, 2))
    lower = InputBlock(X, Bernoulli(), 2, shared)
    parts = [SumBlock([lower], 1, parameter=shared), InputBlock(Y, Bernoulli(), 1)][::order]
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(ProductBlock(parts)))
