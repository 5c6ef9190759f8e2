"""Our step: expectation (forward and backward) and a mini-batch EM update."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import reference
import torch
import worker
from shapes import CATEGORIES, VARIABLES, Plan

import pcbench as pcb
from pcbench.execute import Statistics, Workspace, expectation, forward, maximise

#: Largest relative difference that float32 may make (the bar of the property tests).
TOLERANCE = 1e-4


def circuit_of(plan: Plan, nodes: int) -> tuple[pcb.Circuit, dict[int, pcb.InputBlock], dict[int, pcb.SumBlock]]:
    """A circuit, its input block of every variable, and the sum block of every region that has one."""
    variables = pcb.Variables.finite(VARIABLES, CATEGORIES)
    inputs = {v.index: pcb.InputBlock(v, pcb.Categorical(CATEGORIES), nodes) for v in variables}
    sums: dict[int, pcb.SumBlock] = {}
    blocks: list[pcb.Block] = []
    for r, region in enumerate(plan):
        factors: list[pcb.Block] = [inputs[v] for v in region["vars"]]  # type: ignore[attr-defined]
        factors += [blocks[c] for c in region["below"]]  # type: ignore[attr-defined]
        block = factors[0] if len(factors) == 1 else pcb.ProductBlock(factors)
        if region["sum"]:
            block = sums[r] = pcb.SumBlock([block], 1 if r == len(plan) - 1 else nodes)
        blocks.append(block)
    return pcb.Circuit(blocks[-1]), inputs, sums


def build(config: dict[str, Any]) -> tuple[worker.Step, dict[str, Any]]:
    with open(config["plan"]) as file:
        plan = json.load(file)
    circuit, inputs, sums = circuit_of(plan, config["nodes"])
    program = pcb.compile(circuit)
    model, spare = pcb.Model.create(program), None
    batch = torch.from_numpy(np.load(config["data"]))

    values = model.values()
    expected = reference.log_likelihood(
        plan,
        batch[:8].numpy(),
        {v: values[b.parameter].double().numpy() for v, b in inputs.items()},
        {r: values[b.parameter].double().numpy() for r, b in sums.items()},
    )
    found = forward(model, batch[:8])[:, 0].numpy()
    difference = float(np.abs(found / expected - 1).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"log-likelihoods {found} differ from the reference's {expected}: not timed")
    del values

    workspace, statistics = Workspace(), Statistics.zeros(program)

    def step() -> float:
        nonlocal model, spare
        _, value = expectation(model, batch, workspace, statistics.reset())
        model, spare = maximise(model, statistics, step_size=0.1, pseudocount=0.01, recycle=spare), model
        return float(value.mean())

    return step, {"edges": circuit.num_edges, "difference": difference}


if __name__ == "__main__":
    worker.serve(build)
