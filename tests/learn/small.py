"""Small circuits and data for the tests of learning."""

from __future__ import annotations

import torch
from torch import Tensor

from pcbench import (
    Bernoulli,
    Binomial,
    Block,
    Categorical,
    Circuit,
    Distribution,
    Gaussian,
    InputBlock,
    ProductBlock,
    SumBlock,
    Variables,
)

LEAVES: dict[str, tuple[Distribution, int]] = {
    "bernoulli": (Bernoulli(), 2),
    "categorical": (Categorical(4), 4),
    "binomial": (Binomial(5), 6),
    "gaussian": (Gaussian(), 0),
}


def chain(leaf: str = "bernoulli", length: int = 6, nodes: int = 4) -> Circuit:
    """A hidden Markov model with its own parameters at every place."""
    family, size = LEAVES[leaf]
    variables = Variables.finite(length, size) if size else Variables.real(length)
    below: Block = InputBlock(variables[0], family, nodes)
    for variable in variables[1:]:
        below = ProductBlock([SumBlock([below], nodes), InputBlock(variable, family, nodes)])
    return Circuit(SumBlock([below]))


def rows(count: int = 300, leaf: str = "bernoulli", length: int = 6, seed: int = 0) -> Tensor:
    """Data with something to learn: two groups of rows that differ in every column."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.rand(count, 1, generator=generator) < 0.4
    noise = torch.rand(count, length, generator=generator)
    size = LEAVES[leaf][1]
    if not size:
        return torch.where(group, 2.0, -1.0) + noise.double() * torch.linspace(0.5, 2.0, length)
    return (torch.where(group, 0.55, 0.0) + 0.45 * noise).mul(size).long().clamp(max=size - 1)
