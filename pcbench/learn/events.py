"""What a training run reports, and where it is kept."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Kind: TypeAlias = Literal["step", "epoch", "validation", "checkpoint", "state", "message", "error"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Events that a run keeps; older ones are forgotten, so that a run of any length fits in memory.
HISTORY = 100_000


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Attributes:
        seq: 1, 2, 3, … without a gap.
        kind: what happened.
        step, epoch: steps and whole epochs done by then.
        time: seconds since the run began (of all its parts, if it was resumed).
        metrics: numbers, by name. Log-likelihoods ``*_ll`` in nats per sample, ``*_bpd`` in bits per dimension
            (−ll / (variables · ln 2)), times ``*_s`` in seconds, ``memory_*`` in bytes, ``samples_per_s``. From the first
            second on ``gpu_*``, shares that a GPU's own counters measured, or where it has none ``roofline_*``, estimates:
            see :class:`~pcbench.telemetry.GpuUse`.
        text: for people.
    """

    seq: int
    kind: Kind
    step: int
    epoch: int
    time: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    text: str = ""


Callback: TypeAlias = Callable[[Event], object]


class EventLog:
    """Events in order, and those who listen. Safe to use from any thread; callbacks run in the thread that emits."""

    def __init__(self, events: Iterable[Event] = (), elapsed: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(events, maxlen=HISTORY)
        self._seq = self._events[-1].seq if self._events else 0
        self._start = time.monotonic() - elapsed
        self._callbacks: dict[int, Callback] = {}
        self._steering: set[int] = set()
        self._numbers = itertools.count()
        self._faulty: set[int] = set()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    def emit(self, kind: Kind, step: int, epoch: int, metrics: Mapping[str, float] | None = None, text: str = "") -> None:
        """Keep an event and hand it to everyone. A callback that raises is reported once, and does no harm."""
        failures = []
        event, callbacks = self._keep(kind, step, epoch, metrics or {}, text)
        for number, callback in callbacks:
            try:
                callback(event)
            except Exception as error:
                if number not in self._faulty:
                    self._faulty.add(number)
                    failures.append(f"a callback raised {type(error).__name__}: {error} (later errors of it are not reported)")
        for failure in failures:
            self.emit("message", step, epoch, text=failure)

    def _keep(
        self, kind: Kind, step: int, epoch: int, metrics: Mapping[str, float], text: str
    ) -> tuple[Event, list[tuple[int, Callback]]]:
        with self._lock:
            event = Event(self._seq + 1, kind, step, epoch, self.elapsed, metrics, text)
            self._events.append(event)
            self._seq = event.seq
            return event, list(self._callbacks.items())

    @property
    def steered(self) -> bool:
        """Whether a callback may ask for the model of the moment, or steer the run."""
        return bool(self._steering)

    def subscribe(self, callback: Callback, passive: bool = False) -> Callable[[], None]:
        """Call ``callback(event)`` for every later event, in the training thread; returns how to end that.

        ``passive``: it does nothing to the run, and asks for no model, so that the next step need not wait for it.
        """
        with self._lock:
            number = next(self._numbers)
            self._callbacks[number] = callback
            if not passive:
                self._steering.add(number)

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks.pop(number, None)
                self._steering.discard(number)

        return unsubscribe

    def since(self, seq: int = 0) -> list[Event]:
        """The events after number ``seq`` that are still kept."""
        with self._lock:
            if not self._events or seq >= self._seq:
                return []
            first = max(0, seq + 1 - self._events[0].seq)
            return list(itertools.islice(self._events, first, None))

    def curve(self, metric: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Steps and values of one metric over the events that are kept."""
        points = [(e.step, e.metrics[metric]) for e in self.since() if metric in e.metrics]
        steps = np.array([s for s, _ in points], dtype=np.int64)
        return steps, np.array([v for _, v in points], dtype=np.float64)
