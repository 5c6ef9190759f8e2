"""What a training run says of its machine: the GPU's counters, or the share of the roofline where there are none."""

from __future__ import annotations

import time
from typing import Any

import torch

from ..compile import Program
from .clock import StepClock
from .gpu_use import GpuMeter, GpuUse
from .roofline import measure, share


class MachineMeter:
    """Reads at most once an interval, and first after one: short runs pay nothing for it.

    Where the GPU counts, :attr:`use` is measured. Elsewhere, CPUs included, it is the share of the roofline that the E step
    reaches, and the roofline is measured first (0.2 s, once in a process).

    Args:
        program: what is evaluated.
        clock: where the parts of its steps stand.
        interval: seconds between two readings.
    """

    def __init__(self, program: Program, clock: StepClock, interval: float = 1.0) -> None:
        self._program, self._clock, self._interval = program, clock, interval
        self._gpu = GpuMeter(program.device, interval / 2)
        self._due = time.monotonic() + interval
        self._metrics: dict[str, float] = {}
        self._totals: dict[str, Any] | None = None
        self._why_no_roofline = ""
        self.use = GpuUse.none(f"nothing was read yet: the first reading comes after {interval:g} s")

    def metrics(self) -> dict[str, float]:
        """The newest reading, as metrics of an event."""
        now = time.monotonic()
        if now >= self._due:
            self.use = self._read()
            self._metrics = self.use.metrics()
            self._due = time.monotonic() + self._interval
        return self._metrics

    @property
    def device(self) -> torch.device:
        """Whose use is read."""
        return self._program.device

    @property
    def totals(self) -> dict[str, Any]:
        """``program.describe()["totals"]``, made once: large circuits take half a second."""
        if self._totals is None:
            self._totals = self._program.describe()["totals"]
        return self._totals

    def _read(self) -> GpuUse:
        use = self._gpu.read()
        return use if self._gpu.counts else self._estimate(use.reason)

    def _estimate(self, why_not: str) -> GpuUse:
        split = self._clock.recent
        if split is None or self._why_no_roofline:
            return GpuUse.none(self._why_no_roofline or why_not)
        program = self._program
        # Fused matrix products are compared with products of the same operands.
        dtype = program.dtype if program.fused is None else program.fused.operands
        try:
            reached = share(program, split, measure(program.device, dtype), self.totals)
        except RuntimeError as error:  # no memory left for a large product, say; training goes on without the numbers
            self._why_no_roofline = f"the machine's roofline could not be measured: {error}"
            return GpuUse.none(self._why_no_roofline)
        return GpuUse.estimated(reached.compute, reached.memory, f"share of the roofline; not measured: {why_not}")

    def close(self) -> None:
        """Stop counting; a second call does nothing."""
        self._gpu.close()
