"""The project's own exceptions, and spelling hints for misspelt keywords.

A user mistake names the property that was violated, the place (node, variable or file line), the offending values and
what was expected. ``assert`` is left for our own invariants.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


class PCBenchError(Exception):
    """Base of every exception that pcbench raises on purpose."""


class CircuitError(PCBenchError, ValueError):
    """A circuit that does not mean what a probabilistic circuit must mean."""


class VariableIndexError(CircuitError, IndexError):
    """A column number that no variable has. (Also an IndexError, which Python's sequence protocol asks for.)"""


class SmoothnessError(CircuitError):
    """Children of a sum node have different scopes."""


class DecomposabilityError(CircuitError):
    """Children of a product node share a variable."""


class CycleError(CircuitError):
    """A node is its own descendant."""


class ParameterError(CircuitError):
    """A parameter of the wrong shape, negative, not finite, or not normalised."""


class DataError(PCBenchError, ValueError):
    """Data or evidence that does not fit the circuit's variables."""


class FileFormatError(PCBenchError, ValueError):
    """A file that is corrupt, truncated, of another format, or of a newer version."""


class OptionError(PCBenchError, TypeError):
    """An unknown keyword, or an option whose value makes no sense."""


class QueryError(PCBenchError, ValueError):
    """A query that the circuit cannot answer."""


def suggest(word: str, known: list[str]) -> str:
    """A phrase « did you mean 'x'? » for a misspelt word, or the list of what is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def hinted(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function so that an unknown keyword raises :class:`OptionError` with the right spelling."""
    parameters = inspect.signature(function).parameters
    known = [n for n, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and n != "self"]
    allowed = frozenset(known)
    name = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs and not allowed.issuperset(kwargs):
            wrong = next(k for k in kwargs if k not in allowed)
            raise OptionError(f"{name}() has no option {wrong!r}; {suggest(wrong, known)}")
        return function(*args, **kwargs)

    return checked


def hinted_class(cls: C) -> C:
    """Class form of :func:`hinted`: the constructor's keywords are checked."""
    constructor = cast("Callable[..., None]", vars(cls)["__init__"])
    setattr(cls, "__init__", hinted(constructor))  # noqa: B010  # a type checker must not see a plain assignment
    return cls
