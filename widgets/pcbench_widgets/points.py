"""The curve of a run, kept small without losing a spike.

Steps are many and a chart is narrow: neighbouring events are joined into a `Point` that remembers the least, the
greatest, the mean and the last value of each metric. Points join again when the history is full, so that a run of
any length stays complete in bounded memory: the newest quarter as it came, the rest in stretches of about equal length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

STATISTICS = ("min", "max", "mean", "last")
HEAD = ("first", "last", "step", "epoch", "time")


class Measured(Protocol):
    """Numbers of one moment; an event of a run is one."""

    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def time(self) -> float: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


@dataclass(slots=True)
class Summary:
    """Least, greatest, mean and last of some values."""

    least: float
    greatest: float
    total: float
    count: int
    last: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        return cls(min(values), max(values), sum(values), len(values), values[-1])

    def join(self, later: Summary) -> Summary:
        return Summary(
            min(self.least, later.least),
            max(self.greatest, later.greatest),
            self.total + later.total,
            self.count + later.count,
            later.last,
        )

    def row(self) -> tuple[float, float, float, float]:
        """In the order of STATISTICS."""
        return self.least, self.greatest, self.total / self.count, self.last


@dataclass(slots=True)
class Point:
    """Consecutive measurements joined; `first` and `last` count measurements, from 1 and without a gap."""

    first: int
    last: int
    step: int
    epoch: int
    time: float
    metrics: dict[str, Summary] = field(default_factory=dict)

    def join(self, later: Point) -> Point:
        metrics = dict(self.metrics)
        for name, summary in later.metrics.items():
            metrics[name] = metrics[name].join(summary) if name in metrics else summary
        return Point(self.first, later.last, later.step, later.epoch, later.time, metrics)


class PointHistory:
    """All points of one run, at most `capacity` of them; not thread-safe, its owner holds the lock."""

    def __init__(self, capacity: int = 8192) -> None:
        if capacity < 4:
            raise ValueError(f"capacity must be at least 4, not {capacity}")
        self._capacity = capacity
        self._points: list[Point] = []
        self._measured = 0

    def __len__(self) -> int:
        return len(self._points)

    @property
    def last(self) -> int:
        """Number of measurements so far, which is the newest point's `last`."""
        return self._measured

    def add(self, measurements: Iterable[Measured], most: int) -> list[Point]:
        """Numbers new measurements, joins neighbours until `most` are left, keeps and returns them."""
        fresh = list(measurements)
        stride = max(1, math.ceil(len(fresh) / most))
        joined = [self._joined(fresh[start : start + stride]) for start in range(0, len(fresh), stride)]
        self._points += joined
        if len(self._points) > self._capacity:
            older = len(self._points) - self._capacity // 4
            # Two neighbours together are longer than `width`, so at most half the capacity is left of the older points.
            width = math.ceil(4 * self._points[older - 1].last / self._capacity)
            self._points = _join_up_to(self._points[:older], width) + self._points[older:]
        return joined

    def _joined(self, measurements: list[Measured]) -> Point:
        """Lists first, one summary a metric then: a fast run reports thousands of events between two messages."""
        values: dict[str, list[float]] = {}
        for measured in measurements:
            for name, value in measured.metrics.items():
                values.setdefault(name, []).append(value)
        metrics = {name: Summary.of(found) for name, found in values.items()}
        first, last = self._measured + 1, measurements[-1]
        self._measured += len(measurements)
        return Point(first, self._measured, last.step, last.epoch, last.time, metrics)

    def since(self, have: int) -> tuple[list[Point], bool]:
        """Points after measurement `have`, and whether the receiver must start over.

        It must when an older stretch that it half holds has been joined meanwhile, or when it claims to hold
        more than there is (it holds another run's).
        """
        if have > self._measured:
            return list(self._points), True
        newer = [point for point in self._points if point.last > have]
        if newer and newer[0].first <= have:
            return list(self._points), True
        return newer, False


def _join_up_to(points: list[Point], width: int) -> list[Point]:
    """Neighbours joined as long as they stand for at most ``width`` measurements together."""
    joined = points[:1]
    for point in points[1:]:
        if point.last - joined[-1].first < width:
            joined[-1] = joined[-1].join(point)
        else:
            joined.append(point)
    return joined
