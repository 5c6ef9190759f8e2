"""Values, max-values and flows of every block, in log space and float64, on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pcbench import Circuit, Evidence, InputBlock, ProductBlock, SumBlock

from .densities import Array, best_log, log_density, log_table

Values = Mapping[Any, Array]


@dataclass(frozen=True)
class Rows:
    """Data for the oracle: values ``[B, V]``, which of them count ``[B, V]``, and soft likelihoods ``[B, C]`` by column."""

    values: Array
    observed: npt.NDArray[np.bool_]
    soft: Mapping[int, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> Rows:
        """From a tensor, an array, or the engine's evidence (its fields only)."""
        if not isinstance(data, Evidence):
            values = np.asarray(data, dtype=np.float64)
            return cls(values, np.ones(values.shape, dtype=bool))
        values = data.values.numpy().astype(np.float64)
        observed = np.ones(values.shape, dtype=bool)
        if data.observed is not None:
            observed = np.broadcast_to(data.observed.numpy(), values.shape).copy()
        soft = {}
        for column, likelihood in data.soft.items():
            observed[:, column] = False
            soft[column] = np.broadcast_to(likelihood.double().numpy(), (len(values), likelihood.shape[-1]))
        return cls(values, observed, soft)

    def __len__(self) -> int:
        return len(self.values)


def numbers(values: Mapping[Any, Any]) -> dict[Any, Array]:
    """Tensors by parameter → float64 arrays."""
    return {parameter: value.detach().double().numpy() for parameter, value in values.items()}


def dense_weights(block: SumBlock, values: Values) -> Array:
    """Weights as ``[N, E]``, zero where there is no edge."""
    stored, edges = values[block.parameter], block.edges
    kind = type(edges).__name__
    if kind == "Dense":
        return stored
    full = np.zeros((block.nodes, sum(c.nodes for c in block.children)))
    rows, cols = edges.rows.numpy(), edges.cols.numpy()  # type: ignore[union-attr]
    if kind == "Sparse":
        full[rows, cols] = stored
        return full
    tile = edges.tile  # type: ignore[union-attr]
    for i, (r, c) in enumerate(zip(rows, cols, strict=True)):
        full[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] = stored[i]
    return full


def child_columns(block: ProductBlock, position: int) -> npt.NDArray[np.int64]:
    """Node of the child at ``position`` that each product node multiplies."""
    if block.index is None:
        return np.arange(block.nodes)
    return block.index[:, position].numpy()


def log_sum(terms: Array) -> Array:
    """log Σ exp over the last axis; −∞ for nothing but −∞."""
    peak = terms.max(-1, keepdims=True)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(terms - safe).sum(-1)) + safe[..., 0]


def _leaf(block: InputBlock, values: Values, rows: Rows, best: bool) -> Array:
    column, parameters = block.variable.index, values[block.parameter]
    size = getattr(block.variable.domain, "size", None)
    if column in rows.soft:
        assert size is not None
        with np.errstate(divide="ignore"):
            terms = np.log(rows.soft[column])[:, None, :] + log_table(block.distribution, parameters, size).T[None]
        return terms.max(-1) if best else log_sum(terms)
    seen = rows.observed[:, column]
    blank = best_log(block.distribution, parameters, size) if best else np.zeros(block.nodes)
    out = np.repeat(blank[None, :], len(rows), 0)
    if seen.any():
        out[seen] = log_density(block.distribution, parameters, rows.values[seen, column])
    return out


def _evaluate(circuit: Circuit, values: Values, rows: Rows, best: bool) -> dict[Any, Array]:
    out: dict[Any, Array] = {}
    for block in circuit.blocks:
        if isinstance(block, InputBlock):
            out[block] = _leaf(block, values, rows, best)
        elif isinstance(block, ProductBlock):
            out[block] = np.sum([out[c][:, child_columns(block, k)] for k, c in enumerate(block.children)], axis=0)
        else:
            elements = np.concatenate([out[c] for c in block.children], 1)
            with np.errstate(divide="ignore"):
                weights = np.log(dense_weights(block, values))
            # One node at a time: memory stays at [B, E].
            out[block] = np.stack([(elements + w).max(-1) if best else log_sum(elements + w) for w in weights], 1)
    return out


def node_values(circuit: Circuit, values: Values, rows: Rows) -> dict[Any, Array]:
    """Log value ``[B, N]`` of every node."""
    return _evaluate(circuit, values, rows, best=False)


def best_values(circuit: Circuit, values: Values, rows: Rows) -> dict[Any, Array]:
    """Log value ``[B, N]`` of the best tree below every node: sums take their maximum, open leaves their mode."""
    return _evaluate(circuit, values, rows, best=True)


def log_likelihood(circuit: Circuit, values: Values, rows: Rows) -> Array:
    """``[B, outputs]``."""
    found = node_values(circuit, values, rows)
    return np.concatenate([found[r] for r in circuit.roots], 1)


def edge_shares(block: SumBlock, values: Values, logs: Mapping[Any, Array]) -> Array:
    """Share ``w·x_e / y_n`` of each edge in its node, ``[B, N, E]``; zero for nodes of value zero."""
    elements = np.concatenate([logs[c] for c in block.children], 1)
    with np.errstate(divide="ignore"):
        weights = np.log(dense_weights(block, values))
    own = np.where(np.isfinite(logs[block]), logs[block], np.inf)
    return np.exp(weights[None] + elements[:, None, :] - own[:, :, None])


def node_flows(
    circuit: Circuit, values: Values, rows: Rows, seeds: Array | None = None, logs: Mapping[Any, Array] | None = None
) -> dict[Any, Array]:
    """Derivative of ``Σ seeds · log-likelihood`` with respect to the log value of every node: ``[B, N]``.

    Rows whose likelihood is zero have no derivative; they send nothing.
    """
    logs = node_values(circuit, values, rows) if logs is None else logs
    flows = {b: np.zeros((len(rows), b.nodes)) for b in circuit.blocks}
    column = 0
    for root in circuit.roots:
        seed = np.ones((len(rows), root.nodes)) if seeds is None else seeds[:, column : column + root.nodes]
        flows[root] += np.where(np.isfinite(logs[root]), seed, 0.0)
        column += root.nodes
    for block in reversed(circuit.blocks):
        if isinstance(block, ProductBlock):
            for k, child in enumerate(block.children):
                np.add.at(flows[child], (slice(None), child_columns(block, k)), flows[block])
        elif isinstance(block, SumBlock):
            into = np.einsum("bn,bne->be", flows[block], edge_shares(block, values, logs))
            offset = 0
            for child in block.children:
                flows[child] += into[:, offset : offset + child.nodes]
                offset += child.nodes
    return flows
