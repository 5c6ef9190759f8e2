"""A kernel and when it may not be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .ops import SumKernel, SumPattern


@dataclass(frozen=True)
class Variant:
    """One way to run a layer.

    ``rejects`` gives the reason why it does not suit a pattern on a device (``None``: it suits); ``why`` says in words
    why it was taken.
    """

    name: str
    make: Callable[[SumPattern], SumKernel]
    rejects: Callable[[SumPattern], str | None]
    why: Callable[[SumPattern], str]
