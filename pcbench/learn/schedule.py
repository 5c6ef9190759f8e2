"""Step sizes over the course of a run: small values that can be compared, printed and stored.

A schedule is called with the number of steps done and the number planned, and answers with the step size η in (0, 1] of
mini-batch EM, ``parameters ← (1−η)·old + η·new``.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

from ..errors import OptionError, hinted_class


class Schedule(abc.ABC):
    """A step size for every step. Subclasses are frozen dataclasses of numbers."""

    #: Short name, as written in checkpoints.
    name: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, step: int, total: int) -> float:
        """η in (0, 1] for step ``step`` (0 is the first) of ``total``; a step past the end gets the last value."""


@hinted_class
@dataclass(frozen=True)
class Constant(Schedule):
    """The same step size throughout."""

    value: float = 0.1
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _require_step_size("value", self.value)

    def __call__(self, step: int, total: int) -> float:
        return float(self.value)


@hinted_class
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from ``start`` down to ``end`` (Loshchilov and Hutter 2017, without restarts)."""

    start: float = 0.4
    end: float = 0.02
    name: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        _require_step_size("start", self.start)
        _require_step_size("end", self.end)

    def __call__(self, step: int, total: int) -> float:
        return _cosine(self.start, self.end, _progress(step, total))


@hinted_class
@dataclass(frozen=True)
class Power(Schedule):
    """``η = start · ((t + delay) / delay)^−power``, after Robbins and Monro.

    For ``½ < power ≤ 1`` the step sizes sum to infinity and their squares do not, which is what online EM needs to
    converge (Cappé and Moulines 2009, who advise powers between 0.6 and 0.7 with averaging).

    Args:
        start: of the first step.
        power: how fast it falls.
        delay: steps until it has fallen to ``2^−power`` of the first.
    """

    start: float = 0.5
    power: float = 0.7
    delay: float = 20.0
    name: ClassVar[str] = "power"

    def __post_init__(self) -> None:
        _require_step_size("start", self.start)
        if not 0.5 < self.power <= 1:
            raise OptionError(f"power must lie in (0.5, 1] for the steps to converge, got {self.power}")
        if not (self.delay > 0 and math.isfinite(self.delay)):
            raise OptionError(f"delay must be positive, got {self.delay}")

    def __call__(self, step: int, total: int) -> float:
        return float(self.start * ((step + self.delay) / self.delay) ** -self.power)


@hinted_class
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from ``start`` to ``peak`` in the first ``warmup`` of the run, then down to ``end``, along half cosines.

    Shape: Smith and Topin 2019. A small first step keeps random first responsibilities from being taken at face value.
    """

    start: float = 0.05
    peak: float = 0.4
    end: float = 0.01
    warmup: float = 0.15
    name: ClassVar[str] = "one-cycle"

    def __post_init__(self) -> None:
        for field in ("start", "peak", "end"):
            _require_step_size(field, getattr(self, field))
        if not 0 <= self.warmup < 1:
            raise OptionError(f"warmup is a part of the run and must lie in [0, 1), got {self.warmup}")

    def __call__(self, step: int, total: int) -> float:
        progress = _progress(step, total)
        if progress < self.warmup:
            return _cosine(self.start, self.peak, progress / self.warmup)
        return _cosine(self.peak, self.end, (progress - self.warmup) / (1 - self.warmup))


#: Every schedule; checkpoints and tests iterate over it.
SCHEDULES: tuple[type[Schedule], ...] = (Constant, Cosine, Power, OneCycle)


def _require_step_size(name: str, value: float | int) -> None:
    if not 0 < value <= 1:
        raise OptionError(f"{name} is a step size and must lie in (0, 1], got {value}")


def _progress(step: int, total: int) -> float:
    """From 0 at the first step to 1 at the last."""
    return min(1.0, step / (total - 1)) if total > 1 else 0.0


def _cosine(start: float | int, end: float | int, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
