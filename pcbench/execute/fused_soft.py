"""Soft evidence in the fused passes: leaves that weigh their masses with likelihoods.

``log Σ_c likelihood[b, c] · p[n, c]``, and on the way down its derivatives, as matrix products of float64: a network may well
find one value e^-200 times as likely as another. A node's largest mass divides out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..compile import Program
from .fused_evidence import FusedBatch, vectors_of
from .fused_pass import FusedPass, flows_into
from .model import Parameters

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


def _pieces(program: Program, parameters: Parameters, batch: FusedBatch, t: int) -> Iterator[_Piece]:
    fused, device = program.fused, program.device
    assert fused is not None
    leaves, lookup, vectors = fused.leaves[t], parameters.lookups[t], vectors_of(program)
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


def fill_soft(
    program: Program,
    parameters: Parameters,
    batch: FusedBatch,
    tables: Sequence[Tensor],
    lookups: Sequence[Tensor],
    add_up: Callable[[Tensor, Tensor], Tensor] = torch.bmm,
) -> None:
    """What is looked up of tables that see soft evidence.

    Args:
        program, parameters, batch: what is evaluated.
        tables: log tables ``[P, C + 1, N]``, looked up where evidence is hard.
        lookups: filled in for those tables.
        add_up: likelihoods ``[U, B, C]`` and masses ``[U, C, N]`` → ``[U, B, N]``.
    """
    for t, codes in batch.hard.items():
        nodes, out = tables[t].shape[-1], lookups[t]
        torch.index_select(tables[t].view(-1, nodes).to(out.dtype), 0, codes.view(-1), out=out)
        for piece in _pieces(program, parameters, batch, t):
            total = add_up(piece.likelihoods, piece.masses)
            out.view(-1, batch.size, nodes)[piece.slots] = total.log_().add_(piece.largest).to(out.dtype)


def best_of_all(likelihoods: Tensor, masses: Tensor) -> Tensor:
    """``[U, B, N]``: the greatest of the products that :func:`torch.bmm` would add up."""
    best = masses.new_zeros(*likelihoods.shape[:2], masses.shape[2])
    for c in range(masses.shape[1]):
        torch.maximum(best, likelihoods[:, :, c, None] * masses[:, c, None, :], out=best)
    return best


def fused_soft(up: FusedPass, t: int, counts: Tensor | None, by_soft: Mapping[int, Tensor | None]) -> None:
    """:func:`~pcbench.execute.soft.through_soft` after the fused passes."""
    for piece in _pieces(up.program, up.parameters, up.batch, t):
        total = torch.bmm(piece.likelihoods, piece.masses)
        ratio = torch.where(total > 0, flows_into(up, t, piece.entries) / total, 0.0)
        for variable, share in zip(piece.variables, torch.bmm(ratio, piece.masses.transpose(1, 2)), strict=True):
            if (wanted := by_soft.get(variable)) is not None:
                wanted.add_(share if wanted.ndim == 2 else share.sum(0))
        if counts is not None:
            weighed = torch.bmm(piece.likelihoods.transpose(1, 2), ratio).mul_(piece.masses)
            counts.index_add_(0, piece.rows, weighed.to(counts.dtype))


def choose_soft(
    program: Program,
    parameters: Parameters,
    batch: FusedBatch,
    chosen: Sequence[Tensor],
    rows: Tensor,
    pick: Callable[[int, Tensor, slice, Tensor], Tensor],
    out: Tensor,
) -> None:
    """``out[m, v]`` ``[M, V]`` of variables with soft evidence, by what the leaves reached and the likelihoods say together.

    Args:
        program, parameters, batch: the evidence, and what it was given to.
        chosen: of each leaf table, ``[slots, M]``, the node reached, or −1.
        rows: ``[M]``, row of the evidence.
        pick: leaf table, slots ``[m]`` of some ``M``, which these are, and weights ``[m, C]`` → values ``[m]``.
        out: overwritten where a leaf of the variable is reached.
    """
    assert program.fused is not None
    rows = rows.long().clamp(0, batch.size - 1)  # in a rehearsal they are anything
    for v, likelihood in batch.soft.items():
        size, step = likelihood.shape[1], max(1, CELLS // likelihood.shape[1])
        for t, entries in vectors_of(program)[v]:
            leaves, lookup = program.fused.leaves[t], parameters.lookups[t]
            assert lookup is not None
            slots = leaves.uses[torch.tensor(entries).to(program.device)]
            node, which = chosen[t][slots].max(0)  # one at most is reached
            slot, own = slots[which], node.long().clamp(0, leaves.nodes - 1)
            for first in range(0, len(rows), step):
                part = slice(first, first + step)
                masses = lookup[leaves.owners[slot[part]], :size, own[part]].double().exp()
                value = pick(t, slot[part], part, masses * likelihood.expand(batch.size, -1)[rows[part]])
                out[part, v] = torch.where(node[part] >= 0, value.to(out.dtype), out[part, v])
