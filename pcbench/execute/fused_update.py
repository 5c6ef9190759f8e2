"""The M step on a GPU: in the launches that count, or in one pass over each table that they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass

from ..compile import LeafTable, Program, weight_starts
from .fused import WRONG, FusedPass, flags, flow_down, run, samples_of
from .model import Parameters
from .stamps import Stamps
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.gpu import Update


def updates_alone(program: Program) -> bool:
    """Whether the launches of a step update every parameter."""
    return program.fused is not None and all(leaves.learns for leaves in program.fused.leaves)


def update_of(program: Program, workspace: Workspace, step: float, pseudocount: float) -> Update:
    """Step size and pseudocount where launches read them, and the flag that they raise."""
    from pcbench_kernels.gpu import Update

    rates = workspace.get("rates", (2,), torch.float32, program.device)
    if workspace.remembered.get("rates") != (step, pseudocount):
        rates.copy_(torch.tensor([step, pseudocount]))
        workspace.remembered["rates"] = (step, pseudocount)
    return Update(rates, flags(workspace, program.device)[WRONG:], least_mass(program.dtype))


def fused_learn(up: FusedPass, update: Update, new: Parameters, stamps: Stamps | None = None) -> None:
    """Flows, expected counts and the M step of one batch, into the memory of ``new``; its old contents do not matter.

    Counts are kept only for weights that no launch updates while it counts.
    """
    from pcbench_kernels.gpu import add_up, count_edges, learn_categories, learn_edges, maximise_sums, sort

    program, p, workspace = up.program, up.buffers, up.workspace
    fused = program.fused
    assert fused is not None
    base, end = fused.late_weights
    counts = workspace.get("late counts", (end - base,), torch.float32, program.device)
    samples = [samples_of(up, leaves) for leaves in fused.leaves]
    starts = weight_starts(program.sum_tables)
    rounded = None if new.operands.data_ptr() == new.flat.data_ptr() else new.operands

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
        for leaves, found in zip(fused.leaves, samples, strict=True):
            t = leaves.table
            sort(p, leaves, found)
            add_up(p, leaves, found)
            learn_categories(p, leaves, found, up.parameters.leaves[t], new.leaves[t], new.gathered[t], update)
        up.report[-3:].copy_(up.flags)

    outputs = [new.flat, new.operands, *new.leaves, *new.gathered]
    mark = (lambda _: None) if stamps is None else stamps.mark
    mark("forward")
    run(up, "flow", lambda: flow_down(up))
    mark("backward")
    run(up, "learn", learn, *outputs)
    mark("update")


def fused_leaves(table: LeafTable, old: Tensor, counts: Tensor, new: Parameters, t: int, update: Update) -> None:
    """M step of the categorical leaves of table ``t`` from counts in memory."""
    from pcbench_kernels.gpu import maximise_categorical

    learns = torch.ones(len(old), dtype=torch.int32, device=old.device) if table.trainable is None else table.trainable.int()
    maximise_categorical(old, counts, learns, new.leaves[t], new.gathered[t], update)
