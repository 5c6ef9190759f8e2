"""Keep Python's cyclic garbage collector out of code that builds many long-lived objects, or must not be interrupted.

Building a circuit of 100,000 blocks makes millions of objects and no cycles; the collector would walk all of them again
and again, for more than half of the time.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def collector_paused(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that the collector rests while it runs, if it was on."""

    @functools.wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> R:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return paused
