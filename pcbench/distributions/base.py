"""What the engine asks of a distribution family: an exponential family in plain PyTorch.

A family holds the hyperparameters of one kind of leaf. The parameters of a vector of ``N`` leaf nodes are one tensor
``[..., S, N]`` (node axis last, so that a table lookup reads contiguous rows); leading dimensions are leaf blocks.
Learning works in mean parameters: the expected sufficient statistics ``E[t(x)]``, a tensor ``[..., T, N]``.
"""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import QueryError
from ..scope import Domain, Finite


class Distribution(abc.ABC):
    """A family of univariate distributions. Subclasses are frozen dataclasses of their hyperparameters."""

    #: Short name, as written in files.
    name: ClassVar[str]

    # -- shapes -------------------------------------------------------------------------------------------------------
    @property
    @abc.abstractmethod
    def num_parameters(self) -> int:
        """``S``: rows of the parameter tensor of a leaf vector."""

    @property
    @abc.abstractmethod
    def num_moments(self) -> int:
        """``T``: number of sufficient statistics of one value."""

    @abc.abstractmethod
    def rejects(self, domain: Domain) -> str | None:
        """Why leaves of this family cannot model a variable with ``domain``; ``None`` when they can."""

    # -- density ------------------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def log_density(self, parameters: Tensor, values: Tensor) -> Tensor:
        """Log density or mass in nats: parameters ``[..., S, N]``, values ``[..., B]`` → ``[..., B, N]``."""

    def log_table(self, parameters: Tensor, domain: Finite) -> Tensor:
        """Log mass of every value of a finite domain: ``[..., S, N]`` → ``[..., C, N]``."""
        values = torch.arange(domain.size, device=parameters.device, dtype=parameters.dtype)
        return self.log_density(parameters, values.expand(*parameters.shape[:-2], domain.size))

    def mass_table(self, parameters: Tensor, domain: Finite) -> Tensor | None:
        """Mass of every value of a finite domain, ``[..., S, N]`` → ``[..., C, N]``; ``None`` when a mass may underflow.

        A family whose parameters are these masses returns ``parameters`` itself.
        """
        return None

    # -- learning -----------------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def sufficient(self, values: Tensor) -> Tensor:
        """Sufficient statistics ``t(x)``: values ``[...]`` → ``[..., T]``."""

    @abc.abstractmethod
    def moments(self, parameters: Tensor) -> Tensor:
        """Mean parameters ``E[t(x)]``: ``[..., S, N]`` → ``[..., T, N]``."""

    @abc.abstractmethod
    def from_moments(self, moments: Tensor) -> Tensor:
        """The maximum-likelihood parameters for given mean parameters: ``[..., T, N]`` → ``[..., S, N]``."""

    def moments_from_counts(self, counts: Tensor) -> Tensor:
        """Weighted sums of ``t(x)`` from weighted counts of each value: ``[..., C, N]`` → ``[..., T, N]``."""
        values = torch.arange(counts.shape[-2], device=counts.device, dtype=counts.dtype)
        return self.sufficient(values).T @ counts

    def prior_moments(self, parameters: Tensor) -> Tensor:
        """The mean parameters that pseudocounts pull towards: broadcastable to ``[..., T, N]``.

        By default the current parameters (pure damping, no bias); families on a finite domain use the uniform distribution.
        """
        return self.moments(parameters)

    @abc.abstractmethod
    def initial(self, nodes: int, generator: torch.Generator, column: Tensor | None = None) -> Tensor:
        """Random parameters ``[S, nodes]`` in float64; ``column`` (values ``[B]``) sets location and scale where that helps."""

    @abc.abstractmethod
    def invalid(self, parameters: Tensor) -> str | None:
        """Why ``parameters`` ``[..., S, N]`` are not parameters of this family; ``None`` when they are."""

    # -- gradients ----------------------------------------------------------------------------------------------------
    def free(self, parameters: Tensor) -> Tensor:
        """Unconstrained coordinates, for optimisers: ``[..., S, N]`` → ``[..., F, N]``.

        Any real numbers are coordinates of some parameters. A parameter on its border (a probability of 0 or 1) has an
        infinite coordinate; learning by gradients leaves it there.
        """
        raise QueryError(f"{self.name} leaves have no unconstrained coordinates, so no gradient can change them; train by EM")

    def from_free(self, free: Tensor) -> Tensor:
        """The inverse of :meth:`free`, differentiable: ``[..., F, N]`` → ``[..., S, N]``."""
        raise QueryError(f"{self.name} leaves have no unconstrained coordinates, so no gradient can change them; train by EM")

    def free_log_table(self, free: Tensor, domain: Finite) -> Tensor:
        """:meth:`log_table` of ``from_free(free)``, differentiable: ``[..., F, N]`` → ``[..., C, N]``.

        Families say it directly where the detour by probabilities would round to 0 or 1.
        """
        return self.log_table(self.from_free(free), domain)

    # -- answers ------------------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable value of each node: ``[..., S, N]`` → ``[..., N]``."""

    @abc.abstractmethod
    def inverse_cdf(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Sample by inversion, one parameter column a draw: ``[S, M]`` and uniforms ``[M]`` in (0, 1) → values ``[M]``."""

    @abc.abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """``[..., S, N]`` → ``[..., N]``."""

    @abc.abstractmethod
    def variance(self, parameters: Tensor) -> Tensor:
        """``[..., S, N]`` → ``[..., N]``."""

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        """P(X ≤ x): parameters ``[..., S, N]``, values ``[..., B]`` → ``[..., B, N]``."""
        raise QueryError(f"{self.name} has no cumulative distribution function")


def probability_rows_invalid(parameters: Tensor, what: str) -> str | None:
    """Shared check for parameters that are probabilities in [0, 1]."""
    if not bool(torch.isfinite(parameters).all()):
        return f"{what} must be finite"
    low, high = float(parameters.min()), float(parameters.max())
    if low < 0 or high > 1 + 1e-6:
        return f"{what} must lie in [0, 1], got values from {low:.6g} to {high:.6g}"
    return None
