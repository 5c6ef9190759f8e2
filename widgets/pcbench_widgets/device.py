"""What the dashboard says of Tensor Cores, in words; where nothing can be said, why."""

from __future__ import annotations

import time

import torch

from pcbench.telemetry import TensorCoreMeter

EVERY = 1.0
"""Seconds between two readings; the counters themselves need some 100 ms."""


class TensorCoreText:
    """Call it as often as you like: it reads the meter at most once a second."""

    def __init__(self, device: str | torch.device) -> None:
        self._meter = TensorCoreMeter(device)
        self._due = 0.0
        self._text = ""

    def __call__(self) -> str:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + EVERY
            self._text = self._read()
        return self._text

    def _read(self) -> str:
        use = self._meter.read()
        if use.value is None:
            return f"Tensor Cores: {use.reason}."
        return f"Tensor Cores: busy {100 * use.value:.0f} % of the time ({use.source}: {use.reason})."


def device_of(program: object) -> torch.device:
    """The program's device; without a program, the one that PyTorch would train on."""
    found = getattr(program, "device", None)
    return torch.device(found if found is not None else "cuda" if torch.cuda.is_available() else "cpu")
