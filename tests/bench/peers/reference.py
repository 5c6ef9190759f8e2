"""A plan evaluated the slow way, in float64 and without PyTorch: what our answers are compared with before timing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from shapes import Plan

Array = npt.NDArray[np.float64]


def log_likelihood(plan: Plan, rows: npt.NDArray[np.int64], leaves: Mapping[int, Array], weights: Mapping[int, Array]) -> Array:
    """Nats per row ``[B]``.

    Args:
        plan: regions, children first (see :mod:`shapes`).
        rows: data ``[B, variables]``.
        leaves: variable → probabilities ``[categories, K]``.
        weights: region with a sum → ``[nodes, K]``.
    """
    values: list[Array] = []
    for r, region in enumerate(plan):
        parts = [np.log(leaves[v][rows[:, v]]) for v in region["vars"]]  # type: ignore[attr-defined]
        parts += [values[c] for c in region["below"]]  # type: ignore[attr-defined]
        value = np.add.reduce(parts)
        if region["sum"]:
            peak = value.max(1, keepdims=True)
            value = np.log(np.exp(value - peak) @ weights[r].T) + peak
        values.append(value)
    return values[-1][:, 0]
