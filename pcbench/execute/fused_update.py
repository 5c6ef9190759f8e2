"""The M step on a GPU: in the launches that count, or in one pass over each table that they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass

from ..compile import LeafTable, Program, weight_starts
from ..distributions import Categorical
from .fused import WRONG, FusedPass, flags, flow_down, run
from .model import Parameters
from .stamps import Stamps
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.gpu import Update


def updates_alone(program: Program) -> bool:
    """Whether the launches of a step update every parameter."""
    return program.fused is not None and all(isinstance(t.distribution, Categorical) for t in program.leaf_tables)


def update_of(program: Program, workspace: Workspace, step: float, pseudocount: float) -> Update:
    """Step size and pseudocount where launches read them, and the flag that they raise."""
    from pcbench_kernels.gpu import Update

    rates = workspace.get("rates", (2,), torch.float32, program.device)
    rates.copy_(torch.tensor([step, pseudocount]))
    return Update(rates, flags(workspace, program.device)[WRONG:], least_mass(program.dtype))


def fused_learn(up: FusedPass, update: Update, new: Parameters, stamps: Stamps | None = None) -> None:
    """Flows, expected counts and the M step of one batch, into the memory of ``new``; its old contents do not matter.

    Counts are kept only for weights and leaves that no launch updates while it counts.
    """
    from pcbench_kernels.gpu import count_categories, count_edges, learn_categories, learn_edges, maximise_sums

    program, p, workspace, device = up.program, up.buffers, up.workspace, up.program.device
    fused = program.fused
    assert fused is not None
    base, end = fused.late_weights
    counts = workspace.get("late counts", (end - base,), torch.float32, device)
    alone = {leaves.table for leaves in fused.leaves if leaves.learns}
    counted = {leaves.table for leaves in fused.leaves}
    held = tuple(
        workspace.get(f"leaf counts{t}", (len(table.parameters), _categories(table) + 1, table.nodes) if t not in alone else (1,),
                      torch.float32, device)
        for t, table in enumerate(program.leaf_tables)
    )  # fmt: skip
    starts = weight_starts(program.sum_tables)
    rounded = None if new.operands.data_ptr() == new.flat.data_ptr() else new.operands

    def flow() -> None:
        for t in range(len(held)):
            if t not in counted:
                held[t].zero_()
        flow_down(up, held)

    def learn() -> None:
        for table in fused.shared:
            counts[starts[table] - base : starts[table + 1] - base].zero_()
        for edges in fused.edges:
            if edges.learns:
                learn_edges(p, edges, new.flat, rounded, update)
            else:
                count_edges(p, edges, counts, base, True)
        for rows in fused.late_rows:
            maximise_sums(p.weights, counts, base, rows, new.flat, rounded, update)
        for leaves in fused.leaves:
            t = leaves.table
            if leaves.learns:
                lookup = new.lookups[t]
                assert lookup is not None
                learn_categories(p, leaves, up.parameters.leaves[t], new.leaves[t], lookup, update)
            else:
                count_categories(p, leaves, held[t], True)
        for t, table in enumerate(program.leaf_tables):
            if t not in alone:
                fused_leaves(table, up.parameters.leaves[t], held[t], new, t, update)
        up.report[-3:].copy_(up.flags)

    outputs = [new.flat, new.operands, *new.leaves, *(t for t in new.lookups if t is not None)]
    mark = (lambda _: None) if stamps is None else stamps.mark
    mark("forward")
    run(up, "flow", flow)
    mark("backward")
    run(up, "learn", learn, *outputs)
    mark("update")


def fused_leaves(table: LeafTable, old: Tensor, counts: Tensor, new: Parameters, t: int, update: Update) -> None:
    """M step of the categorical leaves of table ``t`` from counts in memory."""
    from pcbench_kernels.gpu import maximise_categorical

    learns = torch.ones(len(old), dtype=torch.int32, device=old.device) if table.trainable is None else table.trainable.int()
    lookup = new.lookups[t]
    assert lookup is not None
    maximise_categorical(old, counts, learns, new.leaves[t], lookup, update)


def _categories(table: LeafTable) -> int:
    assert table.categories is not None
    return table.categories
