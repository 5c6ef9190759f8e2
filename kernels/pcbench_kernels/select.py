"""Choose a kernel for a layer, once, and remember why."""

from __future__ import annotations

from dataclasses import dataclass

from .cpu import SUM_VARIANTS
from .ops import SumKernel, SumPattern


@dataclass(frozen=True)
class Choice:
    """The kernel chosen for a layer, why, and why not the others (name, reason)."""

    kernel: SumKernel
    why: str
    rejected: tuple[tuple[str, str], ...]


def choose_sum_kernel(pattern: SumPattern) -> Choice:
    """The first variant that does not reject the pattern."""
    rejected: list[tuple[str, str]] = []
    for variant in SUM_VARIANTS:
        reason = variant.rejects(pattern)
        if reason is None:
            later = SUM_VARIANTS[len(rejected) + 1 :]
            rejected += [(v.name, v.rejects(pattern) or f"{variant.name} comes first") for v in later]
            return Choice(variant.make(pattern), variant.why(pattern), tuple(rejected))
        rejected.append((variant.name, reason))
    raise AssertionError("the last variant takes every pattern")
