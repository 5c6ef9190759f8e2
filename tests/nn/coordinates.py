"""Unconstrained coordinates of a circuit's parameters in NumPy, and the oracle's log-likelihood as a function of them.

Everything is in the circuit's own shapes; what a parameter has at its border (a weight of zero, a probability of 0 or 1)
has an infinite coordinate, and no direction moves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcbench import Circuit, InputBlock, SumBlock
from pcbench.nn import CircuitModule

from .. import oracle
from ..oracle.densities import Array
from ..oracle.learning import stored


def holders(circuit: Circuit) -> dict[Any, Any]:
    """One block for each parameter."""
    return {b.parameter: b for b in circuit.blocks if isinstance(b, InputBlock | SumBlock)}


def _node_of_edges(block: SumBlock) -> np.ndarray:
    elements = sum(c.nodes for c in block.children)
    return stored(block, np.repeat(np.arange(block.nodes)[:, None], elements, 1))


def to_free(block: Any, value: Array) -> Array:
    with np.errstate(divide="ignore"):
        if isinstance(block, SumBlock) or block.distribution.name == "categorical":
            return np.log(value)
        if block.distribution.name == "gaussian":
            return np.stack((value[0], np.log(value[1] - block.distribution.min_variance)))
        return np.log(value) - np.log1p(-value)


def from_free(block: Any, free: Array) -> Array:
    if isinstance(block, SumBlock):
        node, raised = _node_of_edges(block), np.exp(free)
        return raised / np.bincount(node.ravel(), raised.ravel(), minlength=block.nodes)[node]
    if block.distribution.name == "categorical":
        raised = np.exp(free)
        return raised / raised.sum(0)
    if block.distribution.name == "gaussian":
        return np.stack((free[0], block.distribution.min_variance + np.exp(free[1])))
    return 1 / (1 + np.exp(-free))


class Objective:
    """``Σ upstream · log-likelihood`` over rows and outputs of positive probability."""

    def __init__(self, circuit: Circuit, values: dict[Any, Array], rows: oracle.Rows, upstream: Array) -> None:
        self._circuit, self._values, self._rows = circuit, values, rows
        self._blocks = holders(circuit)
        found = oracle.log_likelihood(circuit, values, rows)
        self._upstream, self._possible = upstream, np.isfinite(found)
        self.free = {p: to_free(b, values[p]) for p, b in self._blocks.items() if p.trainable}

    def direction(self, rng: np.random.Generator) -> dict[Any, Array]:
        return {p: np.where(np.isfinite(f), rng.normal(size=f.shape), 0.0) for p, f in self.free.items()}

    def at(self, direction: dict[Any, Array], step: float, rows: oracle.Rows | None = None) -> float:
        moved = {p: from_free(self._blocks[p], f + step * direction[p]) for p, f in self.free.items()} if direction else {}
        found = oracle.log_likelihood(self._circuit, {**self._values, **moved}, rows or self._rows)
        return float((np.where(self._possible, found, 0.0) * self._upstream).sum())

    def slope(self, direction: dict[Any, Array], step: float = 1e-5) -> float:
        """Derivative along a direction, by a central difference."""
        return (self.at(direction, step) - self.at(direction, -step)) / (2 * step)


def gradients(module: CircuitModule) -> dict[Any, Array]:
    """``grad`` of a module's tensors, in the shapes of the circuit's parameters."""
    out = {}
    for kind, tables in (("sum", module.program.sum_tables), ("leaf", module.program.leaf_tables)):
        for t, table in enumerate(tables):
            learnt = [p for p in table.parameters if p.trainable]
            tensor = getattr(module, f"{kind}_{t}", None)
            assert (tensor is not None) == bool(learnt)
            for row, parameter in enumerate(learnt):
                grad = tensor.grad[row]
                if kind == "sum":
                    grad = table.choice.kernel.unpack(grad).reshape(parameter.shape)
                out[parameter] = grad.double().numpy()
    return out
