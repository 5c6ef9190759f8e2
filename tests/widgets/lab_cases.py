"""The lab's shared fixture, `lab.json`: circuits as the view gets them, evidence, and the answers of the oracle.

Python's tests hold pcbench against it, vitest the TypeScript evaluator. `python -m tests.widgets.lab_cases` writes it anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from pcbench import (
    Binomial,
    Categorical,
    Circuit,
    Finite,
    Gaussian,
    InputBlock,
    Parameter,
    ProductBlock,
    Real,
    SumBlock,
    Variables,
)
from pcbench.circuit import initial_values
from pcbench_widgets.builder.templates import naive_bayes, parity, two_coins
from pcbench_widgets.teaching.marks import Marks, evidence_of
from pcbench_widgets.teaching.wire import Subject, lesson
from tests.oracle.passes import Rows, best_values, node_flows, node_values, numbers
from tests.oracle.worlds import Joint
from tests.strategies import Grower

FIXTURE = Path(__file__).parent / "lab.json"
SEEDS = range(6)


def grown(seed: int) -> Circuit:
    """A random circuit over two to four finite variables, with sharing, ties, holes and blocks of several nodes."""
    draw = Random(seed)
    over = Variables([Finite(draw.choice([2, 2, 3])) for _ in range(draw.randint(2, 4))])
    grower = Grower(draw, over, np.random.default_rng(seed), max_nodes=2, max_depth=3)
    top = grower.grow(range(len(over)))
    return Circuit(grower.sum_over([top], 1), over)


def mixed() -> Circuit:
    """Real, many-valued and counted variables in one circuit."""
    v = Variables([Real(), Finite(5), Finite(4)], ["height", "shoe", "steps"])
    value = torch.tensor
    leaves = [
        InputBlock(v[0], Gaussian(), 2, Parameter((2, 2), value([[165.0, 180.0], [49.0, 64.0]], dtype=torch.float64)), "h"),
        InputBlock(v[1], Categorical(5), 2, Parameter((5, 2), value([[3, 1], [4, 1], [2, 2], [1, 4], [0, 2]]) / 10.0), "s"),
        InputBlock(v[2], Binomial(3), 2, Parameter((1, 2), value([[0.3, 0.8]], dtype=torch.float64)), "n"),
    ]
    top = SumBlock([ProductBlock(leaves, name="person")], 1, parameter=Parameter((1, 2), value([[0.55, 0.45]])), name="root")
    return Circuit(top, v)


def marks_for(circuit: Circuit, seed: int) -> Marks:
    """Each variable open, observed, asked for, or told softly."""
    draw, marks = Random(1000 + seed), Marks()
    for variable in circuit.variables:
        size = variable.domain.size if isinstance(variable.domain, Finite) else None
        kind = draw.choice(["open", "value", "query", "soft"])
        if kind == "value":
            marks[variable.name] = {"kind": "value", "value": draw.gauss(170, 10) if size is None else draw.randrange(size)}
        elif kind == "query":
            marks[variable.name] = {"kind": "query"}
        elif kind == "soft" and size is not None:
            marks[variable.name] = {"kind": "soft", "weights": [round(0.05 + draw.random(), 3) for _ in range(size)]}
    return marks


def circuits() -> dict[str, Circuit]:
    named = {"two coins": two_coins(), "naive Bayes": naive_bayes(), "parity": parity(), "mixed": mixed()}
    return named | {f"grown {seed}": grown(seed) for seed in SEEDS}


def case(name: str, circuit: Circuit, marks: Marks) -> dict[str, Any]:
    """A circuit, its marks, and what the oracle says: logs of all nodes, flows, best logs."""
    values = numbers(initial_values(circuit))
    rows = Rows.of(evidence_of(circuit, marks))
    logs = node_values(circuit, values, rows)
    expected: dict[str, Any] = {
        "up": _flat(circuit, logs),
        "flows": _flat(circuit, node_flows(circuit, values, rows, logs=logs)),
        "best": _flat(circuit, best_values(circuit, values, rows)),
    }
    if circuit.variables.all_finite and math.isfinite(float(logs[circuit.roots[0]][0, 0])):
        joint = Joint(circuit, values)
        asked = [name for name, mark in marks.items() if mark["kind"] == "query"]
        expected["posteriors"] = {name: joint.conditional(rows, 0, circuit.variables[name].index).tolist() for name in asked}
        expected["most"] = joint.best(rows, 0)[1]
    wire = lesson(Subject.of(circuit), name)
    return {"lesson": wire | {"source": None}, "marks": marks, "expected": expected}


def _flat(circuit: Circuit, found: Any) -> list[float | None]:
    numbers = [float(x) for block in circuit.blocks for x in found[block][0]]
    return [x if math.isfinite(x) else None for x in numbers]


def fixture() -> list[dict[str, Any]]:
    out = []
    for i, (name, circuit) in enumerate(circuits().items()):
        out.append(case(name, circuit, {}))
        marked = (2 * i, 2 * i + 1)
        out += [case(f"{name}, marked {seed}", circuit, marks_for(circuit, seed)) for seed in marked]
    return out


def samples() -> list[dict[str, Any]]:
    """The first samples of pcbench, which the view must draw, too."""
    import pcbench

    out, made = [], circuits()
    for entry in fixture():
        circuit = made[str(entry["lesson"]["title"]).split(", marked")[0]]
        model = pcbench.Model.create(pcbench.compile(circuit, dtype=torch.float64))
        evidence = evidence_of(circuit, entry["marks"])
        if math.isfinite(float(pcbench.log_likelihood(model, evidence)[0])):
            out.append({"seed": 7, "rows": pcbench.sample(model, 20, evidence, seed=7)[0].tolist()})
        else:
            out.append({"seed": 7, "rows": []})
    return out


def whole() -> list[dict[str, Any]]:
    return [{**entry, "samples": drawn} for entry, drawn in zip(fixture(), samples(), strict=True)]


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in whole())
    FIXTURE.write_text(f"[\n{lines}\n]\n")
