"""``pcbench bench`` without further options: training steps, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import report
from .cases import parsed
from .fresh import in_fresh_process
from .measure import cell
from .names import DEFAULT
from .peer import beside, peer_result
from .plan import Plan

BATCHES = (512,)
table = report.table


def usual_cases(device: str) -> tuple[str, ...]:
    """What is measured when no case is named."""
    return tuple(DEFAULT[device])


def check_case(case: str) -> None:
    """Raise OptionError for a name that is no case."""
    parsed(case)


def measured(plan: Plan) -> Iterator[dict[str, Any]]:
    """One row after the other."""
    for case, batch in plan.cells:
        spec = plan.spec(case, batch)
        if plan.cold:
            row = {"case": case, "batch": batch, "device": plan.place.type, **in_fresh_process("cell", spec)}
        else:
            row = cell(case, batch, plan.place, plan.repeat)
        row["cold"] = plan.cold
        if plan.peer:
            beside(row, peer_result("pyjuice cell", spec))
        yield row


def told(row: dict[str, Any]) -> str:
    """A row in one line, as soon as it is measured."""
    speed = f"{row['step_ms']:.2f} ms, " if "step_ms" in row else ""
    beside = f", {row['faster']:.1f}× PyJuice" if "faster" in row else ""
    return f"{row['case']} batch {row['batch']}: {speed}{report.outcome(row)}{beside}"


def bad(row: dict[str, Any]) -> bool:
    """Whether a row says that something is wrong, in us or between us and PyJuice."""
    return row["status"] in ("wrong", "failed") or row.get("peer_status") == "differs"
