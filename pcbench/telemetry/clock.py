"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: The parts of a step that are timed by name; what is left over is Python between them.
PARTS = ("data", "forward", "backward", "update")


@dataclass(frozen=True)
class StepSplit:
    """Seconds of a step, or the mean of several steps, by part.

    Attributes:
        data: fetching the rows of the batch.
        forward, backward: the E step, upward and downward.
        update: the M step.
        total: from the start of the step to its end; never less than the sum of the parts.
        samples: rows of data in the step.
        exact: share of the steps in which a GPU's fused passes gave a batch up to the exact ones, from 0 to 1.
    """

    data: float
    forward: float
    backward: float
    update: float
    total: float
    samples: float
    exact: float = 0.0

    @property
    def other(self) -> float:
        """Seconds in none of the parts: Python around the engine, events, callbacks."""
        return max(0.0, self.total - self.data - self.forward - self.backward - self.update)

    @classmethod
    def mean(cls, splits: Iterable[StepSplit]) -> StepSplit:
        """The mean of at least one split."""
        rows = [(s.data, s.forward, s.backward, s.update, s.total, s.samples, s.exact) for s in splits]
        return cls(*(sum(column) / len(rows) for column in zip(*rows, strict=True)))


class StepClock:
    """A stopwatch with named laps; a part that comes several times in a step is added up.

    Usage: ``start()`` once, then ``lap("data")``, ``lap("forward")``, … at the *end* of each part, then ``stop(rows)``.
    On a CUDA device the caller synchronises before each lap where it wants exact parts.
    """

    def __init__(self, keep: int = 64) -> None:
        self._recent: deque[StepSplit] = deque(maxlen=keep)
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._divided: Mapping[str, float] = {}
        self._start = self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._start = self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """The time since the last lap was spent in ``part`` (one of :data:`PARTS`, anything else counts as other)."""
        now = time.perf_counter()
        if part in self._parts:
            self._parts[part] += now - self._last
        self._last = now

    def divide(self, seconds: Mapping[str, float]) -> None:
        """The time since the last lap was spent in these parts, in the proportion of ``seconds``."""
        now, whole = time.perf_counter(), sum(seconds.values())
        for part, share in seconds.items():
            if part in self._parts and whole > 0:
                self._parts[part] += (now - self._last) * share / whole
        self._last, self._divided = now, seconds

    def resemble(self) -> None:
        """The step so far was like the one last divided: it spent as many seconds in each of those parts, or less if it was
        shorter; time for data counts as far as it comes on top."""
        whole, spent = sum(self._divided.values()), time.perf_counter() - self._start
        scale = min(1.0, spent / whole) if whole > 0 else 0.0
        self._parts["data"] = min(self._parts["data"], max(0.0, spent - scale * whole))
        self._parts.update({part: scale * seconds for part, seconds in self._divided.items() if part in self._parts})

    def stop(self, samples: int, exact: bool = False) -> StepSplit:
        """End a step over ``samples`` rows; the next one begins at this moment, unless :meth:`start` is called again.

        ``exact`` says that a batch of it went through the exact passes after the fused ones had given up.
        """
        p, now = self._parts, time.perf_counter()
        total = now - self._start
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._start = self._last = now
        split = StepSplit(p["data"], p["forward"], p["backward"], p["update"], total, float(samples), float(exact))
        self._recent.append(split)
        return split

    def forget(self) -> None:
        """Leave the steps so far out of :attr:`recent`: a first one compiles kernels and touches fresh memory."""
        self._recent.clear()

    @property
    def steps(self) -> int:
        """How many steps :attr:`recent` is the mean of."""
        return len(self._recent)

    @property
    def recent(self) -> StepSplit | None:
        """The mean of the last steps; ``None`` before the first one."""
        # tuple(deque) is one C call: another thread may read while the trainer appends.
        held = tuple(self._recent)
        return StepSplit.mean(held) if held else None
