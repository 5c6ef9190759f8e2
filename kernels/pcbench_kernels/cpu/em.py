"""The M step on whole tables."""

from __future__ import annotations

import torch
from torch import Tensor


def row_totals(flows: Tensor, row_index: Tensor | None, nodes: int) -> Tensor:
    """Total flow of each node, broadcastable against ``flows [P, *form]``.

    ``row_index`` is ``None`` for dense rows ``[P, N, E]``, otherwise the node (or tile row) of each stored entry.
    """
    if row_index is None:
        return flows.sum(-1, keepdim=True)
    if flows.ndim == 2:
        total = flows.new_zeros(len(flows), nodes).index_add_(1, row_index, flows)
        return total.index_select(1, row_index)
    tile = flows.shape[2]
    total = flows.new_zeros(len(flows), nodes // tile, tile).index_add_(1, row_index, flows.sum(3))
    return total.index_select(1, row_index).unsqueeze(-1)


def least_mass(dtype: torch.dtype) -> float:
    """Below this total flow (in rows of data), a node learns nothing: its parts would be denormal numbers of a few bits,
    whose ratios no longer sum to one (and whose reciprocal may be infinite)."""
    info = torch.finfo(dtype)
    return info.tiny / info.eps


def sum_update(
    weights: Tensor,
    flows: Tensor,
    degree: Tensor | float,
    row_index: Tensor | None,
    nodes: int,
    step: float,
    pseudocount: float,
    support: Tensor | None,
    out: Tensor,
) -> None:
    """``out = (1−η)·w + η·(flow + α/degree) / (Σ flow + α)``, a row at a time.

    Rows without flow (and α = 0) keep their weights: nothing was learnt about them; see :func:`least_mass`.
    Formula: Peharz et al., On the latent variable interpretation in sum-product networks, 2016 (EM for sum weights).
    """
    total = row_totals(flows, row_index, nodes).add_(pseudocount)
    empty = total < least_mass(total.dtype)
    torch.add(flows, pseudocount / degree, out=out)
    if support is not None:
        out.mul_(support)
    out.div_(total.masked_fill_(empty, 1.0))
    if step != 1.0:
        out.lerp_(weights, 1.0 - step)
    if bool(empty.any()):
        torch.where(empty, weights, out, out=out)
