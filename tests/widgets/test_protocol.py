"""The messages that the view reads, word for word: tests/widgets/protocol.json is read by the view's tests too.

After a wanted change of the protocol: python -m tests.widgets.test_protocol
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from pcbench_widgets.points import Point, Summary
from pcbench_widgets.protocol import (
    circuit_message,
    points_message,
    program_message,
    scope_text,
)

FIXTURE = Path(__file__).with_name("protocol.json")


def block(number: int, kind: str, name: str, nodes: int, scope: list[int], level: int, parameters: int) -> dict[str, Any]:
    return {
        "id": number,
        "kind": kind,
        "name": name,
        "nodes": nodes,
        "scope": scope,
        "level": level,
        "parameters": parameters,
        "detail": "",
    }


CIRCUIT = {
    "variables": [{"index": i, "name": f"x{i}", "domain": "0…1"} for i in range(2)],
    # Ids with gaps: an id is a name and never a position. And more parameters than 32 bits can count.
    "blocks": [
        block(0, "input", "a", 2, [0], 0, 4),
        block(1, "input", "b", 2, [1], 0, 4),
        block(5, "product", "a × b", 2, [0, 1], 1, 0),
        block(7, "sum", "root", 1, [0, 1], 2, 3_000_000_000),
    ],
    "edges": [[0, 5], [1, 5], [5, 7]],
    "roots": [7],
}


def layer(index: int, kind: str, blocks: list[int]) -> dict[str, Any]:
    numbers = ("groups", "nodes", "elements", "edges", "tiles", "flops", "parameter_bytes", "value_bytes")
    return {
        "index": index,
        "kind": kind,
        "kernel": "dense",
        "why": "small",
        "rejected": [],
        "blocks": blocks,
        **dict.fromkeys(numbers, 1),
        "tile_size": 32,
        "padding": 0.0,
    }


PROGRAM = {
    "device": "cpu",
    "dtype": "float32",
    "layers": [layer(0, "input", [0, 1]), layer(1, "product", [5]), layer(2, "sum", [7])],
    "memory": [{"name": "weights", "purpose": "parameters", "offset": 0, "bytes": 64}],
    "totals": {"layers": 3},
}

POINTS = [
    Point(1, 2, 2, 0, 0.5, {"train_ll": Summary(-3.0, -1.0, -4.0, 2, -1.0)}),
    Point(3, 3, 3, 1, 0.75, {"train_ll": Summary.of([-4.0]), "valid_ll": Summary.of([-5.0])}),
]


def recorded() -> dict[str, Any]:
    messages = {
        "circuit": circuit_message(3, CIRCUIT),
        "program": program_message(2, PROGRAM),
        "points": points_message(1, POINTS, reset=False),
    }
    return {
        name: {"message": message, "buffers": [base64.b64encode(buffer).decode() for buffer in buffers]}
        for name, (message, buffers) in messages.items()
    }


def test_fixture_is_what_python_writes() -> None:
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == recorded()


def test_nothing_on_screen() -> None:
    assert circuit_message(4, None) == ({"type": "circuit", "rev": 4}, [])
    assert program_message(4, None) == ({"type": "program", "rev": 4}, [])


def test_scope_in_few_words() -> None:
    names = [f"x{i}" for i in range(40)]
    assert scope_text([3, 1, 2, 7], names) == "x1–x3, x7"
    assert scope_text([5], names) == "x5"
    assert scope_text(range(0, 40, 2), names) == "x0, x2, x4, x6, x8, x10, …"


if __name__ == "__main__":
    FIXTURE.write_text(json.dumps(recorded(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
