"""``pcbench bench --largest``: the largest hidden Chow-Liu tree that trains in the GPU's memory, ours and PyJuice's.

A circuit's memory grows like a·K² + b·K + c: three sizes that fit predict the one that just does, and a few tries around the
prediction settle it. Every try is a process of its own, so that none finds memory that another one left in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from rich.table import Table

from ..errors import OptionError
from .fresh import in_fresh_process
from .plan import Plan
from .report import headline

BATCHES = (256,)
#: K is looked for in multiples of this many states; PyJuice's blocks are then of 128.
STEP = 128
FIRST = (256, 512, 768)
#: Of the sizes that fit, this many are tried at most beyond what was predicted.
TRIES = 24

#: A size → bytes that training needs at most, or ``None`` where they do not fit.
Try = Callable[[int], float | None]


class OutOfReach(Exception):
    """A try failed for another reason than memory."""


def usual_cases(device: str) -> tuple[str, ...]:
    """Only one structure is looked at."""
    return ("hclt",)


def check_case(case: str) -> None:
    """Raise OptionError for a name that is no structure looked at."""
    if case != "hclt":
        raise OptionError(f"--largest looks for the largest hclt, not {case!r}")


def largest(attempt: Try, room: float) -> dict[int, float | None]:
    """Sizes tried and the bytes they took; the greatest with bytes is the largest that fits, to within a step.

    Args:
        attempt: whether a size fits, and what it takes.
        room: bytes there are.
    """
    seen: dict[int, float | None] = {}

    def fits(size: int) -> bool:
        if size not in seen:
            seen[size] = attempt(size)
        return seen[size] is not None

    for size in FIRST:
        if not fits(size):
            break
    while len(seen) < TRIES:
        good = [s for s, needed in seen.items() if needed is not None]
        bad = [s for s, needed in seen.items() if needed is None]
        low, high = max(good, default=0), min(bad) if bad else None
        if high is not None and high - low <= STEP:
            break
        fits(_next(seen, low, high, room))
    return seen


def _next(seen: dict[int, float | None], low: int, high: int | None, room: float) -> int:
    """The size to try: where the parabola through what fits meets the room, or halfway to what did not fit."""
    if high is not None:
        return min(high - STEP, max(low + STEP, (low + high) // 2 // STEP * STEP))
    known = sorted((s, needed) for s, needed in seen.items() if needed is not None)[-3:]
    return max(low + STEP, min(_meets(known, room), 4 * low) // STEP * STEP)


def _meets(known: list[tuple[int, float]], room: float) -> int:
    """Where the parabola through three points reaches the room; half as much again as the last where it never does."""
    (x0, y0), (x1, y1), (x2, y2) = known
    slope, later = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (later - slope) / (x2 - x0)
    # y = y2 + later·t + bend·t·(t + x2 − x1), t beyond x2
    linear, rest = later + bend * (x2 - x1), y2 - room
    under = linear * linear - 4 * bend * rest
    steps = -2 * rest / (linear + math.sqrt(under)) if under >= 0 and linear > 0 else x2 / 2
    return x2 + int(steps)


def measured(plan: Plan) -> Iterator[dict[str, Any]]:
    """A row for us, and one for PyJuice where it is wanted."""
    if plan.place.type != "cuda":
        raise OptionError("--largest asks how much fits in the memory of a GPU; there is none here, or --device says cpu")
    room = float(torch.cuda.get_device_properties(plan.place).total_memory)
    for _, batch in plan.cells:
        for engine, job in [("pcbench", "try"), ("PyJuice", "pyjuice try")][: 2 if plan.peer else 1]:
            yield search(engine, job, batch, plan, room)


def search(engine: str, job: str, batch: int, plan: Plan, room: float) -> dict[str, Any]:
    """The largest size of one engine. Tries are not checked: a float64 twin of the largest does not fit in most machines."""
    row: dict[str, Any] = {"case": "hclt", "engine": engine, "batch": batch, "device": plan.place.type, "status": "ok"}
    facts: dict[int, dict[str, Any]] = {}

    def attempt(size: int) -> float | None:
        found = in_fresh_process(job, plan.spec(f"hclt-{size}", batch))
        if found["status"] == "oom":
            return None
        if found["status"] != "ok":
            raise OutOfReach(f"K={size}: {found['status']}: {found.get('error', 'its results are not right')}")
        facts[size] = found
        return float(found["peak_gb"] * 1e9)

    try:
        tried = largest(attempt, room)
    except OutOfReach as error:
        row["status"], row["error"] = "failed", str(error)
        tried = {size: found["peak_gb"] * 1e9 for size, found in facts.items()}
    row["tried"] = {str(size): None if needed is None else needed / 1e9 for size, needed in tried.items()}
    if facts:
        best = max(facts)
        row["latents"], row["peak_gb"], row["step_ms"] = best, facts[best]["peak_gb"], facts[best]["step_ms"]
    return row


def told(row: dict[str, Any]) -> str:
    """A row in one line."""
    found = (
        f"K={row['latents']:,}, {row['peak_gb']:.1f} GB, {row['step_ms']:.0f} ms a step" if "latents" in row else "none fits"
    )
    return f"largest hclt of {row['engine']} at batch {row['batch']}: {found}" + (
        f"; then FAILED {row['error']}" if row["status"] == "failed" else ""
    )


def bad(row: dict[str, Any]) -> bool:
    """Whether our search ended by an error; PyJuice's may."""
    return bool(row["status"] == "failed" and row["engine"] == "pcbench")


def table(rows: list[dict[str, Any]], facts: dict[str, Any]) -> Table:
    """One line an engine."""
    out = Table(title=headline(facts), caption=f"to within {STEP} states; every size trained in a process of its own")
    for heading in ("engine", "batch", "largest K", "peak GB", "step ms", "tried"):
        out.add_column(heading, justify="left" if heading in ("engine", "tried") else "right")
    for row in rows:
        tried = ", ".join(f"{size}{'' if needed is not None else ' ✗'}" for size, needed in row["tried"].items())
        keys = (("latents", ",d"), ("peak_gb", ".1f"), ("step_ms", ".0f"))
        numbers = [format(row[key], form) if key in row else "–" for key, form in keys]
        said = tried if row["status"] == "ok" else f"{tried}; FAILED {row['error'].splitlines()[0]}"
        out.add_row(row["engine"], f"{row['batch']:,}", *numbers, said)
    return out
