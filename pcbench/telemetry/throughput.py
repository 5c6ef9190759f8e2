"""Samples per second over the last seconds."""

from __future__ import annotations

from collections import deque


class Throughput:
    """A moving window over work done: pauses, and whatever else lies between two steps, do not count.

    Args:
        window: seconds of work that the rate looks back on; the newest step always counts in full.
    """

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._steps: deque[tuple[int, float]] = deque()
        self._samples = 0
        self._seconds = 0.0

    def add(self, samples: int, seconds: float) -> float:
        """Count a step of ``samples`` rows that took ``seconds``; the rate with it."""
        self._steps.append((samples, seconds))
        self._samples += samples
        self._seconds += seconds
        while len(self._steps) > 1 and self._seconds - self._steps[0][1] >= self._window:
            old_samples, old_seconds = self._steps.popleft()
            self._samples -= old_samples
            self._seconds -= old_seconds
        return self.rate

    @property
    def rate(self) -> float:
        """Samples per second; 0 before the first step."""
        return self._samples / self._seconds if self._seconds > 0 else 0.0
