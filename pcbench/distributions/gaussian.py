"""Gaussian leaves for real variables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import CircuitError, hinted_class
from ..scope import Domain, Real
from .base import Distribution


@hinted_class
@dataclass(frozen=True)
class Gaussian(Distribution):
    """N(μ, σ²); parameters ``[2, N]``: means, then variances.

    ``min_variance`` bounds the maximum-likelihood variance from below: without a bound the likelihood of a Gaussian
    mixture is unbounded (a node that explains one row alone shrinks to a spike).
    """

    min_variance: float = 1e-4
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        if not self.min_variance > 0:
            raise CircuitError(f"Gaussian needs min_variance > 0, got {self.min_variance}")

    @property
    def num_parameters(self) -> int:
        return 2

    @property
    def num_moments(self) -> int:
        return 2

    def rejects(self, domain: Domain) -> str | None:
        return None if isinstance(domain, Real) else f"Gaussian models real values, but the domain is {domain}"

    def log_density(self, parameters: Tensor, values: Tensor) -> Tensor:
        mean, variance = parameters[..., 0, None, :], parameters[..., 1, None, :]
        # The difference is taken before any rounding to the parameters' precision: large offsets stay exact.
        gap = (values.unsqueeze(-1) - mean.to(values.dtype)).to(parameters.dtype)
        density: Tensor = -0.5 * (gap.square() / variance + variance.log() + math.log(2 * math.pi))
        return density

    def sufficient(self, values: Tensor) -> Tensor:
        return torch.stack((values, values.square()), -1)

    def moments(self, parameters: Tensor) -> Tensor:
        mean = parameters[..., 0, :]
        return torch.stack((mean, parameters[..., 1, :] + mean.square()), -2)

    def from_moments(self, moments: Tensor) -> Tensor:
        mean = moments[..., 0, :]
        variance = (moments[..., 1, :] - mean.square()).clamp_(min=self.min_variance)
        return torch.stack((mean, variance), -2)

    def free(self, parameters: Tensor) -> Tensor:
        """Mean, and the log of what the variance has above its bound (at least a thousandth of the bound: gradients must
        find a way back from there)."""
        above = (parameters[..., 1, :] - self.min_variance).clamp(min=1e-3 * self.min_variance)
        return torch.stack((parameters[..., 0, :], above.log()), -2)

    def from_free(self, free: Tensor) -> Tensor:
        return torch.stack((free[..., 0, :], self.min_variance + free[..., 1, :].exp()), -2)

    def initial(self, nodes: int, generator: torch.Generator, column: Tensor | None = None) -> Tensor:
        noise = torch.randn(nodes, generator=generator, dtype=torch.float64)
        if column is None:
            return torch.stack((noise, torch.ones_like(noise)))
        values = column.double()
        spread = max(float(values.var(unbiased=False)), self.min_variance)
        picks = values[torch.randint(len(values), (nodes,), generator=generator)]
        return torch.stack((picks + 0.1 * math.sqrt(spread) * noise, torch.full_like(noise, spread)))

    def invalid(self, parameters: Tensor) -> str | None:
        if not bool(torch.isfinite(parameters).all()):
            return "means and variances must be finite"
        low = float(parameters[..., 1, :].min())
        return None if low > 0 else f"variances must be positive, got {low:.6g}"

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0, :]

    def inverse_cdf(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        values: Tensor = parameters[0].double() + parameters[1].double().sqrt() * torch.special.ndtri(uniform.double())
        return values

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0, :]

    def variance(self, parameters: Tensor) -> Tensor:
        return parameters[..., 1, :]

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        mean, variance = parameters[..., 0, None, :], parameters[..., 1, None, :]
        below: Tensor = torch.special.ndtr((values.unsqueeze(-1) - mean) / variance.sqrt())
        return below
