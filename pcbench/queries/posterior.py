"""The answer to a conditional query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from ..distributions import Distribution
from ..scope import Variable

#: (family, parameters ``[S, N]``, mixture weights ``[B, N]``) of a leaf vector; float64, on the CPU.
Component: TypeAlias = tuple[Distribution, Tensor, Tensor]


class Posterior:
    """The distribution of one variable given each row of evidence: a mixture of the circuit's leaves over it.

    Args:
        variable: the variable.
        components: gives the components.
        probabilities: ``[rows, C]`` of some rows after the other, for a finite variable.
    """

    def __init__(
        self, variable: Variable, components: Callable[[], tuple[Component, ...]], probabilities: Sequence[Tensor] | None
    ) -> None:
        self._variable, self._make, self._parts = variable, components, probabilities

    @property
    def variable(self) -> Variable:
        """The variable."""
        return self._variable

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """One (family, parameters ``[S, N]``, mixture weights ``[B, N]``) for each leaf vector over the variable, float64.

        A GPU's fused passes do not hand weights out; the exact passes compute them when they are first asked for.
        """
        return self._make()

    @cached_property
    def probabilities(self) -> Tensor | None:
        """``[B, C]`` float64 for a finite variable, otherwise ``None``."""
        return None if self._parts is None else torch.cat([part.double() for part in self._parts])

    def __repr__(self) -> str:
        return f"Posterior({self.variable})"

    @property
    def _values(self) -> Tensor:
        assert self.probabilities is not None
        return torch.arange(self.probabilities.shape[1], dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """Expected value: ``[B]``."""
        if self.probabilities is not None:
            return self.probabilities @ self._values
        return sum((w @ f.mean(p) for f, p, w in self.components), start=torch.zeros(()))

    @property
    def variance(self) -> Tensor:
        """Variance: ``[B]`` (law of total variance)."""
        if self.probabilities is not None:
            return self.probabilities @ self._values.square() - self.mean.square()
        second = sum((w @ (f.variance(p) + f.mean(p).square()) for f, p, w in self.components), start=torch.zeros(()))
        return second - self.mean.square()

    def cdf(self, values: Tensor) -> Tensor:
        """P(X ≤ x) for one value a row: ``[B]`` → ``[B]``."""
        if self.probabilities is not None:
            return (self.probabilities * (self._values[None, :] <= values[:, None])).sum(1)
        return sum(((w * f.cdf(p, values.to(p.dtype))).sum(1) for f, p, w in self.components), start=torch.zeros(()))
