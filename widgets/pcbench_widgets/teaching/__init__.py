"""The teaching lab: a circuit's answers, step by step; small circuits that show what goes wrong; lessons as one file."""

from .examples import EXAMPLES, not_decomposable, not_smooth

__all__ = ["EXAMPLES", "not_decomposable", "not_smooth"]
