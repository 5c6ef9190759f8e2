"""Categorical leaves: one probability for each value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import CircuitError, hinted_class
from ..scope import Domain, Finite
from .base import Distribution, probability_rows_invalid


@hinted_class
@dataclass(frozen=True)
class Categorical(Distribution):
    """p(x = c) = θ_c for c in 0…size−1; parameters ``[size, N]``, each column sums to one."""

    size: int
    name: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise CircuitError(f"Categorical needs size ≥ 1, got {self.size}")

    @property
    def num_parameters(self) -> int:
        return self.size

    @property
    def num_moments(self) -> int:
        return self.size

    def rejects(self, domain: Domain) -> str | None:
        if domain == Finite(self.size):
            return None
        return f"Categorical(size={self.size}) covers values 0…{self.size - 1}, but the domain is {domain}"

    def log_density(self, parameters: Tensor, values: Tensor) -> Tensor:
        rows = values.long().unsqueeze(-1).expand(*values.shape, parameters.shape[-1])
        return torch.gather(parameters.expand(*values.shape[:-1], -1, -1), -2, rows).log()

    def log_table(self, parameters: Tensor, domain: Finite) -> Tensor:
        return parameters.log()

    def mass_table(self, parameters: Tensor, domain: Finite) -> Tensor:
        return parameters

    def sufficient(self, values: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(values.long(), self.size).to(
            values.dtype if values.is_floating_point() else torch.get_default_dtype()
        )

    def moments(self, parameters: Tensor) -> Tensor:
        return parameters

    def from_moments(self, moments: Tensor) -> Tensor:
        return moments

    def moments_from_counts(self, counts: Tensor) -> Tensor:
        return counts

    def prior_moments(self, parameters: Tensor) -> Tensor:
        return parameters.new_full((1, 1), 1.0 / self.size)

    def free(self, parameters: Tensor) -> Tensor:
        return parameters.log()

    def from_free(self, free: Tensor) -> Tensor:
        return torch.softmax(free, -2)

    def free_log_table(self, free: Tensor, domain: Finite) -> Tensor:
        return torch.log_softmax(free, -2)

    def initial(self, nodes: int, generator: torch.Generator, column: Tensor | None = None) -> Tensor:
        raw = torch.rand(self.size, nodes, generator=generator, dtype=torch.float64).add_(0.05)
        if column is not None:
            # Each node starts near the column's own histogram, with noise that breaks the symmetry between nodes.
            seen = torch.bincount(column.long(), minlength=self.size).double() + 0.1
            raw *= (seen / seen.sum())[:, None]
        return raw.div_(raw.sum(0, keepdim=True))

    def invalid(self, parameters: Tensor) -> str | None:
        wrong = probability_rows_invalid(parameters, "category probabilities")
        if wrong is None:
            total = parameters.double().sum(-2)
            off = float((total - 1).abs().max())
            if off > 1e-4:
                wrong = f"category probabilities must sum to 1, but a node's sum is off by {off:.3g}"
        return wrong

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(-2)

    def inverse_cdf(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        cumulative = parameters.double().cumsum(0)
        # Scaled by the total, so that rounding in the sum can never select a value of probability zero at the end.
        return (cumulative <= uniform * cumulative[-1]).sum(0).clamp_(max=self.size - 1)

    def _values(self, parameters: Tensor) -> Tensor:
        return torch.arange(self.size, device=parameters.device, dtype=parameters.dtype)[:, None]

    def mean(self, parameters: Tensor) -> Tensor:
        return (self._values(parameters) * parameters).sum(-2)

    def variance(self, parameters: Tensor) -> Tensor:
        return (self._values(parameters).square() * parameters).sum(-2) - self.mean(parameters).square()

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        cumulative = torch.nn.functional.pad(parameters.cumsum(-2), (0, 0, 1, 0))
        rows = (values.floor().long() + 1).clamp(0, self.size).unsqueeze(-1)
        rows = rows.expand(*values.shape, parameters.shape[-1])
        return torch.gather(cumulative.expand(*values.shape[:-1], -1, -1), -2, rows)
