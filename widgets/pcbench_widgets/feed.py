"""From a training run to the view: the trainer only enqueues; the workbench's thread joins, keeps and sends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from pcbench.errors import OptionError

from .points import Measured, Point, PointHistory
from .protocol import Message, log_message, points_message

POINTS_PER_MESSAGE = 25
"""A fast run of a second still draws a curve: several points share one message."""
POINTS_AT_FIRST = 4096
"""Of a run that is already under way: enough that zooming in shows more than the chart of the whole run."""
BACKLOG = 100_000
LOG_LIMIT = 500
LOGGED = frozenset({"state", "message", "checkpoint", "error", "validation"})
RATE_WINDOW = 5.0
WHY_EVERY = 1.0
"""Seconds between two sentences on what holds a run back: a sentence that changes ten times a second cannot be read."""
PASSING = frozenset({"step", "elapsed", "eta"})
STATUS_EVERY = 1.0
"""Seconds between two messages on the state of a run in which nothing but these has changed; points tell the step as well."""
ENDED = frozenset({"finished", "failed"})


class EventLike(Measured, Protocol):
    """What a run reports; `pcbench.learn.Event` is one."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


class RunLike(Protocol):
    """The handle of a run in the background; `pcbench.learn.Run` is one."""

    @property
    def state(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def total_steps(self) -> int: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def step_once(self) -> None: ...
    def events(self, since: int = 0) -> Any: ...
    def subscribe(self, callback: Callable[[Any], None], passive: bool = False) -> Callable[[], None]: ...


Send = Callable[[Message], None]


def _nothing() -> None:
    pass


class RunFeed:
    """Follows one run, and sends what is new through `send` whenever `publish` is called, until `close`."""

    def __init__(self, number: int, run: RunLike, send: Send, tensor_cores: Callable[[], str]) -> None:
        self.number = number
        self.run = run
        self._send = send
        self._tensor_cores = tensor_cores
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._queue: deque[EventLike] = deque(maxlen=BACKLOG)
        self._history = PointHistory()
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LIMIT)
        self._logged = 0
        self._seen = 0
        self._elapsed = 0.0
        self._rates: deque[tuple[float, int]] = deque()
        self._status: dict[str, Any] | None = None
        self._status_due = 0.0
        self._why = ""
        self._snapshot: dict[str, str] | None = {"state": "", "text": ""} if hasattr(run, "snapshot") else None
        self._why_due = 0.0
        # Subscribe first and read the past second: an event in between comes twice and is dropped by its number.
        self._unsubscribe = run.subscribe(self._enqueue, passive=True)
        self._absorb(list(run.events(0)), most=POINTS_AT_FIRST)

    def _enqueue(self, event: EventLike) -> None:
        """Runs in the trainer's thread: an append to a deque, and nothing else."""
        self._queue.append(event)

    def close(self) -> None:
        """Stops following; the run goes on. A second call does nothing."""
        unsubscribe, self._unsubscribe = self._unsubscribe, _nothing
        unsubscribe()

    def publish(self) -> None:
        """Sends what came since the last time: at most one message of points, whatever the trainer's pace."""
        with self._sending:
            fresh = []
            while self._queue:
                fresh.append(self._queue.popleft())
            points, entries = self._absorb(fresh, most=POINTS_PER_MESSAGE)
            if points:
                self._send(points_message(self.number, points, reset=False))
            if entries:
                self._send(log_message(self.number, entries, reset=False))
            status, now = self.status(), time.monotonic()
            if self._news(status) or (status != self._status and now >= self._status_due):
                self._status, self._status_due = status, now + STATUS_EVERY
                self._send(({"type": "status", "status": status}, []))

    def _news(self, status: dict[str, Any]) -> bool:
        """Whether something has changed that does not change all the time."""
        before = self._status
        return before is None or any(status[name] != before[name] for name in status if name not in PASSING)

    def sync(self, run: int, seq: int, log: int) -> None:
        """Sends everything that a view lacks, given what it says it has."""
        with self._sending:
            with self._lock:
                points, reset = self._history.since(seq if run == self.number else 0)
                anew = run != self.number
                entries = [entry for entry in self._log if anew or entry["seq"] > log]
            self._send(({"type": "status", "status": self.status()}, []))
            self._send(points_message(self.number, points, reset=reset or anew))
            self._send(log_message(self.number, entries, reset=anew))

    def _absorb(self, events: list[EventLike], most: int) -> tuple[list[Point], list[dict[str, Any]]]:
        with self._lock:
            measured: list[EventLike] = []
            entries: list[dict[str, Any]] = []
            for event in events:
                if event.seq <= self._seen:
                    continue
                self._seen = event.seq
                self._elapsed = max(self._elapsed, event.time)
                if event.metrics:
                    measured.append(event)
                if event.kind in LOGGED:
                    entries.append(self._entry(event))
            if measured:
                self._rates.append((measured[-1].time, measured[-1].step))
                while len(self._rates) > 2 and self._rates[-1][0] - self._rates[0][0] > RATE_WINDOW:
                    self._rates.popleft()
            self._log.extend(entries)
            return self._history.add(measured, most), entries

    def _entry(self, event: EventLike) -> dict[str, Any]:
        self._logged += 1
        text = event.text or ", ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
        return {"seq": self._logged, "kind": event.kind, "step": event.step, "time": event.time, "text": text}

    def set_step_size(self, text: str) -> None:
        """Changes the run's step size to what somebody typed; an empty text gives the method's own back.

        Raises:
            OptionError: for a text that is no number, and whatever the run raises.
        """
        if not hasattr(self.run, "step_size"):
            raise OptionError(f"a {type(self.run).__name__} has no step_size to change")
        try:
            value = float(text) if text.strip() else None
        except ValueError:
            raise OptionError(f"step_size must be a number, got {text!r}") from None
        self.run.step_size = value

    def snapshot(self, text: str) -> None:
        """Writes the run's model to a file, in a thread of its own: a large one takes seconds, and Stop must not wait for it.
        How it ended is part of the status, so that a reload and a second view read it, too.

        Args:
            text: the file; empty: the run chooses a name.

        Raises:
            OptionError: for a run without snapshots, and while another one is written.
        """
        take = getattr(self.run, "snapshot", None)
        with self._lock:
            if self._snapshot is None or take is None:
                raise OptionError(f"a {type(self.run).__name__} takes no snapshots")
            if self._snapshot["state"] == "writing":
                raise OptionError("a snapshot is being written; wait for it to end")
            self._snapshot = {"state": "writing", "text": "writing …"}

        def write() -> None:
            try:
                self._snapshot = {"state": "done", "text": f"saved to {take(text.strip() or None)}"}
            except Exception as error:  # whatever it was, the person at the button must read it
                self._snapshot = {"state": "failed", "text": f"{type(error).__name__}: {error}"}

        threading.Thread(target=write, name="pcbench-snapshot", daemon=True).start()

    def status(self) -> dict[str, Any]:
        state, step, total = self.run.state, self.run.step, self.run.total_steps
        return {
            "run": self.number,
            "state": state,
            "step": step,
            "total": total,
            "epoch": self.run.epoch,
            "elapsed": self._elapsed,
            "eta": self._eta(state, step, total),
            "tensorCores": self._tensor_cores(),
            "why": self._why_slow(),
            "machine": self._machine(),
            "error": self._error(),
            "stepSize": getattr(self.run, "step_size", None),
            "snapshot": self._snapshot,
            "byHand": bool(getattr(self.run, "step_size_by_hand", False)),
        }

    def _machine(self) -> dict[str, str]:
        """Where the run computes, and where the numbers on the use of that machine come from, or why there are none."""
        use = getattr(self.run, "machine_use", None)
        if use is None:
            return {"device": "", "source": "none", "reason": f"A {type(self.run).__name__} does not read its machine."}
        sentence = f"{use.reason[:1].upper()}{use.reason[1:]}."
        return {"device": str(getattr(self.run, "device", "")), "source": use.source, "reason": sentence}

    def _error(self) -> str:
        """What made the run fail; empty where nothing did."""
        error = getattr(self.run, "error", None)
        return "" if error is None else f"{type(error).__name__}: {error}"

    def _why_slow(self) -> str:
        """What holds the run back, in one sentence; empty where it does not say."""
        now = time.monotonic()
        if now >= self._why_due:
            self._why_due = now + WHY_EVERY
            self._why = str(getattr(self.run, "why_slow", ""))
        return self._why

    def _eta(self, state: str, step: int, total: int) -> float | None:
        """From the pace of the last seconds; a mean over the whole run would carry a slow start along."""
        if state in ENDED or len(self._rates) < 2 or total <= 0:
            return None
        (t0, s0), (t1, s1) = self._rates[0], self._rates[-1]
        return None if s1 <= s0 else max(0, total - step) * (t1 - t0) / (s1 - s0)
