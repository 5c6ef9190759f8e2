"""Binomial leaves: the number of successes in a fixed number of trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import CircuitError, hinted_class
from ..scope import Domain, Finite
from .base import Distribution, probability_rows_invalid


@hinted_class
@dataclass(frozen=True)
class Binomial(Distribution):
    """p(x) = C(trials, x) θ^x (1−θ)^(trials−x); parameters ``[1, N]``; values 0…trials."""

    trials: int
    name: ClassVar[str] = "binomial"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise CircuitError(f"Binomial needs trials ≥ 1, got {self.trials}")

    @property
    def num_parameters(self) -> int:
        return 1

    @property
    def num_moments(self) -> int:
        return 1

    def rejects(self, domain: Domain) -> str | None:
        if isinstance(domain, Finite) and domain.size == self.trials + 1:
            return None
        return f"Binomial(trials={self.trials}) covers values 0…{self.trials}, but the domain is {domain}"

    def log_density(self, parameters: Tensor, values: Tensor) -> Tensor:
        x = values.to(parameters.dtype).unsqueeze(-1)
        choose = self._log_choose(x)
        # xlogy and xlog1py are 0 at 0·log 0, so θ ∈ {0, 1} is exact.
        mass: Tensor = choose + torch.xlogy(x, parameters) + torch.special.xlog1py(self.trials - x, -parameters)
        return mass

    def _log_choose(self, x: Tensor) -> Tensor:
        """log C(trials, x), computed in float64."""
        n, xd = self.trials, x.double()
        return (math.lgamma(n + 1) - torch.lgamma(xd + 1) - torch.lgamma(n - xd + 1)).to(x.dtype)

    def sufficient(self, values: Tensor) -> Tensor:
        return values.unsqueeze(-1)

    def moments(self, parameters: Tensor) -> Tensor:
        return parameters * self.trials

    def from_moments(self, moments: Tensor) -> Tensor:
        return (moments / self.trials).clamp_(0, 1)  # an average of counts leaves [0, trials] by rounding alone

    def prior_moments(self, parameters: Tensor) -> Tensor:
        return parameters.new_full((1, 1), self.trials / 2)

    def free(self, parameters: Tensor) -> Tensor:
        return torch.logit(parameters.clamp(0, 1))

    def from_free(self, free: Tensor) -> Tensor:
        return torch.sigmoid(free)

    def free_log_table(self, free: Tensor, domain: Finite) -> Tensor:
        x = torch.arange(domain.size, device=free.device, dtype=free.dtype)[:, None]
        # Where a count is zero its logarithm does not matter, not even an infinite one (0 · −∞ would be NaN).
        hits = torch.where(x > 0, x * F.logsigmoid(free), 0.0)
        misses = torch.where(x < self.trials, (self.trials - x) * F.logsigmoid(-free), 0.0)
        return self._log_choose(x) + hits + misses

    def initial(self, nodes: int, generator: torch.Generator, column: Tensor | None = None) -> Tensor:
        raw = torch.rand(1, nodes, generator=generator, dtype=torch.float64)
        if column is None:
            return 0.05 + 0.9 * raw
        # Start each node at the rate of one observed value, drawn at random, pulled slightly inwards.
        picks = column[torch.randint(len(column), (nodes,), generator=generator)].double()
        return ((picks + 0.5 + raw[0]) / (self.trials + 2))[None, :]

    def invalid(self, parameters: Tensor) -> str | None:
        return probability_rows_invalid(parameters, "success probabilities")

    def mode(self, parameters: Tensor) -> Tensor:
        return ((self.trials + 1) * parameters[..., 0, :]).floor().clamp_(max=self.trials).long()

    def _masses(self, parameters: Tensor) -> Tensor:
        return self.log_table(parameters.double(), Finite(self.trials + 1)).exp()

    def inverse_cdf(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        cumulative = self._masses(parameters).cumsum(0)
        return (cumulative <= uniform * cumulative[-1]).sum(0).clamp_(max=self.trials)

    def mean(self, parameters: Tensor) -> Tensor:
        return self.trials * parameters[..., 0, :]

    def variance(self, parameters: Tensor) -> Tensor:
        p = parameters[..., 0, :]
        return self.trials * p * (1 - p)

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        cumulative = torch.nn.functional.pad(self._masses(parameters).cumsum(-2), (0, 0, 1, 0)).to(parameters.dtype)
        rows = (values.floor().long() + 1).clamp(0, self.trials + 1).unsqueeze(-1)
        rows = rows.expand(*values.shape, parameters.shape[-1])
        return torch.gather(cumulative.expand(*values.shape[:-1], -1, -1), -2, rows)
