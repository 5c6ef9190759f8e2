"""Soft evidence in the fused passes: leaves that weigh their masses with likelihoods.

``log Σ_c likelihood[b, c] · p[n, c]``, and on the way down its derivatives, as matrix products of float64: a network may well
find one value e^-200 times as likely as another. A node's largest mass divides out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .fused_evidence import entries_of
from .fused_pass import FusedPass

#: Numbers of a matrix that are held at once.
CELLS = 1 << 24


class _Piece(NamedTuple):
    """Some leaf vectors with soft evidence, all of one table.

    Attributes:
        variables: of each.
        entries, slots, rows: ``[U]``, places in ``uses``, slots, and rows among the parameters.
        likelihoods: ``[U, B, C]``.
        masses: ``[U, C, N]``, relative to the largest of a node; largest: ``[U, 1, N]``, its logarithm.
    """

    variables: list[int]
    entries: Tensor
    slots: Tensor
    rows: Tensor
    likelihoods: Tensor
    masses: Tensor
    largest: Tensor


def _pieces(up: FusedPass, t: int) -> Iterator[_Piece]:
    fused, batch, device = up.program.fused, up.batch, up.program.device
    assert fused is not None
    leaves, known, table = fused.leaves[t], entries_of(up.program), up.parameters.lookups[t]
    assert table is not None
    found = [(v, entry) for v in batch.soft for table, entry in known.get(v, ()) if table == t]
    step = max(1, CELLS // (leaves.categories * max(batch.size, leaves.nodes) + batch.size * leaves.nodes))
    for first in range(0, len(found), step):
        variables, places = zip(*found[first : first + step], strict=True)
        entries = torch.tensor(places).to(device)
        slots = leaves.uses[entries]
        rows = leaves.owners[slots]
        given = torch.stack([batch.soft[v].expand(batch.size, -1) for v in variables]).double()
        logs = table[rows, : leaves.categories].double()
        largest = logs.amax(1, keepdim=True)
        yield _Piece(list(variables), entries, slots, rows, given, (logs - largest).exp(), largest)


def fill_soft(up: FusedPass) -> None:
    """What is looked up of tables that see soft evidence."""
    for t, codes in up.batch.hard.items():
        table = up.parameters.gathered[t]
        nodes, out = table.shape[-1], up.buffers.lookups[t]
        torch.index_select(table.view(-1, nodes).to(out.dtype), 0, codes.view(-1), out=out)
        for piece in _pieces(up, t):
            total = torch.bmm(piece.likelihoods, piece.masses)
            out.view(-1, up.batch.size, nodes)[piece.slots] = total.log_().add_(piece.largest).to(out.dtype)


def fused_soft(up: FusedPass, t: int, counts: Tensor | None, by_soft: Mapping[int, Tensor | None]) -> None:
    """:func:`~pcbench.execute.soft.through_soft` after the fused passes."""
    from pcbench_kernels.gpu import leaf_flows

    fused = up.program.fused
    assert fused is not None
    leaves = fused.leaves[t]
    for piece in _pieces(up, t):
        shape = (len(piece.slots), up.batch.size, leaves.nodes)
        flow = up.workspace.get("flows of leaves", shape, torch.float32, up.program.device)
        leaf_flows(up.buffers, leaves, piece.entries, flow)
        total = torch.bmm(piece.likelihoods, piece.masses)
        ratio = torch.where(total > 0, flow / total, 0.0)
        for variable, share in zip(piece.variables, torch.bmm(ratio, piece.masses.transpose(1, 2)), strict=True):
            if (wanted := by_soft.get(variable)) is not None:
                wanted.add_(share if wanted.ndim == 2 else share.sum(0))
        if counts is not None:
            weighed = torch.bmm(piece.likelihoods.transpose(1, 2), ratio).mul_(piece.masses)
            counts.index_add_(0, piece.rows, weighed.to(counts.dtype))
