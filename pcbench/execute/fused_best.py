"""Most probable explanations on a GPU: a max-product pass of one launch a level and shape, and a walk down the best trees.

Log values are float32 in programs of either precision, relative to a float64 scale of each block, and ties are broken as on
the CPU: the first of equal elements is taken. No mass can be lost, so that no batch needs the exact passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..compile import Program, weight_starts
from .evidence import Evidence
from .fused_densities import compute_densities, parameters_at, write_values
from .fused_evidence import FusedBatch, bytes_of_tables, fused_batch
from .fused_leaves import lay_out_codes, lookups_of
from .fused_pass import OUTSIDE, flags
from .fused_soft import best_of_all, choose_soft, fill_soft
from .fused_topdown import Wanted, empty_samples, leave_out, plan_of, root_of, type_of_values
from .leaves import write_logs
from .max_product import MAX_RULE
from .model import Parameters
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.gpu import Trees


@dataclass(frozen=True, eq=False)
class Explained:
    """Best trees of a batch, on the CPU.

    Attributes:
        state: ``[B, V]`` int64, evidence and the best tree's values of all other variables.
        log_tree: ``[B, outputs]`` float64, nats, of the best tree of each root node; −∞ where the evidence is impossible.
    """

    state: Tensor
    log_tree: Tensor


def bytes_of_trees(program: Program, soft: Iterable[int] = ()) -> int:
    """GPU memory that a row takes, with soft evidence on some columns."""
    fused = program.fused
    assert fused is not None
    slots = sum(len(leaves.variables) for leaves in fused.leaves)
    walked = 4 * (fused.num_values + fused.num_elements) + 16 * fused.num_units + 8 * slots
    return walked + 17 * len(program.circuit.variables) + bytes_of_tables(program, soft)


def fused_explain(
    program: Program, parameters: Parameters, evidence: Evidence, output: int, workspace: Workspace
) -> Explained | None:
    """The best tree of one root node in each row; ``None`` where other passes have to find it.

    Args:
        program, parameters: with fused layers.
        evidence: not checked yet, but for its form.
        output: the root node.
        workspace: buffers to use again.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    laid_out = fused_batch(program, evidence, workspace, soft=True)
    if laid_out is None:
        return None
    size, device = laid_out.size, program.device
    out = workspace.get("explained", (size, len(program.circuit.variables)), type_of_values(program), device)
    report = workspace.get("best report", (size * program.circuit.num_outputs + 1,), torch.float64, device)

    def passed() -> None:
        trees = _trees(program, parameters, laid_out, workspace)
        _launch(program, parameters, laid_out, trees, output, out, report, workspace)

    workspace.graphs.rehearse(("explain", program, size, laid_out.kind), passed, device)
    passed()
    workspace.remembered["tables of trees"] = parameters
    into = empty_samples(program, size)
    into.copy_(out, non_blocking=True)
    host = report.cpu()  # the only wait
    if bool(host[-1]):
        evidence.check(program.circuit.variables)
    leave_out(program, into, evidence, Wanted(0, size, 1, 0, output))
    return Explained(into, host[:-1].view(size, -1).clone())


