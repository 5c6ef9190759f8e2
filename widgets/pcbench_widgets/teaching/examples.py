"""Circuits that the lab always carries along, among them two that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pcbench import Bernoulli, Circuit, InputBlock, Parameter, ProductBlock, SumBlock, Variables

from ..builder.templates import naive_bayes, parity, two_coins


@dataclass(frozen=True)
class Example:
    """A circuit with a title, what there is to see, and the marks that the lab starts with."""

    title: str
    summary: str
    make: Callable[[], Circuit]
    marks: dict[str, dict[str, Any]]


def _coin(variables: Variables, name: str, heads: float, label: str) -> InputBlock:
    value = torch.tensor([[heads]], dtype=torch.float64)
    return InputBlock(variables[name], Bernoulli(), 1, Parameter((1, 1), value), label)


def _mixture(parts: list[Any], weights: list[float]) -> SumBlock:
    value = torch.tensor([weights], dtype=torch.float64)
    return SumBlock(parts, 1, parameter=Parameter((1, len(weights)), value), name="mixture")


def not_smooth() -> Circuit:
    """A sum whose second child says nothing about x2: where x2 is summed out, its share is counted once instead of twice.

    Such a circuit can be looked at, but not compiled.
    """
    v = Variables.binary(2, ["x1", "x2"])
    both = ProductBlock([_coin(v, "x1", 0.9, "x1|a"), _coin(v, "x2", 0.2, "x2|a")], name="a")
    return Circuit(_mixture([both, _coin(v, "x1", 0.3, "x1|b")], [0.6, 0.4]), v, checked=False)


def not_decomposable() -> Circuit:
    """A product of two inputs over the same variable: the sum of products is not the product of sums.

    Such a circuit can be looked at, but not compiled.
    """
    v = Variables.binary(2, ["x1", "x2"])
    twice = ProductBlock([_coin(v, "x1", 0.9, "x1|a"), _coin(v, "x1", 0.3, "x1|a'"), _coin(v, "x2", 0.2, "x2|a")], name="a")
    fine = ProductBlock([_coin(v, "x1", 0.3, "x1|b"), _coin(v, "x2", 0.7, "x2|b")], name="b")
    return Circuit(_mixture([twice, fine], [0.6, 0.4]), v, checked=False)


def _value(value: int) -> dict[str, Any]:
    return {"kind": "value", "value": value}


#: In the order of the lab's list.
EXAMPLES: tuple[Example, ...] = (
    Example(
        "Two coins",
        "A mixture of two pairs of coins: the smallest circuit with all three kinds of node.",
        two_coins,
        {"x1": _value(1), "x2": {"kind": "query"}},
    ),
    Example(
        "Naive Bayes",
        "A class and three features that are independent given it. Observe features, ask for the class.",
        naive_bayes,
        {"class": {"kind": "query"}, "f1": _value(1)},
    ),
    Example(
        "Parity",
        "Three bits with an even number of ones. The circuit is deterministic, so its best tree is the best state.",
        parity,
        {"x1": _value(1), "x3": {"kind": "query"}},
    ),
    Example(
        "Wrong: not smooth",
        "The children of the sum do not depend on the same variables. Sum x2 out, and compare with all worlds.",
        not_smooth,
        {"x1": _value(1)},
    ),
    Example(
        "Wrong: not decomposable",
        "A product multiplies two inputs over x1. Sum x1 out, and compare with all worlds.",
        not_decomposable,
        {"x2": _value(1)},
    ),
)
