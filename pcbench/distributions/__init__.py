"""Leaf distributions, one family a file. A new family is one new file and one line in ``FAMILIES``."""

from .base import Distribution
from .bernoulli import Bernoulli
from .binomial import Binomial
from .categorical import Categorical
from .gaussian import Gaussian

#: Every family; files and conformance tests iterate over it.
FAMILIES: tuple[type[Distribution], ...] = (Categorical, Bernoulli, Gaussian, Binomial)

__all__ = ["FAMILIES", "Bernoulli", "Binomial", "Categorical", "Distribution", "Gaussian"]
