"""Results as a table for people, and as JSON."""

from __future__ import annotations

import math
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from rich.table import Table

from .limits import ANCHOR_SOURCE
from .measure import PEAK, PSEUDOCOUNT, STEP_SIZE
from .plan import Plan

#: Heading, key, number format. Columns that no row has are left out, as far as they may be.
COLUMNS = [
    ("sum edges", "sum_edges", ",d"), ("step ms", "step_ms", ".2f"), ("alone", "alone_ms", ".2f"),
    ("forward", "forward_ms", ".2f"),
    ("backward", "backward_ms", ".2f"), ("EM", "em_ms", ".2f"), ("peak GB", "peak_gb", ".2f"),
    ("first step s", "first_step_s", ".1f"), ("TFLOP/s", "tflops", ".3g"), ("limit ms", "limit_ms", ".2f"),
    ("× limit", "over_limit", ".1f"), ("PyJuice ms", "peer_step_ms", ".2f"), ("alone", "peer_alone_ms", ".2f"),
    ("× faster", "faster", ".1f"),
    ("its GB", "peer_peak_gb", ".2f"), ("memory ÷ its", "memory_ratio", ".2f"), ("its first s", "peer_first_step_s", ".1f"),
    ("anchor ms", "anchor_ms", ".1f"),
]  # fmt: skip
OPTIONAL = {
    "limit_ms",
    "over_limit",
    "peer_step_ms",
    "peer_alone_ms",
    "faster",
    "peer_peak_gb",
    "memory_ratio",
    "peer_first_step_s",
    "anchor_ms",
}


def about(plan: Plan) -> dict[str, Any]:
    """What was measured with."""
    device = plan.place
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "pcbench": _version("pcbench"),
        "pyjuice": _version("pyjuice") if plan.peer else None,
        "no_peer": plan.no_peer or None,
        "date": time.strftime("%Y-%m-%d"),
        "repeat": plan.repeat,
        "cold": plan.cold,
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
    old = needs_anchor(rows)
    shown = [c for c in COLUMNS if c[1] not in OPTIONAL or (any(c[1] in row for row in rows) and (c[1] != "anchor_ms" or old))]
    out = Table(title=headline(facts), caption="; ".join(notes(rows, facts)))
    out.add_column("case")
    out.add_column("batch", justify="right")
    for heading, _, _ in shown:
        out.add_column(heading, justify="right")
    out.add_column("check: error of log p, counts")
    for row in rows:
        numbers = [format(row[key], form) if key in row else "–" for _, key, form in shown]
        out.add_row(row["case"], f"{row['batch']:,}", *numbers, outcome(row))
    return out


def needs_anchor(rows: list[dict[str, Any]]) -> bool:
    """Whether PyJuice's steps of long ago, elsewhere, are shown: only where none was measured now."""
    return any("anchor_ms" in row and "peer_step_ms" not in row for row in rows)


def notes(rows: list[dict[str, Any]], facts: dict[str, Any]) -> list[str]:
    """What the columns mean, as far as ``facts`` are known, and the mean of the ratios."""
    told = [f"peak: {facts['peak_is']}"] if "peak_is" in facts else []
    told += [
        "step: one of many, as in a training; alone: waited for, as its parts are",
        "first step: construction and compilation included",
    ]
    if facts.get("cold"):
        told[-1] += ", from empty caches"
    if facts.get("no_peer"):
        told.append(f"no PyJuice beside it: {facts['no_peer']}")
    if needs_anchor(rows):
        told.append(f"anchor ms: a step of {facts.get('anchor', ANCHOR_SOURCE)}")
    ratios = {(row["case"], row["batch"]): row["faster"] for row in rows if "faster" in row}
    if ratios:
        least = min(ratios, key=lambda cell: ratios[cell])
        mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
        told.append(
            f"faster than {' '.join(filter(None, ('PyJuice', facts.get('pyjuice'))))} in this run: geometric mean {mean:.1f}×, "
            f"least {ratios[least]:.1f}× ({least[0]}, {least[1]:,} rows)"
        )
    return told


def headline(facts: dict[str, Any]) -> str:
    """Of a table: the machine and the day."""
    return f"{facts['device']}, torch {facts['torch']}, {facts['date']}; median of {facts['repeat']}"


def outcome_in_words(row: dict[str, Any], errors: str) -> str:
    """A status in a few words, with the errors that were found."""
    if row["status"] == "oom":
        return "out of memory"
    if row["status"] in ("failed", "skipped"):
        return f"{row['status'].upper() if row['status'] == 'failed' else 'skipped'} {_first_line(row['error'])}"
    return f"WRONG {errors}" if row["status"] == "wrong" else errors


def outcome(row: dict[str, Any]) -> str:
    """The check in a few words, and PyJuice's."""
    known = "log_likelihood_error" in row
    said = outcome_in_words(row, f"{row['log_likelihood_error']:.1e}, {row['flow_error']:.1e}" if known else "")
    peer = row.get("peer_status", "ok")
    found = [f"{row[key]:.1e}" for key in ("peer_log_likelihood_error", "peer_flow_error") if key in row]
    if peer == "ok":
        return f"{said}; PyJuice {', '.join(found)}" if found else said
    if peer == "differs":
        return f"{said}; PyJuice DIFFERS {', '.join(found) or _first_line(row['peer_error'])}"
    return f"{said}; PyJuice {'ran out of memory' if peer == 'oom' else f'{peer}: ' + _first_line(row['peer_error'])}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
