"""Bernoulli leaves: a biased coin; with probability 0 or 1, a literal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..scope import Domain, Finite
from .base import Distribution, probability_rows_invalid


@dataclass(frozen=True)
class Bernoulli(Distribution):
    """p(x = 1) = θ; parameters ``[1, N]``."""

    name: ClassVar[str] = "bernoulli"

    @property
    def num_parameters(self) -> int:
        return 1

    @property
    def num_moments(self) -> int:
        return 1

    def rejects(self, domain: Domain) -> str | None:
        ok = isinstance(domain, Finite) and domain.size == 2
        return None if ok else f"Bernoulli covers the values 0 and 1, but the domain is {domain}"

    def log_density(self, parameters: Tensor, values: Tensor) -> Tensor:
        return torch.where(values.unsqueeze(-1) > 0.5, parameters.log(), (-parameters).log1p())

    def mass_table(self, parameters: Tensor, domain: Finite) -> Tensor:
        return torch.cat((1 - parameters, parameters), -2)

    def sufficient(self, values: Tensor) -> Tensor:
        return values.unsqueeze(-1)

    def moments(self, parameters: Tensor) -> Tensor:
        return parameters

    def from_moments(self, moments: Tensor) -> Tensor:
        return moments.clamp(0, 1)  # an average of zeros and ones leaves [0, 1] by rounding alone

    def prior_moments(self, parameters: Tensor) -> Tensor:
        return parameters.new_full((1, 1), 0.5)

    def free(self, parameters: Tensor) -> Tensor:
        return torch.logit(parameters.clamp(0, 1))

    def from_free(self, free: Tensor) -> Tensor:
        return torch.sigmoid(free)

    def free_log_table(self, free: Tensor, domain: Finite) -> Tensor:
        return torch.cat((F.logsigmoid(-free), F.logsigmoid(free)), -2)

    def initial(self, nodes: int, generator: torch.Generator, column: Tensor | None = None) -> Tensor:
        raw = torch.rand(1, nodes, generator=generator, dtype=torch.float64)
        if column is None:
            return 0.05 + 0.9 * raw
        rate = (float(column.double().mean()) * len(column) + 0.5) / (len(column) + 1)
        # Odds jittered by up to e^±1 around the column's own rate.
        odds = rate / (1 - rate) * torch.exp(2 * raw - 1)
        return odds / (1 + odds)

    def invalid(self, parameters: Tensor) -> str | None:
        return probability_rows_invalid(parameters, "success probabilities")

    def mode(self, parameters: Tensor) -> Tensor:
        return (parameters[..., 0, :] > 0.5).long()

    def inverse_cdf(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        return (uniform >= 1 - parameters[0].double()).long()

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0, :]

    def variance(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0, :] * (1 - parameters[..., 0, :])

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        x = values.unsqueeze(-1)
        return torch.where(x < 0, 0.0, torch.where(x < 1, 1 - parameters, torch.ones_like(parameters)))
