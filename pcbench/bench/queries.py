"""``pcbench bench --queries``: samples, completions, posteriors and explanations a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from . import inpaint
from .cases import parsed
from .fresh import in_fresh_process
from .peer import peer_result
from .plan import Plan
from .query_cell import QUESTIONS, cell
from .report import headline, outcome_in_words

BATCHES = (512,)
#: A case of its own: digits of MNIST with their right halves drawn anew.
DIGITS = "mnist"


def usual_cases(device: str) -> tuple[str, ...]:
    """What is measured when no case is named."""
    return ("hclt-256", "hmm-2048", DIGITS) if device == "cuda" else ("hclt-16", "hmm-64", DIGITS)


def check_case(case: str) -> None:
    """Raise OptionError for a name that is no case."""
    if case != DIGITS:
        parsed(case)


def measured(plan: Plan) -> Iterator[dict[str, Any]]:
    """One row after the other; the digits once, whatever the batch sizes."""
    for case in dict.fromkeys(case for case, _ in plan.cells if case == DIGITS):
        spec: dict[str, Any] = {"device": str(plan.place), "repeat": plan.repeat, "model": plan.model, "rows": None}
        row = in_fresh_process("digits", spec) if plan.cold else inpaint.job(**spec)
        yield {"case": case, "batch": 10_000, "device": plan.place.type, "errors": {}, **row}
    for case, batch in plan.cells:
        if case == DIGITS:
            continue
        spec = plan.spec(case, batch)
        if plan.cold:
            row = {"case": case, "batch": batch, "device": plan.place.type, "errors": {}, **in_fresh_process("queries", spec)}
        else:
            row = cell(case, batch, plan.place, plan.repeat)
        if plan.peer:
            beside(row, peer_result("pyjuice queries", spec))
        yield row


def beside(row: dict[str, Any], peer: dict[str, Any]) -> None:
    """Add PyJuice's answers to our row as ``peer_…``, and the ratio of the rates of each question that both answer."""
    row.update({f"peer_{key}": value for key, value in peer.items()})
    for name in QUESTIONS:
        if f"{name}_per_s" in row and f"{name}_per_s" in peer:
            row[f"{name}_faster"] = row[f"{name}_per_s"] / peer[f"{name}_per_s"]


def told(row: dict[str, Any]) -> str:
    """A row in one line, as soon as it is measured."""
    rates = [f"{name} {row[f'{name}_per_s']:,.0f}/s" for name in QUESTIONS if f"{name}_per_s" in row]
    return f"{row['case']} batch {row['batch']}: {', '.join([*rates, outcome(row)])}"


def bad(row: dict[str, Any]) -> bool:
    """Whether one of our answers was wrong, or could not be given."""
    return row["status"] in ("wrong", "failed")


def outcome(row: dict[str, Any]) -> str:
    """The checks in a few words: standard errors of samples, errors of probabilities."""
    errors = ", ".join(f"{name} {error:.2g}" for name, error in row.get("errors", {}).items())
    said = outcome_in_words(row, errors)
    peer = row.get("peer_status", "ok")
    if peer == "ok":
        return said
    theirs = ", ".join(f"{name} {error:.2g}" for name, error in row.get("peer_errors", {}).items())
    return f"{said}; PyJuice {outcome_in_words({'status': peer, 'error': row.get('peer_error', '')}, theirs)}"


def table(rows: list[dict[str, Any]], facts: dict[str, Any]) -> Table:
    """One line a question; what was answered wrongly has no speed."""
    notes = ["check: standard errors of samples, greatest error of a probability or relative one of a log probability"]
    notes += [f"{row['batch']:,} digits in {row['seconds']:.2f} s ({row['model']})" for row in rows if "seconds" in row]
    if facts.get("no_peer"):
        notes.append(f"no PyJuice beside it: {facts['no_peer']}")
    out = Table(title=headline(facts), caption="; ".join(notes))
    for heading in ("case", "question"):
        out.add_column(heading)
    for heading in ("batch", "a second", "PyJuice", "× faster"):
        out.add_column(heading, justify="right")
    out.add_column("check")
    for row in rows:
        for name, what in QUESTIONS.items():
            if name not in row["errors"]:
                continue
            keys = ((f"{name}_per_s", ",.0f"), (f"peer_{name}_per_s", ",.0f"), (f"{name}_faster", ".1f"))
            numbers = [format(row[key], form) if key in row else "–" for key, form in keys]
            error = f"{row['errors'][name]:.2g}"
            out.add_row(row["case"], what, f"{row['batch']:,}", *numbers, error if numbers[0] != "–" else f"WRONG {error}")
        if not row["errors"] or row["status"] in ("oom", "failed"):
            out.add_row(row["case"], "–", f"{row['batch']:,}", "–", "–", "–", outcome(row))
    return out
