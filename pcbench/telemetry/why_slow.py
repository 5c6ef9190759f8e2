"""One sentence: what holds a training step back, with the number that says so."""

from __future__ import annotations

from ..compile import Program
from .clock import StepSplit
from .roofline import Roofline, share

#: Below this share of both roofs, the machine waits for instructions, not for arithmetic or memory.
IDLE_SHARE = 0.1


def why_slow(program: Program, split: StepSplit, roofline: Roofline) -> str:
    """What takes the time: data, Python, the M step, launching small pieces of work, memory traffic, or arithmetic.

    Args:
        program: what is evaluated.
        split: a step's parts (a mean of several is better).
        roofline: of the machine.
    """
    total = max(split.total, 1e-9)
    percent = {part: 100 * getattr(split, part) / total for part in ("data", "update", "other")}
    step = f"of a {_time(total)} step"
    if percent["data"] > 30:
        return (
            f"Data: {percent['data']:.0f} % {step} goes into fetching {split.samples:.0f} rows; keep them as uint8 in memory."
        )
    if percent["other"] > 30:
        return (
            f"Python overhead: {percent['other']:.0f} % {step} lies outside the engine (events, callbacks, threads that "
            "share the interpreter); a larger batch does more work per step."
        )
    if percent["update"] > 40:
        return (
            f"Update: {percent['update']:.0f} % {step} is the M step, which costs the same for any batch: "
            f"more than {split.samples:.0f} rows a step would spread it."
        )
    reached = share(program, split, roofline)
    engine = split.forward + split.backward
    if max(reached.compute, reached.memory) < IDLE_SHARE:
        layers = max(1, len(program.layers))
        return (
            f"Launch overhead: {layers} layers take {_time(engine / layers)} each, forward and backward, at "
            f"{100 * reached.compute:.1f} % of the arithmetic and {100 * reached.memory:.1f} % of the memory bandwidth: "
            "they are too small; a larger batch or wider blocks fill the machine."
        )
    if reached.memory >= reached.compute:
        return (
            f"Memory: at least {reached.bytes_per_s / 1e9:.1f} GB/s, {100 * reached.memory:.0f} % of what a copy reaches here, "
            f"but {100 * reached.compute:.0f} % of the arithmetic."
        )
    return (
        f"Compute: {reached.flops_per_s / 1e9:.1f} GFLOP/s, {100 * reached.compute:.0f} % of what a matrix product reaches "
        f"here, and {100 * reached.memory:.0f} % of the memory bandwidth."
    )


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
