"""``pcbench bench`` itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import OptionError
from .names import CHOICES, DEFAULT

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, help="Rows of a step; repeatable. [default: 512]")
@click.option("--device", help="cpu, or cuda. [default: cuda where there is one]")
@click.option("--repeat", type=click.IntRange(1), default=7, show_default=True, help="Steps of which the median counts.")
@click.option("--json", "results", type=_FILE, help="Write everything measured to this file.")
@click.option("--page", type=_FILE, help="Write the results as a page with charts; needs --json.")
@click.option("--list", "listing", is_flag=True, help="Say which cases there are.")
def bench(
    cases: tuple[str, ...],
    batches: tuple[int, ...],
    device: str | None,
    repeat: int,
    results: Path | None,
    page: Path | None,
    listing: bool,
) -> None:
    """Check and time training steps: forward, backward, mini-batch EM.

    Each cell is checked first: log-likelihoods and expected counts of a batch against the same parameters in float64 on the
    CPU. A wrong one is shown as WRONG, one that raises an error as FAILED; neither has a speed, and the exit status is 1.
    The cases: pcbench bench --list
    """
    if listing:
        for name, what in CHOICES.items():
            click.echo(f"{name:10} {what}")
        return
    if page is not None and results is None:
        raise OptionError(f"--page {page}: it is made from the results file; give --json FILE as well")
    for path in filter(None, (results, page)):
        if not path.absolute().parent.is_dir():
            raise OptionError(f"{path}: there is no folder {path.parent}")
    facts, rows = _run(cases, batches or (512,), device, repeat)
    if results is not None:
        results.write_text(json.dumps({**facts, "rows": [_plain(row) for row in rows]}, indent=1) + "\n")
    if page is not None:
        made = subprocess.run([sys.executable, "-m", "pcbench_widgets.bench_page", str(results), str(page)])
        if made.returncode:
            sys.exit(made.returncode)
    if any(row["status"] in ("wrong", "failed") for row in rows):
        sys.exit(1)


def _run(
    cases: tuple[str, ...], batches: tuple[int, ...], device: str | None, repeat: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure every cell and show the table."""
    import torch
    from rich.console import Console

    from .cases import parsed
    from .measure import cell
    from .report import about, outcome, table

    for case in cases:
        parsed(case)
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen not in DEFAULT:
        raise OptionError(f"--device {chosen}: expected cpu or cuda")
    if chosen == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"--device cuda: this PyTorch ({torch.__version__}) sees no CUDA GPU")
    place = torch.device("cuda", torch.cuda.current_device()) if chosen == "cuda" else torch.device("cpu")
    rows = []
    for case in cases or DEFAULT[chosen]:
        for batch in batches:
            rows.append(cell(case, batch, place, repeat))
            speed = f"{rows[-1]['step_ms']:.2f} ms, " if "step_ms" in rows[-1] else ""
            click.echo(f"{case} batch {batch}: {speed}{outcome(rows[-1])}", err=True)
    facts = about(place, repeat)
    console = Console()
    # A table in a file or a pipe has all its columns, however narrow the terminal would be.
    console = console if console.is_terminal else Console(width=200)
    console.print(table(rows, facts), highlight=False, markup=False)
    return facts, rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity, which is what a wrong step may give."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
