"""Launches after a downward pass: flows of leaves, whose masses they weigh in a matrix product."""

from __future__ import annotations

import triton
from torch import Tensor

from ..fused import FusedLeaves
from .gather import gather_flows
from .launching import launch
from .tiles import Pass, power


def leaf_flows(p: Pass, leaves: FusedLeaves, entries: Tensor, out: Tensor) -> None:
    """Flows into the leaves of some entries of ``leaves.uses``, after a downward pass.

    Args:
        p, leaves: the pass, and the leaf table.
        entries: ``[M]`` int64, places in ``leaves.uses``, or −1: no flow.
        out: float32 ``[M, B, N]``.
    """
    cols = min(256, max(16, power(leaves.nodes)))
    rows = min(max(1, 4096 // cols), power(p.size))
    launch(gather_flows, (len(entries) * triton.cdiv(p.size, rows), triton.cdiv(leaves.nodes, cols)))(
        p.flows,
        entries,
        leaves.elements_at,
        leaves.offsets,
        leaves.strides,
        out,
        p.size,
        leaves.nodes,
        BN=rows,
        BM=cols,
        ALIGNED=leaves.aligned,
    )
