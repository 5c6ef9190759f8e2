"""What this machine can do at most, measured, and which share of it a step reaches.

Roofline: Williams, Waterman and Patterson, « Roofline: an insightful visual performance model », CACM 52(4), 2009.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..compile import Program
from .clock import StepSplit

_BUDGET = 0.08
"""Seconds of repetitions for each of the two measurements."""
_SIDE = {"cpu": 768, "cuda": 8192}
_COPY_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}

_measured: dict[tuple[str, torch.dtype, int], Roofline] = {}
_measuring = threading.Lock()


@dataclass(frozen=True)
class Roofline:
    """The best of several repetitions on this machine.

    Attributes:
        flops_per_s: of a large square matrix product (a multiply and an add count as two).
        bytes_per_s: of a copy much larger than the caches, bytes read plus bytes written.
    """

    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Share:
    """A step's forward and backward pass beside the machine's limits.

    Attributes:
        flops_per_s, bytes_per_s: reached; both estimated from the program (see :func:`share`).
        compute, memory: the same as shares of the roofline, from 0 to about 1.
    """

    flops_per_s: float
    bytes_per_s: float
    compute: float
    memory: float


def measure(device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Roofline:
    """The machine's roofline, with as many threads as PyTorch uses now; about 0.2 s once, then remembered."""
    device = torch.device(device)
    key = (str(device), dtype, torch.get_num_threads())
    with _measuring:
        if key not in _measured:
            _measured[key] = _measure(device, dtype)
        return _measured[key]


def share(program: Program, split: StepSplit, roofline: Roofline, totals: Mapping[str, Any] | None = None) -> Share:
    """How much of the roofline the E step reaches.

    Work is ``program.describe()``'s FLOPs. Traffic is a lower bound: values and flows are written and read once in each
    direction (4×), parameters are read upward and downward and expected counts written (3×).

    Args:
        program: what is evaluated.
        split: a step's parts.
        roofline: of the machine.
        totals: ``program.describe()["totals"]`` by whoever asks again and again: large circuits take half a second.
    """
    totals = program.describe()["totals"] if totals is None else totals
    seconds = max(split.forward + split.backward, 1e-9)
    flops = totals["flops"] * split.samples / seconds
    traffic = (4 * totals["value_bytes"] * split.samples + 3 * totals["parameter_bytes"]) / seconds
    return Share(flops, traffic, flops / roofline.flops_per_s, traffic / roofline.bytes_per_s)


def _measure(device: torch.device, dtype: torch.dtype) -> Roofline:
    side = _SIDE.get(device.type, 1024)
    a = torch.rand(side, side, device=device, dtype=dtype)
    out = torch.empty_like(a)
    product = _fastest(device, lambda: torch.mm(a, a, out=out))
    size = _COPY_BYTES.get(device.type, 64 << 20)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = _fastest(device, lambda: target.copy_(source))
    return Roofline(2.0 * side**3 / product, 2.0 * size / copy)


def _fastest(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of the fastest of the repetitions that fit the budget, at least three, after one to warm up."""
    best, spent, times = float("inf"), 0.0, -1
    while spent < _BUDGET or times < 3:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
        spent += seconds
        times += 1
        if times > 0:
            best = min(best, seconds)
    return best
