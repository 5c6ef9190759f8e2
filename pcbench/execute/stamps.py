"""When the parts of a step end: a stopwatch for whoever watches, and events on a GPU that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch


@runtime_checkable
class Clock(Protocol):
    """A stopwatch of a step's parts: ``"forward"``, ``"backward"``, ``"update"``."""

    def lap(self, part: str) -> None:
        """The time since the last lap was spent in ``part``."""

    def divide(self, seconds: Mapping[str, float]) -> None:
        """The time since the last lap was spent in these parts, in the proportion of ``seconds``."""


class Stamps:
    """Marks the ends of parts as the GPU reaches them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any]] = []
        self.mark("")

    def mark(self, part: str) -> None:
        """``part`` ends here."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._marks.append((part, event))
        else:
            self._marks.append((part, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds of each part, once the GPU has reached the last mark."""
        out: dict[str, float] = {}
        for (_, start), (part, end) in pairwise(self._marks):
            spent = start.elapsed_time(end) / 1e3 if self._device.type == "cuda" else end - start
            out[part] = out.get(part, 0.0) + spent
        return out
