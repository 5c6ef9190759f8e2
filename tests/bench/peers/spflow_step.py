"""SPFlow 1.1.0: RAT-SPN (random regions of its own, same depth and counts) and HCLT on the shared tree, Adam.

Its EM takes longer than Adam (3.4 s against 5.7 s a step for the RAT-SPN with K = 16), so Adam stands for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
import worker
from shapes import CATEGORIES, VARIABLES
from spflow.meta import Scope
from spflow.modules.leaves import Categorical
from spflow.modules.leaves.leaf import LeafModule
from spflow.modules.module import Module
from spflow.zoo.hclt.learn import _build_hclt_from_tree
from spflow.zoo.rat import RatSPN


def _leaves(variables: list[int], nodes: int) -> Categorical:
    return Categorical(scope=Scope(variables), out_channels=nodes, num_repetitions=1, K=CATEGORIES)


def _module(config: dict[str, Any]) -> Module:
    nodes = config["nodes"]
    if config["model"] == "rat":
        leaves = _leaves(list(range(VARIABLES)), nodes)
        return RatSPN([leaves], n_root_nodes=1, n_region_nodes=nodes, num_repetitions=1, depth=9, outer_product=False)
    with open(config["tree"]) as file:
        tree = json.load(file)
    # Its public function learns the tree from data and takes minutes for 784 variables; this one takes our tree.
    return _build_hclt_from_tree(
        num_features=VARIABLES,
        edges=[(p, v) for v, p in enumerate(tree) if p >= 0],
        num_hidden_cats=nodes,
        emission_factory=lambda v: _leaves([v], nodes),
        init="uniform",
        device=None,
        dtype=None,
    )


def build(config: dict[str, Any]) -> tuple[worker.Step, dict[str, Any]]:
    sys.setrecursionlimit(20_000)  # it walks the tree recursively
    module = _module(config)
    in_leaves = {p for m in module.modules() if isinstance(m, LeafModule) for p in m.parameters()}
    edges = sum(p.numel() for p in module.parameters() if p not in in_leaves)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    batch = torch.from_numpy(np.load(config["data"])).float()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = module.log_likelihood(batch).sum() / len(batch)
        (-value).backward()
        optimizer.step()
        return float(value)

    return step, {"edges": edges}


if __name__ == "__main__":
    worker.serve(build)
