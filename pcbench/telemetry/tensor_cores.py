"""How busy the Tensor Cores are: measured where the hardware counts, estimated or explained where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from .gpu_use import GpuMeter


@dataclass(frozen=True)
class TensorCoreUse:
    """Share of the time in which the Tensor Cores worked.

    Attributes:
        value: from 0 to 1; ``None`` where it is unknown.
        source: ``"measured"`` by the GPU's own counters, ``"estimated"`` from the work done, or ``"none"``.
        reason: where the number comes from, or why there is none, as a sentence.
    """

    value: float | None
    source: Literal["measured", "estimated", "none"]
    reason: str


class TensorCoreMeter:
    """One part of what :class:`~pcbench.telemetry.gpu_use.GpuMeter` reads. Never raises; says why it cannot."""

    def __init__(self, device: str | torch.device = "cuda", interval: float = 0.5) -> None:
        self._device = torch.device(device)
        self._meter = GpuMeter(device, interval)
        self._last: tuple[object, TensorCoreUse] | None = None

    def read(self, flops_per_s: float | None = None, peak_flops_per_s: float | None = None) -> TensorCoreUse:
        """Use since the last reading, or that reading if it is less than the interval old.

        Args:
            flops_per_s, peak_flops_per_s: matrix work done and the most the machine can do; with both, a GPU without
                counters gets an estimate, their ratio.
        """
        use = self._meter.read()
        if self._meter.counts:
            if self._last is None or self._last[0] is not use:
                source = "none" if use.tensor_cores is None else use.source
                self._last = (use, TensorCoreUse(use.tensor_cores, source, use.reason))
            return self._last[1]
        has_cores = self._device.type == "cuda" and torch.cuda.is_available()
        if has_cores and flops_per_s is not None and peak_flops_per_s:
            share = min(1.0, flops_per_s / peak_flops_per_s)
            return TensorCoreUse(share, "estimated", f"share of a matrix product's speed; not measured: {use.reason}")
        return TensorCoreUse(None, "none", use.reason)

    def close(self) -> None:
        """Stop counting; a second call does nothing."""
        self._meter.close()
