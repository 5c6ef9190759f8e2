"""Questions to a model, one a file."""

from .conditional import Posterior, conditional
from .likelihood import conditional_log_likelihood, log_likelihood, marginal
from .mpe import Explanation, mpe
from .sampling import sample

__all__ = [
    "Explanation",
    "Posterior",
    "conditional",
    "conditional_log_likelihood",
    "log_likelihood",
    "marginal",
    "mpe",
    "sample",
]
