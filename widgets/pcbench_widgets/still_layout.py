"""The compiled layout as a still picture, for notebooks that are read without a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MOST_LAYERS = 40
_ROW, _WIDTH, _TOP = 22, 760, 46
_COLOR = {"input": "#00785a", "product": "#c2500a", "sum": "#0067a8"}
_SYMBOL = {"input": "ƒ", "product": "×", "sum": "+"}
_PURPOSE = {"parameters": "#0067a8", "values": "#00785a", "flows": "#c2500a"}


def svg(described: Mapping[str, Any]) -> str:
    """A line a layer, the top of the circuit first, with its padding as a bar; beneath, what memory is for.

    `described` is what `Program.describe` gives; of many layers the lowest are left out, and counted.
    """
    layers = list(reversed(described["layers"]))
    shown, totals = layers[:MOST_LAYERS], described["totals"]
    rows = [_row(layer, _TOP + i * _ROW) for i, layer in enumerate(shown)]
    y = _TOP + len(shown) * _ROW
    if len(layers) > len(shown):
        rows.append(_text(12, y + 14, f"… and {len(layers) - len(shown):,} more layers", "#666"))
        y += _ROW
    title = (
        f"{described['device']}, {described['dtype']}: {totals['layers']:,} layers, {totals['edges']:,} edges, "
        f"{_percent(totals['padding'])} padding"
    )
    heads = [(12, "layer"), (110, "kernel"), (190, "blocks"), (300, "elements → nodes"), (440, "padding"), (570, "bytes")]
    head = _text(12, 18, title, "#222") + "".join(_text(x, 38, name, "#666") for x, name in heads)
    height = y + 58
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f"{head}{''.join(rows)}{_memory(described['memory'], y + 8)}</svg>"
    )


def _row(layer: Mapping[str, Any], y: int) -> str:
    kind, padding = layer["kind"], layer["padding"]
    shape = f"{layer['nodes']:,}" if kind == "input" else f"{layer['elements']:,} → {layer['nodes']:,}"
    texts = [
        (34, f"layer {layer['index']}"),
        (110, layer["kernel"]),
        (190, f"{layer['groups']:,}"),
        (300, shape),
        (446, _percent(padding)),
        (570, f"{layer['parameter_bytes']:,} + {layer['value_bytes']:,} a sample"),
    ]
    bar = f'<rect x="440" y="{y + 2}" width="110" height="16" fill="#eee"/>'
    bar += f'<rect x="440" y="{y + 2}" width="{110 * padding:.1f}" height="16" fill="#f0b98d"/>'
    return (
        f"<g><title>{escape(layer['why'])}</title>"
        f'<rect x="12" y="{y + 2}" width="16" height="16" rx="{8 if kind == "sum" else 3}" fill="{_COLOR[kind]}"/>'
        f'<text x="20" y="{y + 14}" fill="#fff" text-anchor="middle">{_SYMBOL[kind]}</text>'
        f"{bar}{''.join(_text(x, y + 14, text, '#222') for x, text in texts)}</g>"
    )


def _memory(memory: list[Mapping[str, Any]], y: int) -> str:
    total = max(1, sum(entry["bytes"] for entry in memory))
    pieces = ""
    for entry in memory:
        left, width = 12 + 736 * entry["offset"] / total, 736 * entry["bytes"] / total
        pieces += f'<rect x="{left:.2f}" y="{y}" width="{width:.2f}" height="16" fill="{_PURPOSE[entry["purpose"]]}">'
        pieces += f"<title>{escape(entry['name'])}: {entry['bytes']:,} bytes</title></rect>"
    sums = {purpose: sum(e["bytes"] for e in memory if e["purpose"] == purpose) for purpose in _PURPOSE}
    words, x = "", 12
    for purpose, size in sums.items():
        words += f'<rect x="{x}" y="{y + 24}" width="10" height="10" fill="{_PURPOSE[purpose]}"/>'
        words += _text(x + 16, y + 33, f"{purpose} {size:,} bytes", "#222")
        x += 240
    return pieces + words


def _text(x: float, y: float, text: str, fill: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{fill}">{escape(str(text))}</text>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.0095 else f"{100 * share:.1f} %"
