"""Training passes on a GPU: one launch a layer, captured in CUDA graphs after the first step of a shape.

The passes of ``upward.py`` and ``downward.py`` keep elements in memory; these recompute them, and store values, scales and
flows only. A layer in which a linear sum nearly vanished raises a flag, and the batch is evaluated again by the exact
passes: nothing is clamped.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..compile import Layer, Program
from .evidence import Batch
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

@dataclass(eq=False)
class FusedPass:
    """An upward pass that a downward pass may follow.

    Attributes:
        log_likelihood: ``[B, outputs]`` float64, on the CPU.
        exact: whether every linear sum kept its mass; otherwise the log-likelihood is not to be used.
    """

    program: Program
    parameters: Parameters
    buffers: Any
    workspace: Workspace
    device_likelihood: Tensor
    log_likelihood: Tensor
    exact: bool


def can_fuse(program: Program, batch: Batch) -> bool:
    """Whether this program has fused kernels, and the evidence needs nothing else."""
    return program.fused is not None and not batch.soft


def fused_upward(
    program: Program, parameters: Parameters, batch: Batch, workspace: Workspace, statistics: Statistics | None = None
) -> FusedPass:
    """Values of every unit. With ``statistics``, buffers for :func:`fused_downward` are laid out as well."""
    from pcbench_kernels.gpu import value_of

    assert program.fused is not None
    layers, device = program.fused.layers, program.device
    p = _buffers(program, parameters, batch, workspace, statistics)
    out = workspace.get("log likelihood", (batch.size, program.circuit.num_outputs), torch.float64, device)

    def work() -> None:
        p.suspect.zero_()
        for layer in layers:
            value_of(p, layer)
        for layer in program.layers:
            for block, column in layer.outputs:
                at = (_first_node(program, layer) + block * layer.nodes) * batch.size
                value = p.values[at : at + batch.size * layer.nodes].view(batch.size, layer.nodes)
                scale = p.scales[layer.unit + block][:, None]
                torch.add(value.double(), scale, out=out[:, column : column + layer.nodes])

    workspace.graphs.run(("up", *_key(program, parameters, batch, workspace, None)), work, device)
    suspect = bool(p.suspect.item())
    return FusedPass(program, parameters, p, workspace, out, out.cpu(), not suspect)


def fused_downward(up: FusedPass, statistics: Statistics) -> None:
    """Add the batch's expected counts to ``statistics``."""
    from pcbench_kernels.gpu import flow_through

    program, p = up.program, up.buffers
    assert program.fused is not None
    layers = program.fused.layers
    fresh = statistics.rows == 0

    def work() -> None:
        p.seeds.copy_(torch.isfinite(up.device_likelihood))
        if fresh:
            for t, table in enumerate(program.sum_tables):
                if not table.untied:
                    statistics.weights[t].zero_()
            for counts in statistics.leaves:
                counts.zero_()
        for layer in reversed(layers):
            flow_through(p, layer, fresh)

    key = ("down", fresh, *_key(program, up.parameters, p, up.workspace, statistics))
    up.workspace.graphs.run(key, work, program.device)
    statistics.rows += p.size
    statistics.log_likelihood += float(up.log_likelihood.sum())


def _first_node(program: Program, layer: Layer) -> int:
    assert program.fused is not None
    return program.fused.layers[layer.index].first_node


def _key(program: Program, parameters: Parameters, batch: Any, workspace: Workspace, s: Statistics | None) -> tuple[Hashable, ...]:
    """Everything that a captured pass has baked in: the program, the batch size, and where tensors lie."""
    tables = [*parameters.weights, *(t for t in parameters.lookups if t is not None)]
    tables += [] if s is None else [*s.weights, *s.leaves]
    return (program, batch.size, workspace.moves, *(t.data_ptr() for t in tables))


def _buffers(
    program: Program, parameters: Parameters, batch: Batch, workspace: Workspace, statistics: Statistics | None
) -> Any:
    from pcbench_kernels.gpu import Pass

    assert program.fused is not None
    device, size, dtype = program.device, batch.size, program.dtype
    fast = program.fused.precision == "fast" and device.type == "cuda"
    training = statistics is not None

    def flat(name: str, count: int, kind: torch.dtype) -> Tensor:
        return workspace.get(name, (count,), kind, device)

    codes = []
    for t, code in enumerate(batch.codes):
        assert code is not None
        held = workspace.get(f"codes{t}", tuple(code.shape), torch.int64, device)
        held.copy_(code)
        codes.append(held)
    lookups = tuple(t for t in parameters.lookups if t is not None)
    values = flat("values", size * sum(w * r for w, r in program.value_rows.items()), dtype)
    flows = flat("flows", size * sum(w * r for w, r in program.element_rows.items()) if training else 1, dtype)
    widest = max((f.groups * f.nodes for f in program.fused.layers if f.is_sum), default=1)
    ratio = flat("ratio", size * widest if training else 1, torch.bfloat16 if fast else dtype)
    scales = workspace.get("scales", (program.num_units, size), torch.float64, device)
    seeds = workspace.get("seeds", (size, program.circuit.num_outputs), dtype, device)
    suspect = workspace.get("suspect", (1,), torch.int32, device)
    edge_counts = () if statistics is None else tuple(statistics.weights)
    leaf_counts = () if statistics is None else tuple(statistics.leaves)
    return Pass(
        size,
        values,
        flows,
        scales,
        ratio,
        seeds,
        parameters.weights,
        lookups,
        tuple(codes),
        suspect,
        edge_counts,
        leaf_counts,
        "fast" if fast else "exact",
    )
