"""Leaves that see soft evidence, after a downward pass: what they count, and the derivatives by their likelihoods."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .upward import Activations


def through_soft(act: Activations, index: int, counts: Tensor | None, by_soft: Mapping[int, Tensor | None]) -> None:
    """Adds what leaves of table ``index`` make of soft evidence.

    A node's flow is divided among the values as ``likelihood · p(value | node)`` is: expected counts, which are also the
    derivatives by log probabilities.

    Args:
        act: after :func:`~pcbench.execute.downward.downward`.
        index: of a leaf table over a finite domain.
        counts: ``[P, C, N]``, expected counts.
        by_soft: by variable, derivatives by its likelihoods (shaped as these are).
    """
    table, lookup = act.program.leaf_tables[index], act.parameters.lookups[index]
    assert lookup is not None
    variables, rows, places = table.variables.tolist(), table.rows.tolist(), table.element_rows.tolist()
    for use, variable in enumerate(variables):
        given = act.batch.soft.get(variable)
        if given is None:
            continue
        likelihood = given.double().view(-1, given.shape[-1])
        logs = lookup[rows[use], :-1].double()
        # A node's largest probability divides out: only ratios within a node matter.
        masses = (logs - logs.amax(0)).exp()  # [C, N]
        total = likelihood @ masses  # [B or 1, N]
        flow = act.elements[table.nodes][places[use]]
        ratio = torch.where(total > 0, flow / total, 0.0)  # [B, N]
        wanted = by_soft.get(variable)
        if wanted is not None:
            share = ratio @ masses.T
            wanted.add_(share if wanted.ndim == 2 else share.sum(0))
        if counts is not None:
            weighed = likelihood.T @ ratio if len(likelihood) == len(ratio) else likelihood.T * ratio.sum(0)
            counts[rows[use]].add_(weighed.mul_(masses).to(counts.dtype))
