"""One cell of the table: a case and a batch size, checked and then timed."""

from __future__ import annotations

import contextlib
import gc
import statistics as stats
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..compile import compile
from ..execute import Clock, Model, Statistics, Workspace, em_step, em_steps
from ..telemetry import StepClock
from ..telemetry.memory import allocated
from . import cases, check
from .limits import ANCHOR_MS, Size

STEP_SIZE, PSEUDOCOUNT, WARM_UP = 0.01, 0.001, 2
PEAK = {"cpu": "peak resident size of the process", "cuda": "torch.cuda.max_memory_allocated"}


class Trainer:
    """A model, the memory that its steps use again and again, and a batch."""

    def __init__(self, model: Model, data: Tensor) -> None:
        self.model, self.data = model, data
        self.workspace = Workspace()
        self._statistics: Statistics | None = None
        self._spare: Model | None = None

    @property
    def statistics(self) -> Statistics:
        """Memory for expected counts, where somebody wants them."""
        if self._statistics is None:
            self._statistics = Statistics.zeros(self.model.program)
        return self._statistics

    def step(self, clock: Clock | None = None) -> None:
        """Forward, backward, mini-batch EM."""
        alone = self.model.program.fused is not None
        kept, recycle = (None, self.model) if alone else (self.statistics, self._spare)
        new = em_step(self.model, self.data, STEP_SIZE, PSEUDOCOUNT, self.workspace, recycle, kept, clock).model
        self._spare, self.model = None if alone else self.model, new

    def steps(self, count: int) -> None:
        """Steps one after the other; a GPU is told the next before the one before has been waited for."""
        if self.model.program.fused is None:
            for _ in range(count):
                self.step()
            return
        for stepped in em_steps(self.model, [self.data] * count, STEP_SIZE, PSEUDOCOUNT, self.workspace):
            self.model = stepped.model


@runtime_checkable
class Steps(Protocol):
    """Something that trains on a batch ``[B, V]``."""

    data: Tensor

    def step(self, clock: Clock | None = None) -> None:
        """One step; the clock is told ``"forward"``, ``"backward"`` and ``"update"`` at the end of each part."""

    def steps(self, count: int) -> None:
        """Steps one after the other, as a training does them."""


def cell(case: str, batch: int, device: torch.device, repeat: int = 7) -> dict[str, Any]:
    """Everything about one cell, as plain data; ``status`` is ok, wrong, oom or failed."""
    cases.parsed(case)
    row: dict[str, Any] = {"case": case, "batch": batch, "device": device.type, "status": "ok"}
    try:
        with outcome_of(row):
            _measure(row, case, batch, device, repeat)
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return row


def job(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """A cell, asked for from another process."""
    return cell(case, batch, torch.device(device), repeat)


def attempt(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """Whether a circuit trains in memory at all, unchecked; its peak, from its first parameters on, and the time of a step."""
    row: dict[str, Any] = {"status": "ok"}
    with outcome_of(row):
        circuit, place = cases.build(case), torch.device(device)
        forget_peak(place)
        trainer = Trainer(Model.create(compile(circuit, device=place)), cases.rows(circuit, batch).to(place))
        row.update(timed(trainer, place, repeat))
        row["peak_gb"] = peak_gb(place)
    return row


@contextlib.contextmanager
def outcome_of(row: dict[str, Any]) -> Iterator[None]:
    """An error becomes the status of a row: one broken cell must not cost the others of a long table."""
    try:
        yield
    except Exception as error:
        row["status"] = "oom" if _memory_ran_out(error) else "failed"
        row["error"] = f"{type(error).__name__}: {error}"


def _memory_ran_out(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)  # PyTorch's allocator of the CPU
    )


def _measure(row: dict[str, Any], case: str, batch: int, device: torch.device, repeat: int) -> None:
    start = time.perf_counter()
    circuit = cases.build(case)
    built = time.perf_counter()
    model = Model.create(compile(circuit, device=device))
    trainer = Trainer(model, cases.rows(circuit, batch).to(device))
    trainer.step()
    synchronise(device)
    row["build_s"], row["first_step_s"] = built - start, time.perf_counter() - start
    size = Size.of(model)
    row.update(vars(size))
    verdict = check.verify(trainer.model, batch)
    row["rows_checked"] = verdict.rows
    row["log_likelihood_error"], row["flow_error"] = verdict.log_likelihood_error, verdict.flow_error
    row["parameter_error"] = verdict.parameter_error
    row["tolerance"] = vars(verdict.tolerance)
    if not verdict.right:
        row["status"] = "wrong"
        return
    del model, circuit
    forget_peak(device)
    row.update(timed(trainer, device, repeat))
    row["peak_gb"], row["peak_is"] = peak_gb(device), PEAK[device.type]
    row["tflops"] = size.flops(batch) / row["step_ms"] / 1e9
    if device.type == "cuda" and (limit := size.limit_ms(batch, torch.cuda.get_device_name(device))) is not None:
        row["limit_ms"], row["over_limit"] = limit, row["step_ms"] / limit
    if device.type == "cuda" and (case, batch) in ANCHOR_MS:
        row["anchor_ms"] = ANCHOR_MS[case, batch]
        row["anchor_ratio"] = row["anchor_ms"] / row["step_ms"]


def timed(trainer: Steps, device: torch.device, repeat: int) -> dict[str, float]:
    """Median milliseconds of a step among others (``step_ms``), of one that is waited for, and of its parts.

    On a GPU, a launch that counts and updates at once belongs to the update, and Python's time is shared out among parts.
    """
    for _ in range(WARM_UP):
        trainer.step()
    whole = []
    for _ in range(repeat):
        synchronise(device)
        start = time.perf_counter()
        trainer.step()
        synchronise(device)
        whole.append(time.perf_counter() - start)
    among = whole if device.type == "cpu" else in_a_row(trainer, device, stats.median(whole), repeat)
    parts: dict[str, list[float]] = {"forward": [], "backward": [], "update": []}
    clock = StepClock(repeat)
    for _ in range(repeat):
        synchronise(device)
        clock.start()
        trainer.step(clock)
        split = clock.stop(len(trainer.data))
        for name in parts:
            parts[name].append(getattr(split, name))
    out = {f"{name}_ms": 1e3 * stats.median(seconds) for name, seconds in parts.items()}
    return {"step_ms": 1e3 * stats.median(among), "alone_ms": 1e3 * stats.median(whole), **out, "em_ms": out.pop("update_ms")}


def in_a_row(trainer: Steps, device: torch.device, step_s: float, repeat: int) -> list[float]:
    """Seconds of a step among others: means over a fifth of a second of them, for steps of some ``step_s`` seconds."""
    count, out = max(4, min(64, round(0.2 / step_s))), []
    trainer.steps(WARM_UP + 2)  # two steps may be under way, and each is captured the second time
    for _ in range(min(repeat, 3)):
        synchronise(device)
        start = time.perf_counter()
        trainer.steps(count)
        synchronise(device)
        out.append((time.perf_counter() - start) / count)
    return out


def synchronise(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gb(device: torch.device) -> float:
    """Most memory held since :func:`forget_peak`, in 10⁹ bytes."""
    return allocated(device)[1] / 1e9


def forget_peak(device: torch.device) -> None:
    """Count peak memory from here on: the check holds float64 copies that a training never does."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # elsewhere than on Linux the peak includes the check
        Path("/proc/self/clear_refs").write_text("5")  # the peak becomes the present size
