"""Results of ``pcbench bench`` as one page that needs no network.

``python -m pcbench_widgets.bench_page results.json page.html``
"""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

#: Parts of a step and their colours (Okabe and Ito, told apart by colour-blind eyes too).
_PARTS = {"forward": "#0072b2", "backward": "#e69f00", "em": "#009e73"}
_COLUMNS = {
    "case": "case", "batch": "batch", "status": "check", "log_likelihood_error": "error of log p",
    "flow_error": "error of counts", "sum_edges": "sum edges", "step_ms": "step, ms", "alone_ms": "step alone, ms",
    "forward_ms": "forward", "backward_ms": "backward", "em_ms": "EM",
    "peak_gb": "peak, GB", "first_step_s": "first step, s", "tflops": "TFLOP/s",
    "limit_ms": "limit, ms", "over_limit": "× limit", "peer_step_ms": "PyJuice, ms", "peer_alone_ms": "PyJuice alone, ms",
    "faster": "× faster",
    "peer_peak_gb": "PyJuice, GB", "memory_ratio": "memory ÷ its", "peer_first_step_s": "PyJuice, first step, s",
    "peer_status": "PyJuice, check", "anchor_ms": "PyJuice on an H100, ms",
    "error": "error",
}  # fmt: skip
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
.wrong, .oom, .failed { color: #b00020; font-weight: 600; }
"""


def bench_figure(rows: list[dict[str, Any]]) -> go.Figure:
    """Milliseconds a step by part; the limit and PyJuice's step as marks, where a row has them."""
    timed = [row for row in rows if "step_ms" in row]
    names = [f"{row['case']}, {row['batch']:,} rows" for row in timed]
    figure = go.Figure()
    for part, color in _PARTS.items():
        label = part.upper() if part == "em" else part
        figure.add_bar(x=names, y=[row[f"{part}_ms"] for row in timed], name=label, marker_color=color)
    marks = (
        ("limit_ms", "limit of the device", "line-ew-open"),
        ("peer_step_ms", "PyJuice in the same run", "diamond"),
        ("anchor_ms", "PyJuice 2.6.3 on an H100", "diamond-open"),
    )
    for key, label, symbol in marks:
        if any(key in row for row in timed):
            marker = {"symbol": symbol, "size": 14, "color": "#333", "line": {"width": 2}}
            figure.add_scatter(x=names, y=[row.get(key) for row in timed], name=label, mode="markers", marker=marker)
    figure.update_layout(barmode="stack", template="plotly_white", height=480, legend={"orientation": "h", "y": 1.12})
    figure.update_yaxes(title="ms a step", rangemode="tozero")
    return figure


def bench_page(rows: list[dict[str, Any]], path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write the page.

    Args:
        rows: as ``pcbench bench --json`` writes them under ``rows``.
        path: of the page.
        about: device, versions and date, from the same file.
    """
    shown = {key: title for key, title in _COLUMNS.items() if any(key in row for row in rows)}
    facts = ", ".join(f"{key}: {value}" for key, value in (about or {}).items() if value is not None)
    head = "".join(f"<th>{html.escape(title)}</th>" for title in shown.values())
    body = "\n".join(_line(row, list(shown)) for row in rows)
    chart = bench_figure(rows).to_html(full_html=False, include_plotlyjs=True)
    Path(path).write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>pcbench bench</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>Training steps</h1><p>{html.escape(facts)}</p>\n{chart}\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div></body></html>\n',
        encoding="utf-8",
    )


def _line(row: dict[str, Any], keys: list[str]) -> str:
    cells = "".join(f"<td>{html.escape(_text(row.get(key)))}</td>" for key in keys)
    return f'<tr class="{html.escape(str(row["status"]))}">{cells}</tr>'


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main(arguments: list[str]) -> int:
    """Read a results file, write a page."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m pcbench_widgets.bench_page results.json page.html\n")
        return 2
    results = json.loads(Path(arguments[0]).read_text())
    rows = results.pop("rows")
    bench_page(rows, arguments[1], results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
