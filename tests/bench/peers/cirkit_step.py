"""cirkit 0.3.0: log-sum-exp semiring, folded and optimised (its fast way), CP-T layers, softmax parameters, Adam.

``cirkit_step.py --plan FILE`` writes the plan of its random binary tree instead, for the others to build.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
import worker
from cirkit.pipeline import PipelineContext
from cirkit.symbolic.layers import SumLayer
from cirkit.templates.region_graph import RandomBinaryTree, RegionGraph, RegionNode
from cirkit.templates.region_graph.algorithms.utils import tree2rg
from cirkit.templates.utils import Parameterization, name_to_input_layer_factory, parameterization_to_factory
from shapes import CATEGORIES, VARIABLES, Plan


def random_tree() -> RegionGraph:
    return RandomBinaryTree(VARIABLES, depth=9, num_repetitions=1)


def plan_of(graph: RegionGraph) -> Plan:
    """Regions with one partition each, children first."""
    plan: Plan = []
    place: dict[RegionNode, int] = {}
    for region in graph.topological_ordering():
        if isinstance(region, RegionNode):
            partitions = graph.region_inputs(region)
            below = [place[c] for c in graph.partition_inputs(partitions[0])] if partitions else []
            place[region] = len(plan)
            plan.append({"vars": [] if below else sorted(region.scope), "below": below, "sum": bool(below)})
    return plan


def build(config: dict[str, Any]) -> tuple[worker.Step, dict[str, Any]]:
    if config["model"] == "hclt":
        with open(config["tree"]) as file:
            graph = tree2rg(np.array(json.load(file)))
    else:
        graph = random_tree()
    softmax = Parameterization(activation="softmax", initialization="normal")
    symbolic = graph.build_circuit(
        input_factory=name_to_input_layer_factory("categorical", num_categories=CATEGORIES),
        sum_product="cp-t",
        sum_weight_factory=parameterization_to_factory(softmax),
        num_input_units=config["nodes"],
        num_sum_units=config["nodes"],
        num_classes=1,
        factorize_multivariate=True,
    )
    edges = sum(s.arity * s.num_input_units * s.num_output_units for s in symbolic.layers if isinstance(s, SumLayer))
    circuit = PipelineContext(backend="torch", semiring="lse-sum", fold=True, optimize=True).compile(symbolic)
    optimizer = torch.optim.Adam(circuit.parameters(), lr=0.01)
    batch = torch.from_numpy(np.load(config["data"]))

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = circuit(batch).mean()
        (-value).backward()
        optimizer.step()
        return float(value)

    return step, {"edges": edges}


if __name__ == "__main__":
    if sys.argv[1] == "--plan":
        with open(sys.argv[2], "w") as out:
            json.dump(plan_of(random_tree()), out)
    else:
        worker.serve(build)
