"""What travels between Python and the view: names and shapes as JSON, numbers as binary buffers.

Python's half of widgets/src/workbench/protocol.ts. Every function gives a message and its buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .points import HEAD, STATISTICS, Point

KINDS = ("input", "product", "sum")
Message = tuple[dict[str, Any], list[bytes]]

_MOST_RANGES = 6


def scope_text(scope: Sequence[int], names: Sequence[str]) -> str:
    """A scope in few words: runs of neighbouring variables are joined, a long list is cut.

    >>> scope_text([0, 1, 2, 5], ["a", "b", "c", "d", "e", "f"])
    'a–c, f'
    """
    runs: list[list[int]] = []
    for index in sorted(scope):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [names[a] if a == b else f"{names[a]}–{names[b]}" for a, b in runs[:_MOST_RANGES]]
    return ", ".join(texts) + (", …" if len(runs) > _MOST_RANGES else "")


def circuit_message(rev: int, described: Mapping[str, Any] | None) -> Message:
    """`described` is what `pcbench.circuit.describe` gives; None takes the circuit off the screen."""
    if described is None:
        return {"type": "circuit", "rev": rev}, []
    blocks = described["blocks"]
    names = [variable["name"] for variable in described["variables"]]
    position = {block["id"]: i for i, block in enumerate(blocks)}
    table = np.array([[b["id"], KINDS.index(b["kind"]), b["nodes"], b["level"], len(b["scope"])] for b in blocks], dtype="<i4")
    parameters = np.array([b["parameters"] for b in blocks], dtype="<f8")
    edges = np.array([[position[child], position[parent]] for child, parent in described["edges"]], dtype="<i4")
    head = {
        "type": "circuit",
        "rev": rev,
        "names": [b["name"] for b in blocks],
        "scopes": [scope_text(b["scope"], names) for b in blocks],
        "details": [b["detail"] for b in blocks],
        "roots": list(described["roots"]),
        "variables": len(names),
    }
    return head, [table.tobytes(), parameters.tobytes(), edges.tobytes()]


def program_message(rev: int, described: Mapping[str, Any] | None) -> Message:
    """`described` is what `Program.describe` gives. Block ids are many, and travel as numbers."""
    if described is None:
        return {"type": "program", "rev": rev}, []
    layers = [
        {**{key: value for key, value in layer.items() if key != "blocks"}, "block_count": len(layer["blocks"])}
        for layer in described["layers"]
    ]
    ids = np.array([block for layer in described["layers"] for block in layer["blocks"]], dtype="<i4")
    return {"type": "program", "rev": rev, "program": {**described, "layers": layers}}, [ids.tobytes()]


def points_message(run: int, points: Sequence[Point], *, reset: bool) -> Message:
    columns = sorted({name for point in points for name in point.metrics})
    head = np.empty((len(points), len(HEAD)), dtype="<f8")
    body = np.full((len(points), len(columns), len(STATISTICS)), np.nan, dtype="<f8")
    for i, point in enumerate(points):
        head[i] = (point.first, point.last, point.step, point.epoch, point.time)
        for c, name in enumerate(columns):
            if name in point.metrics:
                body[i, c] = point.metrics[name].row()
    message = {"type": "points", "run": run, "reset": reset, "columns": columns, "count": len(points)}
    return message, [head.tobytes(), body.tobytes()]


def log_message(run: int, entries: Iterable[Mapping[str, Any]], *, reset: bool) -> Message:
    return {"type": "log", "run": run, "reset": reset, "entries": [dict(entry) for entry in entries]}, []
