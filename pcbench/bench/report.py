"""Results as a table for people, and as JSON."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from rich.table import Table

from .limits import ANCHOR_SOURCE
from .measure import PEAK, PSEUDOCOUNT, STEP_SIZE

#: Heading, key, number format. The last three only where a row has them.
COLUMNS = [
    ("sum edges", "sum_edges", ",d"), ("step ms", "step_ms", ".2f"), ("forward", "forward_ms", ".2f"),
    ("backward", "backward_ms", ".2f"), ("EM", "em_ms", ".2f"), ("peak GB", "peak_gb", ".2f"),
    ("first step s", "first_step_s", ".1f"), ("TFLOP/s", "tflops", ".3g"), ("limit ms", "limit_ms", ".2f"),
    ("× limit", "over_limit", ".1f"), ("PyJuice ms", "anchor_ms", ".1f"),
]  # fmt: skip


def about(device: torch.device, repeat: int) -> dict[str, Any]:
    """What was measured with."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "pcbench": _version("pcbench"),
        "date": time.strftime("%Y-%m-%d"),
        "repeat": repeat,
        "step_size": STEP_SIZE,
        "pseudocount": PSEUDOCOUNT,
        "peak_is": PEAK[device.type],
        "anchor": ANCHOR_SOURCE,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(rows: list[dict[str, Any]], facts: dict[str, Any]) -> Table:
    """One line a cell; what was wrong or did not fit has no speed."""
    title = f"{facts['device']}, torch {facts['torch']}, {facts['date']}; median of {facts['repeat']} steps"
    notes = [f"peak: {facts['peak_is']}"]
    if any("anchor_ms" in row for row in rows):
        notes.append(f"PyJuice ms: {facts['anchor']}")
    shown = [c for c in COLUMNS if c[1] not in ("limit_ms", "over_limit", "anchor_ms") or any(c[1] in row for row in rows)]
    out = Table(title=title, caption="; ".join(notes))
    out.add_column("case")
    out.add_column("batch", justify="right")
    for heading, _, _ in shown:
        out.add_column(heading, justify="right")
    out.add_column("check: error of log p, counts")
    for row in rows:
        numbers = [format(row[key], form) if key in row else "–" for _, key, form in shown]
        out.add_row(row["case"], f"{row['batch']:,}", *numbers, outcome(row))
    return out


def outcome(row: dict[str, Any]) -> str:
    """The check in a few words."""
    if row["status"] == "oom":
        return "out of memory"
    if row["status"] == "failed":
        return f"FAILED {row['error'].splitlines()[0]}"
    errors = f"{row['log_likelihood_error']:.1e}, {row['flow_error']:.1e}"
    return f"WRONG {errors}" if row["status"] == "wrong" else errors
