"""Densities, sufficient statistics and maximum-likelihood updates of leaf families, after SciPy and the textbook.

Parameters of ``N`` leaf nodes are arrays ``[S, N]`` in float64; values are ``[B]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]


def log_density(family: Any, parameters: Array, values: Array) -> Array:
    """Log density or mass in nats: ``[B, N]``."""
    x = values[:, None]
    with np.errstate(divide="ignore"):
        if family.name == "categorical":
            return np.log(parameters[values.astype(int)])
        if family.name == "bernoulli":
            return np.asarray(stats.bernoulli.logpmf(x, parameters[0][None, :]))
        if family.name == "binomial":
            return np.asarray(stats.binom.logpmf(x, family.trials, parameters[0][None, :]))
        if family.name == "gaussian":
            return np.asarray(stats.norm.logpdf(x, parameters[0][None, :], np.sqrt(parameters[1])[None, :]))
    raise NotImplementedError(f"the oracle has no formula for {family.name}: add one")


def log_table(family: Any, parameters: Array, size: int) -> Array:
    """Log mass of the values 0…size−1: ``[C, N]``."""
    return log_density(family, parameters, np.arange(size, dtype=np.float64))


def best_log(family: Any, parameters: Array, size: int | None) -> Array:
    """Log density at each node's mode: ``[N]``; ``size`` is that of the domain, ``None`` for real variables."""
    if size is not None:
        return log_table(family, parameters, size).max(0)
    return np.diagonal(log_density(family, parameters, parameters[0])).copy()


def sufficient(family: Any, values: Array) -> Array:
    """Sufficient statistics ``t(x)``: ``[B, T]``."""
    if family.name == "categorical":
        return np.eye(family.size)[values.astype(int)]
    if family.name in ("bernoulli", "binomial"):
        return values[:, None]
    if family.name == "gaussian":
        return np.stack((values, values**2), 1)
    raise NotImplementedError(family.name)


def moments(family: Any, parameters: Array) -> Array:
    """``E[t(x)]``: ``[T, N]``."""
    if family.name in ("categorical", "bernoulli"):
        return parameters
    if family.name == "binomial":
        return family.trials * parameters
    if family.name == "gaussian":
        return np.stack((parameters[0], parameters[1] + parameters[0] ** 2))
    raise NotImplementedError(family.name)


def from_moments(family: Any, mean: Array) -> Array:
    """The parameters with the given ``E[t(x)]``: ``[S, N]``."""
    if family.name == "categorical":
        return mean
    if family.name == "bernoulli":
        return _probability(mean)
    if family.name == "binomial":
        return _probability(mean / family.trials)
    if family.name == "gaussian":
        return np.stack((mean[0], np.maximum(mean[1] - mean[0] ** 2, family.min_variance)))
    raise NotImplementedError(family.name)


def _probability(mean: Array) -> Array:
    """A quotient of two sums of the same flows can round to just above 1; anything further out is an error, not rounding."""
    assert ((mean >= 0) & (mean <= 1 + 1e-12)).all(), mean
    return np.minimum(mean, 1.0)


def prior_moments(family: Any, parameters: Array) -> Array:
    """What a pseudocount pulls towards: the uniform distribution, or for Gaussians the current moments."""
    if family.name == "categorical":
        return np.full_like(parameters, 1 / family.size)
    if family.name == "bernoulli":
        return np.full_like(parameters, 0.5)
    if family.name == "binomial":
        return np.full_like(parameters, family.trials / 2)
    return moments(family, parameters)