def _launch(
    program: Program,
    parameters: Parameters,
    batch: FusedBatch,
    p: Trees,
    output: int,
    out: Tensor,
    report: Tensor,
    workspace: Workspace,
) -> None:
    from pcbench_kernels.gpu import best_of, explain_leaves, start_at, walk_down

    fused, raised, most = program.fused, flags(workspace, program.device), plan_of(program).most
    assert fused is not None
    column, unit = root_of(program, output)
    observed = replace(p, codes=batch.counted)
    likelihood = report[:-1].view(batch.size, -1)

    def work() -> None:
        raised.zero_()
        lay_out_codes(program, batch, raised[OUTSIDE:])
        compute_densities(program, parameters, batch, p.lookups, MAX_RULE.missing)
        for layer, longest in zip(fused.layers, most, strict=True):
            best_of(p, layer, longest)
        for first, node, root, nodes in fused.outputs:
            value = p.values[node * batch.size : (node + nodes) * batch.size].view(nodes, batch.size)
            torch.add(value.T.double(), p.scales[root][:, None], out=likelihood[:, first : first + nodes])
        report[-1].copy_(raised[OUTSIDE])
        start_at(p, unit, output - column)
        for layer, longest in zip(reversed(fused.layers), reversed(most), strict=True):
            walk_down(p, layer, longest)
        for leaves in fused.leaves:
            if leaves.looked_up:
                explain_leaves(observed, leaves, out)
            else:
                reached, modes = p.chosen[leaves.table], p.modes[leaves.table]
                write_values(batch, leaves, reached, parameters_at(modes[:, None], leaves, reached)[0], None, out)

    held = (p.weights, *parameters.leaves)
    key = ("explain", program, batch.size, output, batch.kind, workspace.moves, *(t.data_ptr() for t in held))
    workspace.graphs.run(key, work, program.device)
    if batch.soft:
        rows = torch.arange(batch.size, device=program.device)
        choose_soft(program, parameters, batch, p.chosen, rows, lambda _t, _slots, _part, weights: weights.argmax(1), out)


def _trees(program: Program, parameters: Parameters, batch: FusedBatch, workspace: Workspace) -> Trees:
    from pcbench_kernels.gpu import Trees

    fused, device, size = program.fused, program.device, batch.size
    assert fused is not None

    def flat(name: str, *shape: int, kind: torch.dtype = torch.float32) -> Tensor:
        return workspace.get(name, shape, kind, device)

    logs, lookups, modes = _tables(program, parameters, batch, workspace)
    return Trees(
        size,
        flat("best values", size * fused.num_values),
        flat("best elements", size * fused.num_elements),
        flat("best scales", fused.num_units, size, kind=torch.float64),
        flat("best peaks", fused.num_units, size),
        parameters.flat,
        logs,
        lookups,
        modes,
        batch.codes,
        flat("active", fused.num_units, size, kind=torch.int32),
        tuple(flat(f"chosen{leaves.table}", len(leaves.variables), size, kind=torch.int32) for leaves in fused.leaves),
    )


def _tables(
    program: Program, parameters: Parameters, batch: FusedBatch, workspace: Workspace
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Log weights, log tables and modes of leaves, as :class:`~pcbench_kernels.gpu.trees.Trees` has them: made anew for other
    parameters only."""
    fresh = workspace.remembered.get("tables of trees") is not parameters
    logs = workspace.get("log weights", tuple(parameters.flat.shape), torch.float32, program.device)
    if fresh:
        for start, weights in zip(weight_starts(program.sum_tables), parameters.weights, strict=False):
            sets, nodes, elements = weights.shape
            held = logs[start : start + weights.numel()].view(sets, elements, nodes)
            held.copy_(weights.transpose(1, 2)).log_()
    lookups, modes = list(lookups_of(program, parameters, batch, workspace)), []
    tables = list(lookups)
    for t, table in enumerate(program.leaf_tables):
        leaves, shape = parameters.leaves[t], (len(table.parameters), table.nodes)
        mode = workspace.get(f"modes{t}", shape, torch.float32 if table.categories is None else torch.int32, program.device)
        if fresh:
            mode.copy_(table.distribution.mode(leaves))
        modes.append(mode)
        if table.categories is None:
            continue  # its log densities are computed for each batch
        lookup = workspace.get(f"best logs{t}", (shape[0], table.categories + 1, shape[1]), torch.float32, program.device)
        if fresh:
            write_logs(table, leaves, lookup)
            torch.amax(lookup[:, :-1], 1, out=lookup[:, -1])
        tables[t] = lookup
        if t not in batch.hard:
            lookups[t] = lookup
    fill_soft(program, parameters, batch, tables, lookups, best_of_all)
    return logs, tuple(lookups), tuple(modes)
