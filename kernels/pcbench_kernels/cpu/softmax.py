"""Sum weights as the softmax of unconstrained numbers, and the gradient back through it."""

from __future__ import annotations

import torch
from torch import Tensor

from .em import row_totals


def row_softmax(logits: Tensor, row_index: Tensor | None, nodes: int) -> Tensor:
    """``w_ne = exp(l_ne) / Σ_e exp(l_ne)`` over the stored weights of each node: ``[P, *form]`` → the same shape.

    ``row_index`` as in :func:`~pcbench_kernels.cpu.em.row_totals`; −∞ gives a weight of zero, and some number of every
    node must be finite.
    """
    if row_index is None:
        return torch.softmax(logits, -1)
    raised = (logits - _row_peaks(logits, row_index, nodes)).exp_()
    return raised.div_(row_totals(raised, row_index, nodes))


def softmax_gradient(weights: Tensor, flows: Tensor, row_index: Tensor | None, nodes: int) -> Tensor:
    """``∂L/∂l_ne = flow_ne − w_ne Σ_e flow_ne``, where ``flow = ∂L/∂ log w`` is what the downward pass leaves.

    No quotient is taken, so weights of zero need no care.
    """
    return torch.addcmul(flows, weights, row_totals(flows, row_index, nodes), value=-1.0)


def _row_peaks(logits: Tensor, row_index: Tensor, nodes: int) -> Tensor:
    """The largest number of each node, broadcastable against ``logits [P, *form]``."""
    if logits.ndim == 2:
        peak = logits.new_full((len(logits), nodes), -torch.inf)
        return peak.scatter_reduce_(1, row_index.expand_as(logits), logits, "amax").index_select(1, row_index)
    own = logits.amax(3)  # [P, tiles, tile]
    peak = logits.new_full((len(logits), nodes // own.shape[2], own.shape[2]), -torch.inf)
    peak.scatter_reduce_(1, row_index[None, :, None].expand_as(own), own, "amax")
    return peak.index_select(1, row_index).unsqueeze(-1)
