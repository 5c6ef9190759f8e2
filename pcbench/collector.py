"""Keep Python's cyclic garbage collector out of code that builds many long-lived objects, or must not be interrupted.

Building a circuit of 100,000 blocks makes millions of objects and no cycles; the collector would walk all of them again
and again, for more than half of the time.
"""

from __future__ import annotations

import functools
import gc
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_paused, _was_on = 0, False


def collector_paused(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that the collector rests while it runs, in whatever thread, if it was on."""

    @functools.wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> R:
        _count(1)
        try:
            return function(*args, **kwargs)
        finally:
            _count(-1)

    return paused


def _count(more: int) -> None:
    """The first to come turns the collector off, and the last to go turns it on again."""
    global _paused, _was_on
    with _lock:
        if _paused == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _paused += more
        if _paused == 0 and _was_on:
            gc.enable()
