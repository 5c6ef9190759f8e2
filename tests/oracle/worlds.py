"""Everything about a small circuit over finite variables, by enumeration of its worlds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from pcbench import Circuit

from .densities import Array
from .passes import Rows, Values, log_likelihood, log_sum


class Joint:
    """The table of log p(world) of one root node.

    Attributes:
        worlds: ``[W, V]``.
        logs: ``[W]`` nats.
    """

    def __init__(self, circuit: Circuit, values: Values, output: int = 0) -> None:
        sizes: list[int] = [v.domain.size for v in circuit.variables]  # type: ignore[union-attr]
        self.sizes = sizes
        self.worlds: Array = np.array(list(itertools.product(*map(range, sizes))), dtype=np.float64)
        self.logs = log_likelihood(circuit, values, Rows.of(self.worlds))[:, output]

    def total(self) -> float:
        """Σ p(world)."""
        return float(np.exp(self.logs).sum())

    def weighed(self, rows: Rows, row: int) -> Array:
        """log p(world) plus the log likelihood of one row's evidence in it: ``[W]``."""
        logs = self.logs.copy()
        hard = rows.observed[row]
        logs[(self.worlds[:, hard] != rows.values[row, hard]).any(1)] = -np.inf
        with np.errstate(divide="ignore"):
            for column, likelihood in rows.soft.items():
                logs += np.log(likelihood[row][self.worlds[:, column].astype(int)])
        return logs

    def marginal(self, rows: Rows) -> Array:
        """log p(evidence) of each row: ``[B]``."""
        return np.array([log_sum(self.weighed(rows, i)) for i in range(len(rows))])

    def conditional(self, rows: Rows, row: int, column: int) -> Array:
        """p(x_column = c | evidence of a row): ``[C]``."""
        logs = self.weighed(rows, row)
        return np.array([np.exp(log_sum(logs[self.worlds[:, column] == c]) - log_sum(logs)) for c in range(self.sizes[column])])

    def posterior(self, rows: Rows, row: int) -> Array:
        """p(world | evidence of a row): ``[W]``."""
        logs = self.weighed(rows, row)
        return np.exp(logs - log_sum(logs))

    def best(self, rows: Rows, row: int) -> tuple[Array, float]:
        """The most probable completion of a row, and log p of it with the evidence."""
        logs = self.weighed(rows, row)
        world = int(logs.argmax())
        return self.worlds[world], float(logs[world])

    def position(self, states: Any) -> Any:
        """Row of ``worlds`` at which each of ``states [M, V]`` stands."""
        return np.ravel_multi_index(tuple(np.asarray(states).astype(int).T), self.sizes)
