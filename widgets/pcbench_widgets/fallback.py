"""A circuit as text and as a still picture, for notebooks that are read without a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MOST_BLOCKS = 400
_GAP_X, _GAP_Y, _MARGIN, _RADIUS = 84, 96, 40, 17
_COLOR = {"input": "#00785a", "product": "#c2500a", "sum": "#0067a8"}
_SYMBOL = {"input": "ƒ", "product": "×", "sum": "+"}


def text(described: Mapping[str, Any] | None, program: Mapping[str, Any] | None) -> str:
    """One line: what stands in the workbench."""
    parts = []
    if described is not None:
        blocks = described["blocks"]
        nodes = sum(block["nodes"] for block in blocks)
        parts.append(f"{len(described['variables'])} variables, {len(blocks)} blocks, {nodes} nodes")
    if program is not None:
        parts.append(f"{len(program['layers'])} layers on {program['device']} in {program['dtype']}")
    return f"Workbench({'; '.join(parts) or 'empty'})"


def svg(described: Mapping[str, Any]) -> str | None:
    """The circuit drawn, roots on top; None where it is too large for a still picture to be of use."""
    blocks = described["blocks"]
    if not blocks or len(blocks) > MOST_BLOCKS:
        return None
    place = _place(described)
    width = max(x for x, _ in place.values()) + _MARGIN + _RADIUS
    height = max(y for _, y in place.values()) + _MARGIN + _RADIUS
    lines = "".join(_edge(place[child], place[parent]) for child, parent in described["edges"])
    shapes = "".join(_shape(block, *place[block["id"]]) for block in blocks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" text-anchor="middle">'
        f'<g stroke="#888" fill="none">{lines}</g>{shapes}</svg>'
    )


def _place(described: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Rows by level; within a row by the mean of the children, so that edges cross little."""
    children: dict[int, list[int]] = {block["id"]: [] for block in described["blocks"]}
    for child, parent in described["edges"]:
        children[parent].append(child)
    rows: dict[int, list[int]] = {}
    for block in described["blocks"]:
        rows.setdefault(block["level"], []).append(block["id"])
    top = max(rows)
    widest = max(len(row) for row in rows.values())
    place: dict[int, tuple[float, float]] = {}
    for level in sorted(rows):
        row = rows[level]

        def wish(block: int) -> float:
            xs = [place[child][0] for child in children[block] if child in place]
            return sum(xs) / len(xs) if xs else 0.0

        row = sorted(row, key=wish)
        shift = (widest - len(row)) / 2
        for i, block in enumerate(row):
            place[block] = (_MARGIN + _RADIUS + (i + shift) * _GAP_X, _MARGIN + (top - level) * _GAP_Y)
    return place


def _edge(child: tuple[float, float], parent: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = child, parent
    middle = (y0 + y1) / 2
    return f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"/>'


def _shape(block: Mapping[str, Any], x: float, y: float) -> str:
    kind, r = block["kind"], _RADIUS
    fill = _COLOR[kind]
    if kind == "sum":
        outline = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{fill}"/>'
    elif kind == "product":
        outline = f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" rx="5" fill="{fill}"/>'
    else:
        corners = [(0, -r), (r, -r * 0.25), (r * 0.8, r), (-r * 0.8, r), (-r, -r * 0.25)]
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
        outline = f'<polygon points="{points}" fill="{fill}"/>'
    name = escape(str(block["name"]))
    return (
        f"<g><title>{name}: {kind}, {block['nodes']} nodes</title>{outline}"
        f'<text x="{x:.1f}" y="{y + 6:.1f}" font-size="17" fill="#fff">{_SYMBOL[kind]}</text>'
        f'<text x="{x:.1f}" y="{y + r + 12:.1f}" font-size="10" fill="#555">{name[:18]} ({block["nodes"]})</text></g>'
    )
