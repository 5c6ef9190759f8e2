"""A training run without training: a thread that reports a made-up curve, with the face of `pcbench.learn.Run`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ScriptedEvent:
    seq: int
    kind: str
    step: int
    epoch: int
    time: float
    metrics: dict[str, float] = field(default_factory=dict)
    text: str = ""


def curve(step: int) -> dict[str, float]:
    """Log-likelihood that rises like EM's, and the other numbers of a step."""
    train = -92.0 - 480.0 * math.exp(-step / 22) + 1.5 * math.sin(step * 1.7)
    return {
        "train_ll": train,
        "train_bpd": -train / 784 / math.log(2),
        "samples_per_s": 5200.0 + 600 * math.sin(step / 9),
        "forward_s": 0.021 + 0.002 * math.sin(step / 5),
        "backward_s": 0.034,
        "update_s": 0.006,
        "memory_parameters": 24.0 * 2**20,
        "memory_values": 61.0 * 2**20,
        "memory_flows": 61.0 * 2**20,
        "memory_other": 6.0 * 2**20,
        "memory_peak": 171.0 * 2**20,
    }


class ScriptedRun:
    """Steps every `delay` seconds in a thread, from `fast_until` on (until then without a break); `spike_at` makes one
    step's log-likelihood fall far off the curve, `fails_at` makes one raise. `use` is what it reads of its machine, a
    `pcbench.telemetry.GpuUse`."""

    def __init__(
        self,
        total_steps: int = 200,
        delay: float = 0.02,
        spike_at: int = -1,
        fast_until: int = 0,
        fails_at: int = -1,
        use: Any = None,
    ) -> None:
        self.total_steps = total_steps
        self.step = 0
        self.epoch = 0
        self.state = "running"
        self._delay = delay
        self._spike_at = spike_at
        self._fast_until = fast_until
        self._fails_at = fails_at
        self.error: BaseException | None = None
        self.machine_use = use
        self._events: list[ScriptedEvent] = []
        self._callbacks: list[Callable[[ScriptedEvent], None]] = []
        self._lock = threading.Lock()
        self._go = threading.Event()
        self._go.set()
        self._single = False
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        self._go.clear()
        self._set_state("paused")

    def resume(self) -> None:
        self._set_state("running")
        self._go.set()

    def stop(self) -> None:
        self._set_state("stopping")
        self._go.set()

    def step_once(self) -> None:
        if self.state != "paused":
            raise RuntimeError("a run steps by hand only while it is paused")
        self._single = True
        self._go.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def events(self, since: int = 0) -> list[ScriptedEvent]:
        with self._lock:
            return [event for event in self._events if event.seq > since]

    def subscribe(self, callback: Callable[[ScriptedEvent], None], passive: bool = False) -> Callable[[], None]:
        with self._lock:
            self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def report(self, kind: str, metrics: dict[str, float] | None = None, text: str = "") -> None:
        with self._lock:
            elapsed = time.monotonic() - self._start
            event = ScriptedEvent(len(self._events) + 1, kind, self.step, self.epoch, elapsed, metrics or {}, text)
            self._events.append(event)
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(event)

    def _set_state(self, state: str) -> None:
        self.state = state
        self.report("state", text=state)

    def _work(self) -> None:
        while self.step < self.total_steps and self.state != "stopping":
            self._go.wait()
            if self.state == "stopping":
                break
            if self.step >= self._fast_until:
                time.sleep(self._delay)
            if self.step + 1 == self._fails_at:
                self.error = ValueError("row 3 of the training data has probability zero")
                self.report("error", text=f"ValueError: {self.error}")
                return self._set_state("failed")
            self.step += 1
            metrics = curve(self.step) | ({} if self.machine_use is None else self.machine_use.metrics())
            if self.step == self._spike_at:
                metrics["train_ll"] = -9999.0
            self.report("step", metrics)
            if self.step % 20 == 0:
                self.epoch += 1
                valid = metrics["train_ll"] - 4
                self.report("validation", {"valid_ll": valid, "valid_bpd": -valid / 784 / math.log(2)})
            if self._single:
                self._single = False
                self._go.clear()
        self._set_state("finished")
