"""The curve of a run, kept small without losing a spike.

Steps are many and a chart is narrow: neighbouring events are joined into a `Point` that remembers the least, the
greatest, the mean and the last value of each metric. Points join again when the history is full, so that a run of
any length stays complete in bounded memory, newest part finest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

STATISTICS = ("min", "max", "mean", "last")
HEAD = ("first", "last", "step", "epoch", "time")


@dataclass(slots=True)
class Summary:
    """Least, greatest, mean and last of some values."""

    least: float
    greatest: float
    total: float
    count: int
    last: float

    @classmethod
    def of(cls, value: float) -> Summary:
        return cls(value, value, value, 1, value)

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

    def add(self, measurements: Iterable[Point], most: int) -> list[Point]:
        """Numbers new measurements, joins neighbours until `most` are left, keeps and returns them."""
        fresh: list[Point] = []
        for measured in measurements:
            self._measured += 1
            fresh.append(
                Point(self._measured, self._measured, measured.step, measured.epoch, measured.time, dict(measured.metrics))
            )
        stride = math.ceil(len(fresh) / most) if fresh else 1
        joined = _join_every(fresh, stride)
        self._points += joined
        if len(self._points) > self._capacity:
            half = len(self._points) // 2
            self._points = _join_every(self._points[:half], 2) + self._points[half:]
        return joined

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


def _join_every(points: list[Point], stride: int) -> list[Point]:
    joined: list[Point] = []
    for start in range(0, len(points), stride):
        whole = points[start]
        for later in points[start + 1 : start + stride]:
            whole = whole.join(later)
        joined.append(whole)
    return joined
