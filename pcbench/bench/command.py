"""``pcbench bench`` itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ..errors import OptionError
from .names import CHOICES, TABLE, TABLE_BATCHES

_FILE = click.Path(dir_okay=False, path_type=Path)
_PEER_HELP = "auto (PyJuice where it is installed and has kernels), pyjuice, or none."


@click.command()
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, help="Rows of a step; repeatable. [default: 512]")
@click.option(
    "--table", "whole", is_flag=True, help="All sizes of all structures at 512 and 2,048 rows: half an hour on a GPU."
)
@click.option("--device", help="cpu, or cuda. [default: cuda where there is one]")
@click.option("--repeat", type=click.IntRange(1), default=7, show_default=True, help="Steps of which the median counts.")
@click.option("--peer", type=click.Choice(("auto", "pyjuice", "none")), default="auto", show_default=True, help=_PEER_HELP)
@click.option(
    "--cold/--warm", default=None, help="Each cell in a new process with empty caches, or here. [default: cold on cuda]"
)
@click.option("--queries", is_flag=True, help="Time samples, completions, posteriors and explanations instead of steps.")
@click.option("--largest", is_flag=True, help="Find the largest HCLT that trains in the GPU's memory, at 256 rows.")
@click.option(
    "--model", type=click.Path(exists=True, dir_okay=False), help="With --queries: draws the digits. [default: train one]"
)
@click.option("--json", "results", type=_FILE, help="Write everything measured to this file, after every cell.")
@click.option("--page", type=_FILE, help="Write the results as a page with charts; needs --json.")
@click.option("--list", "listing", is_flag=True, help="Say which cases there are.")
def bench(
    cases: tuple[str, ...],
    batches: tuple[int, ...],
    whole: bool,
    device: str | None,
    repeat: int,
    peer: str,
    cold: bool | None,
    queries: bool,
    largest: bool,
    model: str | None,
    results: Path | None,
    page: Path | None,
    listing: bool,
) -> None:
    """Check and time training steps: forward, backward, mini-batch EM.

    Each cell is checked first: log-likelihoods and expected counts of a batch against the same parameters in float64 on the
    CPU. A wrong one is shown as WRONG, one that raises an error as FAILED; neither has a speed, and the exit status is 1.
    PyJuice, where it is measured, runs the same circuit in a process of its own, and is checked the same way against what
    from_pyjuice makes of it. The cases: pcbench bench --list
    """
    if listing:
        for name, what in CHOICES.items():
            click.echo(f"{name:10} {what}")
        return
    if whole and cases:
        raise OptionError(f"--table measures its own cases; leave out {' '.join(cases)}, or --table")
    _check_modes({"--queries": queries, "--largest": largest, "--table": whole, "--page": page is not None}, model)
    _check_files(results, page)
    if whole:
        cases, batches = tuple(TABLE), batches or TABLE_BATCHES
    mode = import_module(f".{'queries' if queries else 'largest' if largest else 'training'}", __package__)
    rows = _run(mode, cases, batches, device, repeat, peer, cold, model, results)
    if page is not None:
        made = subprocess.run([sys.executable, "-m", "pcbench_widgets.bench_page", str(results), str(page)])
        if made.returncode:
            sys.exit(made.returncode)
    if any(mode.bad(row) for row in rows):
        sys.exit(1)


def _check_modes(flags: dict[str, bool], model: str | None) -> None:
    given = [flag for flag, on in flags.items() if on]
    if (flags["--queries"] or flags["--largest"]) and len(given) > 1:
        raise OptionError(f"{given[0]} is a table of its own; leave out {' and '.join(given[1:])}")
    if model is not None and not flags["--queries"]:
        raise OptionError(f"--model {model}: only questions are asked of a trained model; give --queries as well")


def _check_files(results: Path | None, page: Path | None) -> None:
    if page is not None and results is None:
        raise OptionError(f"--page {page}: it is made from the results file; give --json FILE as well")
    for path in filter(None, (results, page)):
        if not path.absolute().parent.is_dir():
            raise OptionError(f"{path}: there is no folder {path.parent}")


def _run(
    mode: Any,
    cases: tuple[str, ...],
    batches: tuple[int, ...],
    device: str | None,
    repeat: int,
    peer: str,
    cold: bool | None,
    model: str | None,
    results: Path | None,
) -> list[dict[str, Any]]:
    """Measure every cell, write each down as soon as it is known, and show the table."""
    from rich.console import Console

    from .plan import Plan, chosen_device
    from .report import about

    for case in cases:
        mode.check_case(case)
    chosen = chosen_device(device)
    plan = Plan.of(cases or mode.usual_cases(chosen), batches or mode.BATCHES, chosen, repeat, peer, cold, model)
    facts, rows = about(plan), []
    for row in mode.measured(plan):
        rows.append(row)
        click.echo(mode.told(row), err=True)
        if results is not None:
            results.write_text(json.dumps({**facts, "rows": [_plain(row) for row in rows]}, indent=1) + "\n")
    console = Console()
    # A table in a file or a pipe has all its columns, however narrow the terminal would be.
    console = console if console.is_terminal else Console(width=240)
    console.print(mode.table(rows, facts), highlight=False, markup=False)
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity, which is what a wrong step may give."""
    return {key: _finite(value) for key, value in row.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
