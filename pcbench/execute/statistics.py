"""Expected counts: what the E step leaves for the M step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..compile import LeafTable, Program, weight_starts
from ..errors import OptionError
from .model import weight_storage, weight_views
from .workspace import Workspace


@dataclass(eq=False)
class Statistics:
    """Expected counts of one batch or of many.

    Attributes:
        program: whose tables they fill.
        weights: for each sum table ``[P, *form]``, the flow through every edge, summed over rows.
        flat: the buffer that ``weights`` are views of, in the order of :func:`weight_starts`.
        leaves: for each leaf table; over a finite domain ``[P, C+1, N]``, the flow into each node by category (the last
            one, « missing », is not used); otherwise float64 ``[P, 1+T, N]``: total flow, then sufficient statistics.
        rows: number of data rows (or their total weight).
        log_likelihood: sum over rows, nats.
    """

    program: Program
    weights: list[Tensor]
    leaves: list[Tensor]
    flat: Tensor
    rows: float = 0.0
    log_likelihood: float = 0.0

    @classmethod
    def zeros(cls, program: Program) -> Statistics:
        """Statistics of no data."""
        flat, weights = weight_storage(program, zero=True)
        leaves = [
            torch.zeros(_leaf_shape(t), dtype=_leaf_dtype(t, program), device=program.device) for t in program.leaf_tables
        ]
        return cls(program, weights, leaves, flat)

    @classmethod
    def within(cls, program: Program, workspace: Workspace) -> Statistics:
        """Statistics of no data in memory of a workspace: the next ones there take it. What they hold is of no consequence."""
        flat = workspace.get("counts", (weight_starts(program.sum_tables)[-1],), program.dtype, program.device)
        leaves = [
            workspace.get(f"leaf counts{i}", _leaf_shape(t), _leaf_dtype(t, program), program.device)
            for i, t in enumerate(program.leaf_tables)
        ]
        return cls(program, weight_views(program, flat), leaves, flat)

    def add_(self, other: Statistics) -> Statistics:
        """Add another batch's statistics to these."""
        other.require(self.program)
        if other.rows == 0:
            return self  # what they hold is of no rows, whatever it is
        if self.rows == 0:
            for mine in [*self.weights, *self.leaves]:
                mine.zero_()
        for mine, theirs in zip([*self.weights, *self.leaves], [*other.weights, *other.leaves], strict=True):
            mine.add_(theirs)
        self.rows += other.rows
        self.log_likelihood += other.log_likelihood
        return self

    def require(self, program: Program) -> None:
        """Raise :class:`OptionError` unless these statistics are of the given program."""
        if self.program is not program:
            raise OptionError(f"these statistics are of another program ({self.program!r}), not of {program!r}")

    def reset(self) -> Statistics:
        """Forget everything; the memory is used again, and overwritten by the next batch."""
        self.rows = self.log_likelihood = 0.0
        return self

    @property
    def num_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(t.numel() * t.element_size() for t in [*self.weights, *self.leaves])


def _leaf_shape(table: LeafTable) -> tuple[int, ...]:
    rows = table.distribution.num_moments if table.categories is None else table.categories
    return (len(table.parameters), rows + 1, table.nodes)


def _leaf_dtype(table: LeafTable, program: Program) -> torch.dtype:
    # Sums of squares of real data cancel badly in float32; these tensors are small.
    return torch.float64 if table.categories is None else program.dtype
