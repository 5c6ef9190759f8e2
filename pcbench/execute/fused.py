"""Training passes on a GPU: one launch a layer, captured in CUDA graphs after the first step of a shape.

Elements of sums, and flows by value, are stored once, in the precision of the matrix products that read them. A layer in
which a linear sum nearly vanished raises a flag, and the batch is evaluated again by the exact passes: nothing is clamped.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..compile import Program
from ..compile.fuse import arena_starts
from .evidence import Batch, Evidence
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.gpu import Pass


@dataclass(eq=False)
class FusedPass:
    """An upward pass that a downward pass may follow.

    Attributes:
        log_likelihood: ``[B, outputs]`` float64, on the CPU.
        exact: whether every linear sum kept its mass; otherwise the log-likelihood is not to be used.
    """

    program: Program
    parameters: Parameters
    buffers: Pass
    workspace: Workspace
    device_likelihood: Tensor
    log_likelihood: Tensor
    exact: bool


def fused_batch(program: Program, evidence: Evidence, workspace: Workspace) -> Batch | None:
    """Evidence laid out for the fused passes, or ``None`` when this program or evidence needs the others.

    Integer data in which everything is observed is checked by the kernel that lays it out; the flag is read with the result.
    """
    if program.fused is None or evidence.soft:
        return None
    device, values = program.device, evidence.values
    flags = workspace.get("flags", (2,), torch.int32, device)
    flags.zero_()
    plain = evidence.observed is None and not values.is_floating_point() and not values.is_complex() and values.numel() > 0
    if not plain or values.dtype == torch.bool or values.ndim != 2 or values.shape[1] != program.fused.variables:
        return Batch.of(program, evidence)
    from pcbench_kernels.gpu import encode_data

    data, codes = values.to(device), []
    for t, table in enumerate(program.leaf_tables):
        held = workspace.get(f"codes{t}", (len(table.rows), len(data)), torch.int64, device)
        assert table.categories is not None
        encode_data(data, table.variables, table.rows, held, flags[1:], table.categories)
        codes.append(held)
    return Batch(len(data), tuple(codes), data.T, None, {})


def fused_upward(
    program: Program, parameters: Parameters, batch: Batch, workspace: Workspace, statistics: Statistics | None = None
) -> FusedPass:
    """Values of every unit. With ``statistics``, buffers for :func:`fused_downward` are laid out as well."""
    from pcbench_kernels.gpu import value_of

    assert program.fused is not None
    layers, device, starts = program.fused.layers, program.device, arena_starts(program.value_rows)
    p = _buffers(program, parameters, batch, workspace, statistics)
    out = workspace.get("log likelihood", (batch.size, program.circuit.num_outputs), torch.float64, device)

    def work() -> None:
        for layer in layers:
            value_of(p, layer)
        for top in program.layers:
            for block, column in top.outputs:
                at = (starts[top.nodes] + (top.value_row + block) * top.nodes) * batch.size
                value = p.values[at : at + batch.size * top.nodes].view(batch.size, top.nodes)
                scale = p.scales[top.unit + block][:, None]
                torch.add(value.double(), scale, out=out[:, column : column + top.nodes])

    workspace.graphs.run(("up", *_key(program, parameters, batch, workspace, None)), work, device)
    likelihood = out.cpu()
    suspect, outside = workspace.get("flags", (2,), torch.int32, device).tolist()
    if outside:
        Evidence(batch.values.T).check(program.circuit.variables)  # names the row, the variable and the value
    return FusedPass(program, parameters, p, workspace, out, likelihood, not suspect)


def fused_downward(up: FusedPass, statistics: Statistics) -> None:
    """Add the batch's expected counts to ``statistics``."""
    from pcbench_kernels.gpu import count_categories, count_edges, flow_through

    program, p = up.program, up.buffers
    fused = program.fused
    assert fused is not None
    fresh = statistics.rows == 0
    counted = {leaves.table for leaves in fused.leaves}

    def work() -> None:
        p.seeds.copy_(torch.isfinite(up.device_likelihood))
        if fresh:
            for table in fused.shared:  # the others are written
                statistics.weights[table].zero_()
            for table, counts in enumerate(statistics.leaves):
                if table not in counted:
                    counts.zero_()
        for layer in reversed(fused.layers):
            flow_through(p, layer)
        for edges in fused.edges:
            count_edges(p, edges, fresh)
        for leaves in fused.leaves:
            count_categories(p, leaves, fresh)

    key = ("down", fresh, *_key(program, up.parameters, p, up.workspace, statistics))
    up.workspace.graphs.run(key, work, program.device)
    statistics.rows += p.size
    statistics.log_likelihood += float(up.log_likelihood.sum())


def _key(
    program: Program, parameters: Parameters, batch: Batch | Pass, workspace: Workspace, s: Statistics | None
) -> tuple[Hashable, ...]:
    """Everything that a captured pass has baked in: the program, the batch size, and where tensors lie."""
    tables = [parameters.flat, parameters.operands, *(t for t in parameters.lookups if t is not None)]
    tables += [] if s is None else [s.flat, *s.leaves]
    return (program, batch.size, workspace.moves, *(t.data_ptr() for t in tables))


def _buffers(
    program: Program, parameters: Parameters, batch: Batch, workspace: Workspace, statistics: Statistics | None
) -> Pass:
    from pcbench_kernels.gpu import Pass

    assert program.fused is not None
    device, size, dtype = program.device, batch.size, program.dtype
    training = statistics is not None

    def flat(name: str, count: int, kind: torch.dtype) -> Tensor:
        return workspace.get(name, (count,), kind, device)

    codes = []
    for t, code in enumerate(batch.codes):
        assert code is not None
        held = workspace.get(f"codes{t}", tuple(code.shape), torch.int64, device)
        if held.data_ptr() != code.data_ptr():
            held.copy_(code)
        codes.append(held)
    nodes = sum(w * r for w, r in program.value_rows.items())
    elements = sum(w * r for w, r in program.element_rows.items())
    operand = program.fused.operands
    # Flows lie in [0, 1], where float16 is eight times finer than bfloat16; what is below 6e-8 does not matter.
    flow = torch.float16 if operand == torch.bfloat16 else dtype
    return Pass(
        size,
        flat("values", size * nodes, dtype),
        flat("ratios", size * nodes if training else 1, operand),
        flat("elements", size * elements, operand),
        flat("flows", size * elements if training else 1, flow),
        workspace.get("scales", (program.fused.num_scales, size), torch.float64, device),
        workspace.get("seeds", (size, program.circuit.num_outputs), dtype, device),
        parameters.flat,
        parameters.flat if statistics is None else statistics.flat,
        parameters.operands,
        tuple(t for t in parameters.lookups if t is not None),
        tuple(codes),
        workspace.get("flags", (2,), torch.int32, device),
        () if statistics is None else tuple(statistics.leaves),
        program.fused.precision,
    )
