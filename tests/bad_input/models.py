"""The models that mistakes are made with."""

from __future__ import annotations

import torch

import pcbench
from pcbench import (
    Bernoulli,
    Categorical,
    Circuit,
    Finite,
    Gaussian,
    InputBlock,
    Model,
    ProductBlock,
    Real,
    SumBlock,
    Variables,
)

MIXED = Variables([Finite(3), Finite(2), Real()], ["colour", "coin", "height"])


def mixed() -> Circuit:
    leaves = [
        InputBlock(MIXED[0], Categorical(3), 2),
        InputBlock(MIXED[1], Bernoulli(), 2),
        InputBlock(MIXED[2], Gaussian(), 2),
    ]
    return Circuit(SumBlock([ProductBlock(leaves)], 1, name="top"), MIXED)


def finite() -> Circuit:
    over = Variables.finite(3, 4, ["a", "b", "c"])
    return Circuit(SumBlock([ProductBlock([InputBlock(v, Categorical(4), 2) for v in over])], 1, name="top"), over)


MODELS = {"mixed": Model.create(mixed(), seed=1), "finite": Model.create(finite(), seed=1)}
GOOD = {
    "mixed": torch.tensor([[0.0, 1.0, 0.5], [2.0, 0.0, -3.0]], dtype=torch.float64),
    "finite": torch.tensor([[0, 1, 2], [3, 3, 3]]),
}
DATA = GOOD["finite"]
X, Y, Z = Variables.finite(3, 2, ["x", "y", "z"])


def leaf(variable: pcbench.Variable, nodes: int = 2) -> InputBlock:
    return InputBlock(variable, Bernoulli(), nodes)
