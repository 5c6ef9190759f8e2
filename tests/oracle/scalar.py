"""Circuits one node at a time with Python floats, in linear space, straight from the definitions.

Slow and simple on purpose: it is what the array oracle is held against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pcbench import Circuit, InputBlock, ProductBlock

from .passes import Rows, Values, dense_weights

Key = tuple[Any, int]


@dataclass(frozen=True)
class Node:
    """One node: a leaf, a product, or a sum (then with a weight for each child)."""

    kind: str
    children: tuple[Key, ...] = ()
    weights: tuple[float, ...] = ()


def expand(circuit: Circuit, values: Values) -> dict[Key, Node]:
    """Blocks → nodes, children before parents."""
    nodes: dict[Key, Node] = {}
    for block in circuit.blocks:
        for n in range(block.nodes):
            if isinstance(block, InputBlock):
                nodes[block, n] = Node("leaf")
            elif isinstance(block, ProductBlock):
                picks = [n] * len(block.children) if block.index is None else block.index[n].tolist()
                nodes[block, n] = Node("product", tuple(zip(block.children, picks, strict=True)))
            else:
                elements = [(child, i) for child in block.children for i in range(child.nodes)]
                weights = dense_weights(block, values)[n].tolist()
                nodes[block, n] = Node("sum", tuple(elements), tuple(weights))
    return nodes


def mass(family: Any, parameters: list[float], x: float) -> float:
    """Density or mass of one leaf at ``x``, written out."""
    if family.name == "categorical":
        return parameters[int(x)]
    if family.name == "bernoulli":
        return parameters[0] if x == 1 else 1 - parameters[0]
    if family.name == "binomial":
        k, p = int(x), parameters[0]
        return math.comb(family.trials, k) * p**k * (1 - p) ** (family.trials - k)
    if family.name == "gaussian":
        mean, variance = parameters
        return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    raise NotImplementedError(family.name)


def evaluate(
    circuit: Circuit, values: Values, rows: Rows, row: int, factors: Mapping[Key, float] | None = None
) -> dict[Key, float]:
    """Linear value of every node for one row; ``factors`` multiply the values of single nodes (to differentiate by them)."""
    factors = factors or {}
    out: dict[Key, float] = {}
    for key, node in expand(circuit, values).items():
        block, n = key
        if node.kind == "leaf":
            column = block.variable.index
            parameters = values[block.parameter][:, n].tolist()
            if column in rows.soft:
                likelihood = rows.soft[column][row].tolist()
                value = math.fsum(s * mass(block.distribution, parameters, c) for c, s in enumerate(likelihood))
            elif rows.observed[row, column]:
                value = mass(block.distribution, parameters, float(rows.values[row, column]))
            else:
                value = 1.0
        elif node.kind == "product":
            value = math.prod(out[c] for c in node.children)
        else:
            value = math.fsum(w * out[c] for w, c in zip(node.weights, node.children, strict=True))
        out[key] = value * factors.get(key, 1.0)
    return out


def likelihood(circuit: Circuit, values: Values, rows: Rows, row: int, factors: Mapping[Key, float] | None = None) -> float:
    """Product of the likelihoods of all root nodes for one row."""
    found = evaluate(circuit, values, rows, row, factors)
    return math.prod(found[root, n] for root in circuit.roots for n in range(root.nodes))


def flow(circuit: Circuit, values: Values, rows: Rows, row: int, key: Key, step: float = 1e-5) -> float:
    """d Σ_roots log-likelihood / d log value of one node, by a central difference."""
    up = likelihood(circuit, values, rows, row, {key: math.exp(step)})
    down = likelihood(circuit, values, rows, row, {key: math.exp(-step)})
    return (math.log(up) - math.log(down)) / (2 * step)
