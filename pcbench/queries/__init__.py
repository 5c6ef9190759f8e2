"""Questions to a model, one a file."""

from .conditional import conditional
from .likelihood import conditional_log_likelihood, log_likelihood, marginal
from .mpe import Explanation, mpe
from .posterior import Posterior
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
