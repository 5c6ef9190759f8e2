"""One EM step by definition: expected counts from flows, then the update of each family in its mean parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pcbench import Circuit, InputBlock, SumBlock

from .densities import Array, from_moments, log_table, moments, prior_moments, sufficient
from .passes import Rows, Values, edge_shares, node_flows, node_values


@dataclass
class Counts:
    """Expected counts by parameter.

    ``edges``: the flow through every edge, in the shape in which the weights are stored. ``leaves``: total flow ``[N]`` and
    flow-weighted sufficient statistics ``[T, N]``, over rows in which the leaf's variable was observed,
    or weighed by soft evidence.
    """

    edges: dict[Any, Array]
    leaves: dict[Any, tuple[Array, Array]]

    def __add__(self, other: Counts) -> Counts:
        edges = {p: e + other.edges[p] for p, e in self.edges.items()}
        leaves = {p: (t + other.leaves[p][0], s + other.leaves[p][1]) for p, (t, s) in self.leaves.items()}
        return Counts(edges, leaves)


def stored(block: SumBlock, full: Array) -> Array:
    """The cells of ``[N, E]`` that are edges, in the shape in which the weights are stored."""
    edges, kind = block.edges, type(block.edges).__name__
    if kind == "Dense":
        return full
    rows, cols = edges.rows.numpy(), edges.cols.numpy()  # type: ignore[union-attr]
    if kind == "Sparse":
        return full[rows, cols]
    t = edges.tile  # type: ignore[union-attr]
    return np.stack([full[r * t : (r + 1) * t, c * t : (c + 1) * t] for r, c in zip(rows, cols, strict=True)])


def expected_counts(circuit: Circuit, values: Values, rows: Rows) -> Counts:
    """The E step. What is tied is counted once for every place where it is used."""
    logs = node_values(circuit, values, rows)
    flows = node_flows(circuit, values, rows, logs=logs)
    counts = Counts({}, {})
    for block in circuit.blocks:
        if isinstance(block, SumBlock):
            full = np.einsum("bn,bne->ne", flows[block], edge_shares(block, values, logs))
            part = stored(block, full)
            counts.edges[block.parameter] = counts.edges.get(block.parameter, 0) + part
        elif isinstance(block, InputBlock):
            seen = rows.observed[:, block.variable.index]
            flow = flows[block][seen]
            statistic = sufficient(block.distribution, rows.values[seen, block.variable.index]).T @ flow
            if block.variable.index in rows.soft:
                flow = flows[block]
                by_value = np.einsum("bn,bcn->cn", flow, value_shares(block, values, rows.soft[block.variable.index]))
                statistic = sufficient(block.distribution, np.arange(len(by_value), dtype=np.float64)).T @ by_value
            total, held = counts.leaves.get(block.parameter, (0, 0))
            counts.leaves[block.parameter] = (total + flow.sum(0), held + statistic)
    return counts


def value_shares(block: InputBlock, values: Values, likelihood: Array) -> Array:
    """p(value | node, soft evidence): ``[B, C, N]``."""
    masses = np.exp(log_table(block.distribution, values[block.parameter], likelihood.shape[1]))
    joint = likelihood[:, :, None] * masses[None]
    total = joint.sum(1, keepdims=True)
    return joint / np.where(total > 0, total, 1.0)


def maximised(circuit: Circuit, values: Values, counts: Counts, step: float = 1.0, alpha: float = 0.0) -> dict[Any, Array]:
    """The M step: parameters after one (mini-batch) EM step."""
    out: dict[Any, Array] = {}
    for block in circuit.blocks:
        if isinstance(block, SumBlock) and block.parameter not in out:
            old = values[block.parameter]
            out[block.parameter] = _weights(block, old, counts.edges[block.parameter], step, alpha)
        elif isinstance(block, InputBlock) and block.parameter not in out:
            old = values[block.parameter]
            out[block.parameter] = _leaves(block.distribution, old, *counts.leaves[block.parameter], step, alpha)
    for parameter in circuit.parameters:
        if not parameter.trainable:
            out[parameter] = values[parameter]
    return out


def _node_of_edges(block: SumBlock) -> np.ndarray:
    """Node of every stored weight."""
    elements = sum(c.nodes for c in block.children)
    return stored(block, np.repeat(np.arange(block.nodes)[:, None], elements, 1))


def _weights(block: SumBlock, old: Array, flow: Array, step: float, alpha: float) -> Array:
    node = _node_of_edges(block)
    total = np.bincount(node.ravel(), flow.ravel(), minlength=block.nodes)[node]
    degree = np.bincount(node.ravel(), minlength=block.nodes)[node]
    empty = total + alpha <= 0
    fresh = (flow + alpha / degree) / np.where(empty, 1.0, total + alpha)
    return np.where(empty, old, (1 - step) * old + step * fresh)


def _leaves(family: Any, old: Array, total: Array, statistic: Array, step: float, alpha: float) -> Array:
    empty = total + alpha <= 0
    batch = (statistic + alpha * prior_moments(family, old)) / np.where(empty, 1.0, total + alpha)
    fresh = from_moments(family, (1 - step) * moments(family, old) + step * batch)
    return np.where(empty, old, fresh)
