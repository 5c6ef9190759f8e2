"""Soft evidence in the fused passes: leaves that weigh their masses with likelihoods.

``log Σ_c likelihood[b, c] · p[n, c]``, and on the way down its derivatives, as matrix products of float64: a network may well
find one value e^-200 times as likely as another. A node's largest mass divides out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..compile import Program
from .fused_evidence import FusedBatch, vectors_of
from .fused_pass import FusedPass, flows_into
from .noise import uniform_of
from .topdown import invert

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.gpu import Draws

#: Numbers of a matrix that are held at once.
CELLS = 1 << 24


class _Piece(NamedTuple):
    """Some leaf vectors with soft evidence, all of one table.

    Attributes:
        variables: of each.
        entries: places in ``uses``; slots, rows: ``[U]``, slots, and rows among the parameters.
        likelihoods: ``[U, B, C]``.
        masses: ``[U, C, N]``, relative to the largest of a node; largest: ``[U, 1, N]``, its logarithm.
    """

    variables: tuple[int, ...]
    entries: tuple[int, ...]
    slots: Tensor
    rows: Tensor
    likelihoods: Tensor
    masses: Tensor
    largest: Tensor


def _pieces(up: FusedPass, t: int) -> Iterator[_Piece]:
    fused, batch, device = up.program.fused, up.batch, up.program.device
    assert fused is not None
    leaves, lookup, vectors = fused.leaves[t], up.parameters.lookups[t], vectors_of(up.program)
    assert lookup is not None
    found = [(v, entry) for v in batch.soft for own, entries in vectors[v] if own == t for entry in entries]
    step = max(1, CELLS // (leaves.categories * max(batch.size, leaves.nodes) + batch.size * leaves.nodes))
    for first in range(0, len(found), step):
        variables, entries = zip(*found[first : first + step], strict=True)
        slots = leaves.uses[torch.tensor(entries).to(device)]
        rows = leaves.owners[slots]
        given = torch.stack([batch.soft[v].expand(batch.size, -1) for v in variables]).double()
        logs = lookup[rows, : leaves.categories].double()
        largest = logs.amax(1, keepdim=True)
        yield _Piece(variables, entries, slots, rows, given, (logs - largest).exp(), largest)


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
    for piece in _pieces(up, t):
        total = torch.bmm(piece.likelihoods, piece.masses)
        ratio = torch.where(total > 0, flows_into(up, t, piece.entries) / total, 0.0)
        for variable, share in zip(piece.variables, torch.bmm(ratio, piece.masses.transpose(1, 2)), strict=True):
            if (wanted := by_soft.get(variable)) is not None:
                wanted.add_(share if wanted.ndim == 2 else share.sum(0))
        if counts is not None:
            weighed = torch.bmm(piece.likelihoods.transpose(1, 2), ratio).mul_(piece.masses)
            counts.index_add_(0, piece.rows, weighed.to(counts.dtype))


def draw_soft(program: Program, batch: FusedBatch, d: Draws, masses: Mapping[int, Tensor], out: Tensor) -> None:
    """``out[m, v]`` of samples on their way down: drawn anew where soft evidence weighs what the leaf reached says.

    Args:
        program: with fused layers.
        batch: the evidence.
        d: the samples, after the launches that draw.
        masses: ``[P, C, N]`` of leaf tables over finite domains.
        out: ``[M, V]``.
    """
    assert program.fused is not None
    rows = d.row_of.long().clamp(0, batch.size - 1)  # in a rehearsal they are anything
    for v, likelihood in batch.soft.items():
        step = max(1, CELLS // likelihood.shape[1])
        for t, entries in vectors_of(program)[v]:
            leaves = program.fused.leaves[t]
            slots = leaves.uses[torch.tensor(entries).to(program.device)]
            node, which = d.chosen[t][slots].max(0)  # one at most is reached
            own, sets = node.long().clamp(0, leaves.nodes - 1), leaves.owners[slots][which]
            noise = uniform_of(d.states, d.leaf_places[t][slots][which])
            for a in range(0, d.size, step):
                part = slice(a, a + step)
                weighed = masses[t][sets[part], :, own[part]].double() * likelihood.expand(batch.size, -1)[rows[part]]
                value = invert(weighed, noise[part]).to(out.dtype)
                out[part, v] = torch.where(node[part] >= 0, value, out[part, v])
