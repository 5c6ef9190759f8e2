"""Leaves that have no table, in the fused passes: real variables.

Every batch gets a table of their log densities, and the kernels look these up as they look up categories. After the way down,
flows weigh what the leaf is counted by, or differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from ..compile import Program
from ..distributions import Distribution, Gaussian
from .fused_evidence import FusedBatch
from .fused_pass import FusedPass, flows_into
from .model import Parameters

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLeaves

#: Family and parameters ``[P, S, N]`` → log values ``[P, N]``.
MissingRule: TypeAlias = Callable[[Distribution, Tensor], Tensor]
#: Densities of families without a kernel that are computed at once.
CELLS = 1 << 24


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
        if type(family) is Gaussian:  # what is derived from it may have densities of its own
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
        density = family.log_density(parameters[owners], values[variables])
        if known is not None:
            density = torch.where(known[variables][:, :, None] != 0, density, 0.0)
        table[first : first + step] = density


def moments_of(up: FusedPass, leaves: FusedLeaves) -> Tensor:
    """``[sets, 1 + T, N]`` float64: total flow, and flow-weighted sufficient statistics."""
    from pcbench_kernels.gpu import moment_parts, weigh

    family, values, known = up.program.leaf_tables[leaves.table].distribution, up.batch.reals, up.batch.known
    assert values is not None
    told = torch.cat((torch.ones_like(values)[:, None], family.sufficient(values).transpose(1, 2)), 1)
    if known is not None:
        told *= (known != 0)[:, None]
    shape = (leaves.runs, moment_parts(leaves, up.batch.size), told.shape[1], leaves.nodes)
    parts = up.workspace.get(f"moments{leaves.table}", shape, torch.float64, up.program.device)
    weigh(up.buffers, leaves, told, parts)
    return parts.sum(1)


def flows_of_densities(up: FusedPass, t: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]]:
    """After the way down, of some leaf vectors at once of table ``t``, which is not looked up: their rows among the parameters,
    variables, flows ``[U, B, N]`` float32, values ``[U, B]`` and whether these are observed."""
    fused, batch = up.program.fused, up.batch
    assert fused is not None and batch.reals is not None
    leaves = fused.leaves[t]
    step = max(1, CELLS // (batch.size * leaves.nodes))
    for first in range(0, len(leaves.uses), step):
        slots = leaves.uses[first : first + step]
        flow = flows_into(up, t, range(first, first + len(slots)))
        variables = leaves.variables[slots]
        observed = None if batch.known is None else batch.known[variables] != 0
        yield leaves.owners[slots], variables, flow, batch.reals[variables], observed


def parameters_at(parameters: Tensor, leaves: FusedLeaves, nodes: Tensor) -> Tensor:
    """``[S, slots, M]``: parameters ``[P, S, N]`` of the leaf ``nodes`` ``[slots, M]`` (anything where that is −1)."""
    sets = leaves.owners[:, None].expand(nodes.shape)
    return parameters[sets, :, nodes.clamp(0, parameters.shape[2] - 1).long()].movedim(2, 0)  # in a rehearsal they are anything


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
