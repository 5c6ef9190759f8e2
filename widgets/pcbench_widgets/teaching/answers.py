"""Answers about circuits that are too large for the view: pcbench's own passes and queries, one row at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import pcbench
from pcbench import Circuit, Evidence, Model
from pcbench.errors import OptionError
from pcbench.execute.model_views import flows, node_values

from .marks import evidence_of, queried
from .paths import best_path, sample_path

MOST_BLOCKS = 4000
"""Of larger circuits only the answers are shown, and no numbers on the blocks."""
MOST_QUERIES = 12
MOST_SAMPLES = 10_000
_SHOWN = 5

Answer = tuple[dict[str, Any], list[bytes]]


class Answers:
    """Answers for one model; the marks come with every question."""

    def __init__(self, given: Circuit | Model) -> None:
        self.model = given if isinstance(given, Model) else Model.create(pcbench.compile(given, dtype=torch.float64))

    def result(self, marks: Mapping[str, Any], output: int) -> Answer:
        """log p(evidence) in nats, and the posteriors that are asked for.

        With values of up to `MOST_BLOCKS` blocks as float64 buffers: least and largest log value ``[blocks, 2]``, flow of
        each block ``[blocks]``, and of each of its edges to a child, in order ``[edges]``.
        """
        circuit = self.model.circuit
        evidence = evidence_of(circuit, marks)
        log = _output(pcbench.log_likelihood(self.model, evidence), output)
        body = {"log": log if math.isfinite(log) else None, "posteriors": self._posteriors(evidence, marks, output)}
        if len(circuit.blocks) > MOST_BLOCKS:
            return body, []
        values = node_values(self.model, evidence)
        seeds = torch.zeros(1, circuit.num_outputs, dtype=torch.float64)
        seeds[0, output] = 1
        nodes, edges = flows(self.model, evidence, seeds)
        ranges = torch.stack([torch.stack([values[b].min(), values[b].max()]) for b in circuit.blocks])
        passing = torch.stack([nodes[b].sum() for b in circuit.blocks])
        through = torch.tensor([float(edges[b, k]) for b in circuit.blocks for k in range(len(b.children))])
        return body, [_bytes(tensor) for tensor in (ranges, passing, through)]

    def path(self, marks: Mapping[str, Any], output: int, kind: str, seed: int, row: int) -> Answer:
        """The best tree (`kind` "mpe"), or the path of a sample.

        With buffers: log values ``[blocks]``, 0 or 1 for each block ``[blocks]`` and edge ``[edges]``, and which node of each
        block is on the path ``[blocks]``, −1 for none.
        """
        circuit = self.model.circuit
        if len(circuit.blocks) > MOST_BLOCKS:
            raise OptionError(
                f"paths are drawn through at most {MOST_BLOCKS:,} blocks; this circuit has {len(circuit.blocks):,}"
            )
        evidence = evidence_of(circuit, marks)
        best = kind == "mpe"
        found = best_path(self.model, evidence, output) if best else sample_path(self.model, evidence, output, seed, row)
        body = {"dice": [list(die) for die in found.dice], "state": found.state}
        return body, [_bytes(tensor) for tensor in (found.up, found.node, found.edge, found.unit)]

    def _posteriors(self, evidence: Evidence, marks: Mapping[str, Any], output: int) -> list[dict[str, Any]]:
        circuit = self.model.circuit
        asked = queried(circuit, marks)[:MOST_QUERIES]
        if not asked or not math.isfinite(_output(pcbench.log_likelihood(self.model, evidence), output)):
            return []
        found = pcbench.conditional(self.model, evidence, asked, output=output)
        out = []
        for name in asked:
            posterior = found[name]
            entry: dict[str, Any] = {"variable": circuit.variables[name].index}
            if posterior.probabilities is None:
                entry |= {"mean": float(posterior.mean[0]), "deviation": math.sqrt(float(posterior.variance[0]))}
            else:
                entry["probabilities"] = posterior.probabilities[0].tolist()
            out.append(entry)
        return out

    def best(self, marks: Mapping[str, Any], output: int) -> dict[str, Any]:
        """The most probable completion; `log` is that of the circuit at it."""
        found = pcbench.mpe(self.model, evidence_of(self.model.circuit, marks), output=output)
        state = found.state[0].tolist()
        return {"state": state, "log": float(found.log_probability[0]), "exact": found.exact, "note": found.note}

    def sample(self, marks: Mapping[str, Any], output: int, count: int, seed: int) -> dict[str, Any]:
        """The first few of `count` samples given the evidence, and the mean of each variable over all of them."""
        evidence = evidence_of(self.model.circuit, marks)
        count = max(1, min(count, MOST_SAMPLES))
        rows = pcbench.sample(self.model, count, evidence, seed=seed, output=output)[0].double()
        return {"count": count, "rows": rows[:_SHOWN].tolist(), "means": rows.mean(0).tolist()}


def _output(logs: torch.Tensor, output: int) -> float:
    return float(logs.reshape(-1)[output])


def _bytes(tensor: torch.Tensor) -> bytes:
    return np.ascontiguousarray(tensor.double().numpy(), dtype="<f8").tobytes()
