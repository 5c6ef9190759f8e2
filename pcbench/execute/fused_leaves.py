"""Leaves in the fused passes: what is looked up before the way up, and what is counted and learnt after the way down.

Leaves over finite domains are rows of a table, and a sample's code says which. For others, every batch gets a table of its
own, with a row for each slot and sample; then the same kernels look them up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from .fused_densities import moments_of
from .fused_evidence import FusedBatch
from .fused_pass import FusedPass
from .leaves import write_logs
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLeaves
    from pcbench_kernels.gpu import Samples, Update


def lay_out_codes(program: Program, batch: FusedBatch, outside: Tensor) -> None:
    """Rows to look up, and values of leaves that are not, where they are not there yet.

    Raises ``outside`` for values that are no category, or not finite.
    """
    from pcbench_kernels.gpu import encode_data

    assert program.fused is not None
    if batch.reals is not None:
        if batch.data is not None:
            batch.reals.copy_(batch.data.T)
        if batch.known is not None:
            if batch.seen is not None:
                batch.known.copy_(batch.seen.T)
            batch.reals.masked_fill_(batch.known == 0, 0.0)  # it may hold anything, NaN included
        torch.maximum(outside[:1], (~torch.isfinite(batch.reals)).any().int(), out=outside[:1])
    for codes, leaves in zip(batch.codes, program.fused.leaves, strict=True):
        if not leaves.looked_up:
            torch.arange(codes.numel(), out=codes.view(-1))
        elif batch.data is not None:
            encode_data(batch.data, batch.seen, leaves, codes, outside)


def lookups_of(program: Program, parameters: Parameters, batch: FusedBatch, workspace: Workspace) -> tuple[Tensor, ...]:
    """What the kernels look up, for each leaf table."""
    assert program.fused is not None

    def computed(leaves: FusedLeaves) -> Tensor:
        shape = (len(leaves.source) * batch.size, leaves.nodes)
        return workspace.get(f"densities{leaves.table}", shape, torch.float32, program.device)

    tables = zip(parameters.gathered, program.fused.leaves, strict=True)
    return tuple(table if leaves.looked_up and leaves.table not in batch.hard else computed(leaves) for table, leaves in tables)


def samples_of(up: FusedPass) -> dict[int, Samples]:
    """Memory for the samples of each leaf table that is looked up, in the order of their categories."""
    from pcbench_kernels.gpu import FEW_PARTS, Samples, parts_of, shares_of

    assert up.program.fused is not None
    found = {}
    for leaves in up.program.fused.leaves:
        if not leaves.looked_up:
            continue
        t, parts = leaves.table, parts_of(leaves, up.batch.size)

        def get(name: str, *shape: int, kind: torch.dtype = torch.float32, t: int = t) -> Tensor:
            return up.workspace.get(f"{name}{t}", shape, kind, up.program.device)

        masses = get("masses", leaves.runs, parts, leaves.nodes)
        shares = shares_of(leaves, up.batch.size)
        found[t] = Samples(
            get("places", len(leaves.source) * up.batch.size, kind=torch.int64),
            get("bounds", leaves.runs, leaves.categories + 2, kind=torch.int32),
            masses,
            masses if parts <= FEW_PARTS else get("total masses", leaves.runs, 1, leaves.nodes),
            get("common flows", len(leaves.firsts), shares, leaves.nodes) if leaves.shared else masses,
        )
    return found


def sort_all(up: FusedPass, samples: dict[int, Samples]) -> None:
    """The launches that bring the samples of each leaf table into the order of their categories; they need codes only."""
    from pcbench_kernels.gpu import sort

    assert up.program.fused is not None
    p = replace(up.buffers, codes=up.batch.counted)
    for t, found in samples.items():
        sort(p, up.program.fused.leaves[t], found)


def count_leaves(up: FusedPass, samples: dict[int, Samples], statistics: Statistics, fresh: bool) -> None:
    """The launches that count: ``statistics.leaves`` are written where they are ``fresh``, or added to."""
    from pcbench_kernels.gpu import count_categories

    assert up.program.fused is not None
    for leaves in up.program.fused.leaves:
        out = statistics.leaves[leaves.table]
        if leaves.looked_up:
            count_categories(up.buffers, leaves, samples[leaves.table], out, fresh)
            continue
        moments = moments_of(up, leaves)
        if fresh:
            out.copy_(moments)
        else:
            out += moments


def learn_leaves(up: FusedPass, samples: dict[int, Samples], new: Parameters, update: Update) -> None:
    """The launches that count and update all leaves."""
    from pcbench_kernels.gpu import add_up, count_categories, learn_categories, replace_parameters

    program, p, old = up.program, up.buffers, up.parameters
    assert program.fused is not None
    for leaves in program.fused.leaves:
        t, table = leaves.table, program.leaf_tables[leaves.table]
        if leaves.learns:
            add_up(p, leaves, samples[t])
            learn_categories(p, leaves, samples[t], old.leaves[t], new.leaves[t], new.gathered[t], update)
            continue
        if leaves.looked_up:
            shape = (leaves.runs, leaves.categories + 1, leaves.nodes)
            counts = up.workspace.get(f"leaf counts{t}", shape, program.dtype, program.device)
            count_categories(p, leaves, samples[t], counts, True)
            counts = counts[:, :-1]
            total, moments = counts.sum(1, keepdim=True), table.distribution.moments_from_counts(counts)
        else:
            held = moments_of(up, leaves)
            total, moments = held[:, :1], held[:, 1:]
        fresh, learns = _updated(table, old.leaves[t], total, moments, update)
        replace_parameters(fresh, learns, old.leaves[t], new.leaves[t])  # by a kernel: a rehearsal writes nothing
        if leaves.looked_up:
            write_logs(table, new.leaves[t], new.gathered[t])


def _updated(table: LeafTable, old: Tensor, total: Tensor, moments: Tensor, update: Update) -> tuple[Tensor, Tensor]:
    """Parameters ``[P, S, N]`` by the rule of :func:`~pcbench.execute.maximise.maximise`, and which nodes take them ``[P, N]``.

    Nothing is waited for; raises ``update.wrong``.
    """
    family, precise = table.distribution, old.to(moments.dtype)
    finite = torch.isfinite(total)
    torch.maximum(update.wrong[:1], (~finite.all()).int(), out=update.wrong[:1])
    step, pseudocount = update.rates.to(moments.dtype)
    mass = total + pseudocount
    learns = finite & (mass >= update.least) & (update.hold[:1] == 0)
    if table.trainable is not None:
        learns &= table.trainable[:, None, None]
    share = step / torch.where(learns, mass, 1.0)
    mean = (1 - step) * family.moments(precise) + share * (moments + pseudocount * family.prior_moments(precise))
    return family.from_moments(mean).to(old.dtype).contiguous(), learns[:, 0].contiguous()
