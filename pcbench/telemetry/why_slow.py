"""One sentence: what holds a training step back, with the number that says so. Pure: measuring is others' business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clock import StepSplit
from .gpu_use import GpuUse

#: Steps before anything is said: a mean of fewer is mostly noise.
ENOUGH_STEPS = 5

#: A part outside of the passes is to blame from this share of a step on.
LIMITS = {"data": 0.3, "other": 0.3, "update": 0.4}

#: Steps that went through the exact passes again take many times as long: few of them are enough to blame.
EXACT_LIMIT = 0.05

#: Below this share of both roofs, the machine waits for instructions, not for arithmetic or memory.
IDLE_SHARE = 0.1

#: Multiprocessors that are busy this much are not waiting for launches.
BUSY_SHARE = 0.6

#: From this share of the multiplications on, padding is worth naming before the arithmetic it takes part in.
PADDING_LIMIT = 0.5


def why_slow(steps: int, split: StepSplit, use: GpuUse, totals: Mapping[str, Any]) -> str:
    """What takes the time: data, Python, the M step, exact passes, launching small pieces of work, padding, memory traffic,
    or arithmetic. Each sentence says whether its number was measured, estimated or counted.

    Args:
        steps: how many steps ``split`` is the mean of; below :data:`ENOUGH_STEPS` the answer is an empty text.
        split: the parts of a step, in seconds.
        use: of the machine, during these steps.
        totals: ``program.describe()["totals"]``.
    """
    if steps < ENOUGH_STEPS:
        return ""
    if split.exact >= EXACT_LIMIT:
        return (
            f"Exact passes: {100 * split.exact:.0f} % of the last {steps} steps were computed again without the fused kernels, "
            f"because a sum lost mass to underflow; a step takes {_time(split.total)} on average (measured). Dense sums never "
            "need it."
        )
    return _around(split) or _passes(split, use, totals)


def _around(split: StepSplit) -> str:
    """The part outside of the passes that exceeds its limit most; an empty text when none does."""
    total = max(split.total, 1e-9)
    shares = {part: getattr(split, part) / total for part in LIMITS}
    worst = max(LIMITS, key=lambda part: shares[part] / LIMITS[part])
    if shares[worst] <= LIMITS[worst]:
        return ""
    number = f"{100 * shares[worst]:.0f} % of a {_time(total)} step"
    if worst == "data":
        return f"Data: {number} goes into fetching {split.samples:.0f} rows (measured); keep them as uint8 in memory."
    if worst == "other":
        return (
            f"Python: {number} lies outside the engine, in events, callbacks and threads that share the interpreter "
            "(measured); a larger batch does more work per step."
        )
    return (
        f"Update: {number} is the M step, which costs the same for any batch (measured); more than {split.samples:.0f} rows a "
        "step would spread it."
    )


def _passes(split: StepSplit, use: GpuUse, totals: Mapping[str, Any]) -> str:
    """What holds the passes up and down the circuit back."""
    engine = split.forward + split.backward
    if use.tensor_cores is None and use.memory is None:
        upward = 100 * split.forward / max(engine, 1e-9)
        return (
            f"Passes: {_time(engine)} of a {_time(split.total)} step, {upward:.0f} % of it upward (measured); what they wait "
            f"for is not known: {use.reason}."
        )
    compute, memory, busy = use.tensor_cores or 0.0, use.memory or 0.0, use.multiprocessors or 0.0
    if max(compute, memory) < IDLE_SHARE:
        reached = f"{100 * compute:.1f} % of the arithmetic and {100 * memory:.1f} % of the memory bandwidth ({use.source})"
        if busy >= BUSY_SHARE:
            return (
                f"Latency: the multiprocessors are busy {100 * busy:.0f} % of the time, but reach {reached}; wider blocks or a "
                "larger batch give each more to do at once."
            )
        layers = max(1, int(totals["layers"]))
        return (
            f"Launches: {layers} layers take {_time(engine / layers)} each, forward and backward, at {reached}; they are too "
            "small, and a larger batch or wider blocks fill the machine."
        )
    if memory >= compute:
        return (
            f"Memory: the passes reach {100 * memory:.0f} % of the memory bandwidth and {100 * compute:.0f} % of the "
            f"arithmetic ({use.source})."
        )
    padding = float(totals["padding"])
    if padding >= PADDING_LIMIT:
        return (
            f"Padding: {100 * padding:.0f} % of what the kernels multiply is no edge (counted), and arithmetic is what limits, "
            f"at {100 * compute:.0f} % ({use.source}); sparser kernels or another block size would skip it."
        )
    return (
        f"Compute: the passes reach {100 * compute:.0f} % of the arithmetic and {100 * memory:.0f} % of the memory bandwidth "
        f"({use.source})."
    )


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
