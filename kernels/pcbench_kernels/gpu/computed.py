"""Launches around leaves that have no table."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedLeaves
from .densities import leaf_moments, normal_densities
from .launching import launch
from .tiles import FILL, Pass, power

#: Densities of a program's tile.
CELLS = 4096
#: Samples whose flows a program weighs at once, and of how many nodes.
SAMPLES, COLUMNS = 32, 64


def normal(values: Tensor, observed: Tensor | None, leaves: FusedLeaves, parameters: Tensor, out: Tensor) -> None:
    """Log densities ``out`` ``[slots·B, N]`` float32 of normal leaves.

    Args:
        values: float64 ``[V, B]``; observed: bytes of the same shape, 0 where a value is missing; ``None``: none is.
        leaves: whose parameters are ``[sets, 2, N]``, means and variances.
    """
    size, cols = values.shape[1], min(256, power(leaves.nodes))
    rows = min(power(size), CELLS // cols)
    launch(normal_densities, (len(leaves.variables) * triton.cdiv(size, rows),))(
        values,
        values if observed is None else observed,
        leaves.variables,
        leaves.owners,
        parameters,
        out,
        size,
        leaves.nodes,
        BN=rows,
        BK=cols,
        PARTIAL=observed is not None,
    )


def moment_parts(leaves: FusedLeaves, size: int) -> int:
    """In how many parts samples are weighed."""
    wanted = FILL // (leaves.runs * -(-leaves.nodes // COLUMNS))
    return max(1, min(wanted, -(-size // SAMPLES)))


def weigh(p: Pass, leaves: FusedLeaves, told: Tensor, moments: Tensor) -> None:
    """Flow-weighted statistics of each set's leaves: ``moments`` ``[sets, parts, T, N]`` float64, to be added up.

    ``told`` ``[V, T, B]`` float64: what is weighed.
    """
    parts, count = moments.shape[1:3]
    cols = min(COLUMNS, power(leaves.nodes))
    launch(leaf_moments, (leaves.runs, parts * count, triton.cdiv(leaves.nodes, cols)))(
        p.flows,
        told,
        leaves.variables,
        leaves.uses,
        leaves.elements_at,
        leaves.offsets,
        leaves.strides,
        leaves.run_start,
        moments,
        p.size,
        leaves.nodes,
        parts,
        count,
        BQ=SAMPLES,
        BN=cols,
    )
