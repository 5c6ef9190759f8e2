"""Leaves in the fused passes: what is looked up before the way up, and what is counted and learnt after the way down.

Leaves over finite domains are rows of a table, and a sample's code says which. For others, every batch gets a table of its
own, with a row for each slot and sample; then the same kernels look them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from ..distributions import Distribution, Gaussian
from .leaves import write_logs
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLeaves
    from pcbench_kernels.gpu import Pass, Samples, Update

    from .fused import FusedPass
    from .fused_evidence import FusedBatch

#: Family and parameters ``[P, S, N]`` → log values ``[P, N]``.
MissingRule: TypeAlias = Callable[[Distribution, Tensor], Tensor]
#: Densities of families without a kernel that are computed at once.
CELLS = 1 << 24


def lay_out_codes(program: Program, batch: FusedBatch, outside: Tensor) -> None:
    """Rows to look up, and values of leaves that are not, where they are not there yet.

    Raises ``outside`` for values that are no category, or not finite.
    """
    from pcbench_kernels.gpu import encode_data

    assert program.fused is not None
    if batch.data is not None and batch.reals is not None:
        batch.reals.copy_(batch.data.T)
        wrong = ~torch.isfinite(batch.reals)
        if batch.known is not None and batch.seen is not None:
            batch.known.copy_(batch.seen.T)
            wrong &= batch.known != 0
        torch.maximum(outside[:1], wrong.any().int(), out=outside[:1])
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


def compute_densities(
    program: Program, parameters: Parameters, batch: FusedBatch, lookups: Sequence[Tensor], missing: MissingRule | None = None
) -> None:
    """The launches that fill what is looked up of leaves that have no table.

    ``missing``: what they are worth where nothing is observed, if not 1 (the logarithm, as in :class:`~.upward.LeafRule`).
    """
    from pcbench_kernels.gpu import normal

    assert program.fused is not None
    for leaves in program.fused.leaves:
        if leaves.looked_up:
            continue
        assert batch.reals is not None
        t = leaves.table
        family, held, out = program.leaf_tables[t].distribution, parameters.leaves[t], lookups[t]
        if isinstance(family, Gaussian):
            normal(batch.reals, batch.known, leaves, held, out)
        else:
            _densities(family, held, leaves, batch.reals, batch.known, out)
        if missing is not None and batch.known is not None:
            table, seen = out.view(-1, batch.size, leaves.nodes), batch.known[leaves.variables] != 0
            table.copy_(torch.where(seen[:, :, None], table, missing(family, held)[leaves.owners][:, None, :]))


def _densities(
    family: Distribution, parameters: Tensor, leaves: FusedLeaves, values: Tensor, known: Tensor | None, out: Tensor
) -> None:
    """The same for any family, by PyTorch's kernels."""
    size = values.shape[1]
    step, table = max(1, CELLS // (size * leaves.nodes)), out.view(-1, size, leaves.nodes)
    for first in range(0, len(table), step):
        variables, owners = leaves.variables[first : first + step], leaves.owners[first : first + step]
        x = values[variables]
        if known is not None:  # what is not observed may hold anything, NaN included
            x = torch.where(known[variables] != 0, x, 0.0)
        density = family.log_density(parameters[owners], x)
        if known is not None:
            density = torch.where(known[variables][:, :, None] != 0, density, 0.0)
        table[first : first + step] = density


def samples_of(program: Program, size: int, workspace: Workspace) -> dict[int, Samples]:
    """Memory for the samples of each leaf table that is looked up, in the order of their categories."""
    from pcbench_kernels.gpu import FEW_PARTS, Samples, parts_of

    assert program.fused is not None
    found = {}
    for leaves in program.fused.leaves:
        if not leaves.looked_up:
            continue
        t, parts = leaves.table, parts_of(leaves, size)

        def get(name: str, *shape: int, kind: torch.dtype = torch.float32, t: int = t) -> Tensor:
            return workspace.get(f"{name}{t}", shape, kind, program.device)

        masses = get("masses", leaves.runs, parts, leaves.nodes)
        found[t] = Samples(
            get("places", len(leaves.source) * size, kind=torch.int64),
            get("bounds", leaves.runs, leaves.categories + 2, kind=torch.int32),
            masses,
            masses if parts <= FEW_PARTS else get("total masses", leaves.runs, 1, leaves.nodes),
        )
    return found


def sort_all(program: Program, p: Pass, samples: dict[int, Samples]) -> None:
    """The launches that bring the samples of each leaf table into the order of their categories; they need codes only."""
    from pcbench_kernels.gpu import sort

    assert program.fused is not None
    for t, found in samples.items():
        sort(p, program.fused.leaves[t], found)


def count_leaves(
    program: Program,
    p: Pass,
    batch: FusedBatch,
    samples: dict[int, Samples],
    statistics: Statistics,
    fresh: bool,
    space: Workspace,
) -> None:
    """The launches that count: ``statistics.leaves`` are written where they are ``fresh``, or added to."""
    from pcbench_kernels.gpu import count_categories

    assert program.fused is not None
    for leaves in program.fused.leaves:
        out = statistics.leaves[leaves.table]
        if leaves.looked_up:
            count_categories(p, leaves, samples[leaves.table], out, fresh)
            continue
        moments = _moments(program, p, batch, leaves, space)
        if fresh:
            out.copy_(moments)
        else:
            out += moments


def _moments(program: Program, p: Pass, batch: FusedBatch, leaves: FusedLeaves, space: Workspace) -> Tensor:
    """``[sets, 1 + T, N]`` float64: total flow, and flow-weighted sufficient statistics."""
    from pcbench_kernels.gpu import moment_parts, weigh

    family, values, known = program.leaf_tables[leaves.table].distribution, batch.reals, batch.known
    assert values is not None
    if known is not None:
        values = torch.where(known != 0, values, 0.0)
    told = torch.cat((torch.ones_like(values)[:, None], family.sufficient(values).transpose(1, 2)), 1)
    if known is not None:
        told *= (known != 0)[:, None]
    shape = (leaves.runs, moment_parts(leaves, batch.size), told.shape[1], leaves.nodes)
    parts = space.get(f"moments{leaves.table}", shape, torch.float64, program.device)
    weigh(p, leaves, told, parts)
    return parts.sum(1)


def learn_leaves(
    program: Program,
    p: Pass,
    batch: FusedBatch,
    samples: dict[int, Samples],
    old: Parameters,
    new: Parameters,
    update: Update,
    space: Workspace,
) -> None:
    """The launches that count and update all leaves."""
    from pcbench_kernels.gpu import add_up, count_categories, learn_categories, replace_parameters

    assert program.fused is not None
    for leaves in program.fused.leaves:
        t, table = leaves.table, program.leaf_tables[leaves.table]
        if leaves.learns:
            add_up(p, leaves, samples[t])
            learn_categories(p, leaves, samples[t], old.leaves[t], new.leaves[t], new.gathered[t], update)
            continue
        if leaves.looked_up:
            shape = (leaves.runs, leaves.categories + 1, leaves.nodes)
            counts = space.get(f"leaf counts{t}", shape, program.dtype, program.device)
            count_categories(p, leaves, samples[t], counts, True)
            counts = counts[:, :-1]
            total, moments = counts.sum(1, keepdim=True), table.distribution.moments_from_counts(counts)
        else:
            held = _moments(program, p, batch, leaves, space)
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


def flows_of_densities(up: FusedPass, t: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]]:
    """After the way down, of some leaf vectors at once of table ``t``, which is not looked up: their rows among the parameters,
    variables, flows ``[U, B, N]`` float32, values ``[U, B]`` and whether these are observed."""
    from pcbench_kernels.gpu import leaf_flows

    fused, batch, space = up.program.fused, up.batch, up.workspace
    assert fused is not None and batch.reals is not None
    leaves = fused.leaves[t]
    step = max(1, CELLS // (batch.size * leaves.nodes))
    for first in range(0, len(leaves.uses), step):
        slots = leaves.uses[first : first + step]
        entries = torch.arange(first, first + len(slots), device=up.program.device)
        flow = space.get("flows of leaves", (len(slots), batch.size, leaves.nodes), torch.float32, up.program.device)
        leaf_flows(up.buffers, leaves, entries, flow)
        variables = leaves.variables[slots]
        observed = None if batch.known is None else batch.known[variables] != 0
        yield leaves.owners[slots], variables, flow, batch.reals[variables], observed


def parameters_at(parameters: Tensor, leaves: FusedLeaves, nodes: Tensor) -> Tensor:
    """``[S, slots, M]``: parameters ``[P, S, N]`` of the leaf ``nodes`` ``[slots, M]`` (anything where that is −1)."""
    sets = leaves.owners[:, None].expand(nodes.shape)
    return parameters[sets, :, nodes.clamp(min=0).long()].movedim(2, 0)


def write_values(
    batch: FusedBatch | None, leaves: FusedLeaves, nodes: Tensor, values: Tensor, rows: Tensor | None, out: Tensor
) -> None:
    """``out[m, v]`` ``[M, V]``: of leaves that are not looked up and are reached, the observed value, or the given one.

    Args:
        batch: the evidence; ``None``: nothing is observed.
        leaves: their variables' columns are overwritten.
        nodes, values: ``[slots, M]``, the leaf node that is reached, or −1, and its value.
        rows: ``[M]``, row of the evidence; ``None``: one after the other.
        out: ``[M, V]`` float64.
    """
    if batch is not None:
        assert batch.reals is not None
        given = batch.reals[leaves.variables]
        seen = None if batch.known is None else batch.known[leaves.variables] != 0
        if rows is not None:
            rows = rows.long().clamp(0, batch.size - 1)  # in a rehearsal they are anything
            given, seen = given[:, rows], None if seen is None else seen[:, rows]
        values = given if seen is None else torch.where(seen, given, values)
    # One leaf of a variable is reached at most; the others add nothing.
    found = torch.zeros(out.shape[1], out.shape[0], dtype=torch.float64, device=out.device)
    found.index_add_(0, leaves.variables, torch.where(nodes >= 0, values.double(), 0.0))
    reached = torch.zeros(out.shape[1], dtype=torch.bool, device=out.device).index_fill_(0, leaves.variables, True)
    out.copy_(torch.where(reached, found.T, out))
