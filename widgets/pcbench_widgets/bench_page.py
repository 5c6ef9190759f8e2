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
from plotly.subplots import make_subplots

from pcbench.bench import report

#: Parts of a step and their colours (Okabe and Ito, told apart by colour-blind eyes too).
_PARTS = {"forward": ("forward", "#56b4e9"), "backward": ("backward", "#e69f00"), "em": ("EM", "#009e73")}
#: What a step may be compared with: key, name, symbol and colour.
_MARKS = (
    ("limit_ms", "limit of the device", "line-ns-open", "#808080"),
    ("step_ms", "pcbench", "circle", "#0072b2"),
    ("peer_step_ms", "PyJuice in the same run", "diamond", "#d55e00"),
    ("anchor_ms", "PyJuice 2.6.3 on an H100", "diamond-open", "#d55e00"),
)
#: What was asked first, and what explains it after that.
_COLUMNS = {
    "case": "case", "batch": "rows", "status": "check", "step_ms": "step, ms", "peer_step_ms": "PyJuice, ms",
    "faster": "× faster", "limit_ms": "limit, ms", "over_limit": "× limit", "peak_gb": "peak, GB",
    "peer_peak_gb": "PyJuice, GB", "memory_ratio": "memory ÷ its", "first_step_s": "first step, s",
    "peer_first_step_s": "PyJuice, first step, s", "forward_ms": "forward", "backward_ms": "backward", "em_ms": "EM",
    "alone_ms": "step alone, ms", "peer_alone_ms": "PyJuice alone, ms", "tflops": "TFLOP/s", "sum_edges": "sum edges",
    "log_likelihood_error": "error of log p", "flow_error": "error of counts", "peer_status": "PyJuice, check",
    "anchor_ms": "PyJuice on an H100, ms", "error": "error",
}  # fmt: skip
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --text: #212121; --muted: #5f5f5f; --line: #dcdcdc; --bad: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --text: #e8e8e8; --muted: #a9a9a9; --line: #3a3d42; --bad: #ff8a80; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem;
  color: var(--text); background: var(--paper); }
h1 { margin: 0; } p, li { color: var(--muted); } ul { padding-left: 1.2rem; }
.js-plotly-plot text { fill: var(--text) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path { stroke: var(--line) !important; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
.wrong td, .oom td, .failed td { color: var(--bad); font-weight: 600; }
"""


def bench_figure(rows: list[dict[str, Any]]) -> go.Figure:
    """On the left a step, its limit and PyJuice's, milliseconds on a logarithmic axis; on the right the parts of a step."""
    timed = [row for row in rows if "step_ms" in row]
    names = [f"{row['case']}, {row['batch']:,} rows" for row in timed]
    titles = ("a step, ms (each line: ten times as long)", "its parts, one after the other, ms")
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for key, label, symbol, color in _MARKS:
        if key == "anchor_ms" and not report.needs_anchor(rows):
            continue
        held = [(name, row[key], row) for name, row in zip(names, timed, strict=True) if row.get(key) is not None]
        if held:
            marker = {"symbol": symbol, "size": 13, "color": color, "line": {"width": 2, "color": color}}
            ratios = [f" {row['faster']:.1f}×" if key == "peer_step_ms" and "faster" in row else "" for _, _, row in held]
            figure.add_scatter(
                x=[value for _, value, _ in held], y=[name for name, _, _ in held], name=label, marker=marker,
                mode="markers+text", text=ratios, textposition="middle right", cliponaxis=False, hovertemplate="%{x:.3g} ms",
                row=1, col=1,
            )  # fmt: skip
    for part, (label, color) in _PARTS.items():
        parts = [row[f"{part}_ms"] for row in timed]
        figure.add_bar(
            x=parts, y=names, name=label, orientation="h", marker_color=color, hovertemplate="%{x:.3g} ms", row=1, col=2
        )
    clear = "rgba(0,0,0,0)"
    inner = 40 + 44 * max(1, len(timed))
    legend = {"orientation": "h", "traceorder": "normal", "y": 1 + 70 / inner}
    figure.update_layout(barmode="stack", template="plotly_white", paper_bgcolor=clear, plot_bgcolor=clear, legend=legend)
    figure.update_layout(height=inner + 130, margin={"l": 10, "r": 40, "t": 90, "b": 40})
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(type="log", dtick=1, row=1, col=1)
    figure.update_xaxes(rangemode="tozero", row=1, col=2)
    return figure


def bench_page(rows: list[dict[str, Any]], path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write the page.

    Args:
        rows: as ``pcbench bench --json`` writes them under ``rows``.
        path: of the page.
        about: device, versions and date, from the same file.
    """
    facts = about or {}
    shown = {key: title for key, title in _COLUMNS.items() if any(key in row for row in rows)}
    if not report.needs_anchor(rows):
        shown.pop("anchor_ms", None)
    head = "".join(f"<th>{html.escape(title)}</th>" for title in shown.values())
    body = "\n".join(_line(row, list(shown)) for row in rows)
    chart = bench_figure(rows).to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False})
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report.notes(rows, facts))
    Path(path).write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>pcbench bench</title>'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>Training steps</h1><p>{html.escape(_setting(facts))}</p>\n{chart}\n"
        f'<div class="wide" tabindex="0" role="region" aria-label="All numbers"><table><thead><tr>{head}</tr></thead><tbody>\n'
        f"{body}\n</tbody></table></div>\n<ul>{notes}</ul></main></body></html>\n",
        encoding="utf-8",
    )


def _setting(facts: dict[str, Any]) -> str:
    """The machine, versions and the day, as far as they are known."""
    names = {"torch": "torch", "triton": "Triton", "pyjuice": "PyJuice"}
    versions = [f"{name} {facts[key]}" for key, name in names.items() if facts.get(key)]
    measured = f"median of {facts['repeat']}" if facts.get("repeat") else None
    return ", ".join(str(fact) for fact in (facts.get("device"), *versions, facts.get("date"), measured) if fact)


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
