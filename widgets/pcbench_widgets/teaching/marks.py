"""What is known about each variable, as the lab's view says it: `{"kind": "value" | "soft" | "query", …}` by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pcbench import Circuit, Evidence
from pcbench.errors import DataError

Marks = dict[str, dict[str, Any]]


def evidence_of(circuit: Circuit, marks: Mapping[str, Mapping[str, Any]]) -> Evidence:
    """One row of evidence; variables that are not marked, or asked for, are marginalised.

    Raises:
        PCBenchError: for a variable, a value or a likelihood that does not fit the circuit.
    """
    variables = circuit.variables
    values = torch.zeros(1, len(variables), dtype=torch.float64)
    observed = torch.zeros(1, len(variables), dtype=torch.bool)
    soft = {}
    for name, mark in marks.items():
        index = variables[name].index
        if mark["kind"] == "value":
            values[0, index], observed[0, index] = float(mark["value"]), True
        elif mark["kind"] == "soft":
            soft[index] = torch.tensor([mark["weights"]], dtype=torch.float64)
    evidence = Evidence(values, observed, soft)
    evidence.check(variables)
    return evidence


def marks_of(circuit: Circuit, evidence: Mapping[str, object], query: Sequence[str] = ()) -> Marks:
    """From what a person writes: a number observes a variable, a list of likelihoods is soft evidence on it.

    Raises:
        PCBenchError: for a variable, a value or a likelihood that does not fit the circuit.
    """
    marks: Marks = {}
    for name, told in evidence.items():
        if isinstance(told, bool) or not isinstance(told, (int, float, Sequence)) or isinstance(told, str):
            raise DataError(f"evidence on {name!r} is a number, or a list of likelihoods, got {told!r}")
        if isinstance(told, Sequence):
            marks[name] = {"kind": "soft", "weights": [float(weight) for weight in told]}
        else:
            marks[name] = {"kind": "value", "value": told}
    for name in query:
        if circuit.variables[name].name in marks:
            raise DataError(f"{name!r} is given and asked for; leave it out of one of the two")
        marks[name] = {"kind": "query"}
    evidence_of(circuit, marks)
    return marks


def told_by(marks: Mapping[str, Mapping[str, Any]]) -> dict[str, object]:
    """The evidence of marks, as `marks_of` takes it."""
    given = {"value": "value", "soft": "weights"}
    return {name: mark[given[mark["kind"]]] for name, mark in marks.items() if mark["kind"] in given}


def queried(circuit: Circuit, marks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Variables that are asked for, in column order."""
    return [v.name for v in circuit.variables if marks.get(v.name, {}).get("kind") == "query"]
