"""Training passes on a GPU: one launch a level, or some, captured in CUDA graphs after the first step of a shape.

Elements of sums, and flows by value, are stored once, in the precision of the matrix products that read them. A layer in
which a linear sum nearly vanished raises a flag, and the batch is evaluated again by the exact passes: nothing is clamped.
Flags and log-likelihoods come to the CPU together, once a pass or a step, so that the GPU never waits in between.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..compile import Program
from ..compile.fuse import Fused
from .fused_densities import compute_densities
from .fused_evidence import FusedBatch
from .fused_leaves import count_leaves, lay_out_codes, lookups_of, samples_of, sort_all
from .fused_pass import FLAGS, HOLD, OUTSIDE, SUSPECT, WRONG, FusedPass, flags
from .fused_soft import fill_soft, fused_soft
from .graphs import beside
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLayer
    from pcbench_kernels.gpu import Launches, Pass


def fused_upward(
    program: Program,
    parameters: Parameters,
    batch: FusedBatch,
    workspace: Workspace,
    downward: bool = False,
    keep: bool = False,
) -> FusedPass:
    """Launches that compute the value of every unit; with ``downward``, they keep what a downward pass needs, with ``keep``
    the elements only."""
    up = new_pass(program, parameters, batch, workspace, downward, keep)

    def work() -> None:
        begin(up)
        climb(up)
        report_flags(up)

    fill_soft(program, parameters, batch, parameters.gathered, up.buffers.lookups)
    run(up, ("up", downward, keep, batch.kind), work)
    return up


def new_pass(
    program: Program,
    parameters: Parameters,
    batch: FusedBatch,
    workspace: Workspace,
    downward: bool,
    keep: bool = False,
    report: Tensor | None = None,
) -> FusedPass:
    """A pass with its buffers, not launched; ``report``: where it shall report, other than in the workspace."""
    p = _buffers(program, parameters, batch, workspace, downward, keep)
    if report is None:
        report = workspace.get("report", (length_of_report(program, batch.size),), torch.float64, program.device)
    return FusedPass(program, parameters, batch, p, _launches(program, batch.size), workspace, report)


_known: WeakKeyDictionary[Fused, Launches] = WeakKeyDictionary()


def _launches(program: Program, size: int) -> tuple[FusedLayer, ...]:
    from pcbench_kernels.gpu import Launches

    assert program.fused is not None
    if program.fused not in _known:
        _known[program.fused] = Launches(program.fused.layers)
    return _known[program.fused].of(size)


def length_of_report(program: Program, size: int) -> int:
    """Numbers that a pass over ``size`` rows reports."""
    return size * program.circuit.num_outputs + FLAGS


def begin(up: FusedPass, behind: bool = False) -> None:
    """The launches ahead of all layers: flags, and what the leaves look up. ``behind`` a step that may change no parameter,
    or has counts that are not finite, neither does this pass."""
    if behind:
        from pcbench_kernels.gpu import renew

        renew(up.flags, WRONG)
    else:
        up.flags.zero_()
    if any(layer.chain is not None for layer in up.launches):
        up.buffers.done.zero_()
    lay_out_codes(up.program, up.batch, up.flags[OUTSIDE:])
    compute_densities(up.program, up.parameters, up.batch, up.buffers.lookups)


def climb(up: FusedPass, hold: bool = False) -> None:
    """The launches of all layers, then log-likelihoods, and the seeds of a way down; with ``hold``, the flag of that name."""
    from pcbench_kernels.gpu import conclude, value_of

    fused = up.program.fused
    assert fused is not None
    for layer in up.launches:
        value_of(up.buffers, layer)
    widest = max(nodes for *_, nodes in fused.outputs)
    conclude(up.buffers, fused.roots, widest, up.report, up.flags[HOLD:] if hold else None)


def report_flags(up: FusedPass) -> None:
    """The launch that writes the flags behind the log-likelihoods."""
    from pcbench_kernels.gpu import tell

    tell(up.flags, up.report[-FLAGS:])


def fused_downward(up: FusedPass, statistics: Statistics) -> None:
    """Add the batch's expected counts to ``statistics``; their number of rows and log-likelihood are the caller's."""
    from pcbench_kernels.gpu import count_edges

    fused, p = up.program.fused, up.buffers
    assert fused is not None
    fresh = statistics.rows == 0
    samples = samples_of(up)

    def count() -> None:
        for edges in fused.edges:
            count_edges(p, edges, statistics.flat, 0, fresh)

    def work() -> None:
        if fresh:
            for part in fused.late:
                if part.shared:  # the others are written
                    statistics.flat[part.base : part.end].zero_()
        with beside(up.program.device) as hand_over:
            sorted_out = hand_over(lambda: sort_all(up, samples))
            flow_down(up)
            hand_over(count)
            sorted_out()
            count_leaves(up, samples, statistics, fresh)

    run(up, ("down", fresh, up.batch.kind), work, statistics.flat, *statistics.leaves)
    for t in up.batch.hard:
        fused_soft(up, t, statistics.leaves[t][:, :-1], {})


def flow_down(up: FusedPass, behind: Mapping[int, Callable[[], object]] = MappingProxyType({})) -> None:
    """The launches of flows; ``behind`` some of them, by their places, something else is done."""
    from pcbench_kernels.gpu import flow_through

    for layer in reversed(up.launches):
        flow_through(up.buffers, layer)
        for place in reversed(layer.places):
            if place in behind:
                behind[place]()


def run(up: FusedPass, what: Hashable, work: Callable[[], None], *more: Tensor) -> None:
    """Work of a pass, captured. The key is everything that a captured graph has baked in: the program, the batch size, and
    where tensors lie (``more``: other than those of the parameters)."""
    key = (what, up.program, up.batch.size, up.workspace.moves, *up.parameters.places, *(t.data_ptr() for t in more))
    up.workspace.graphs.run(key, work, up.program.device)


def _buffers(
    program: Program, parameters: Parameters, batch: FusedBatch, workspace: Workspace, downward: bool, keep: bool
) -> Pass:
    from pcbench_kernels.gpu import FILL, Pass

    fused, device, size = program.fused, program.device, batch.size
    assert fused is not None

    def flat(name: str, count: int, kind: torch.dtype) -> Tensor:
        return workspace.get(name, (count,), kind, device)

    in_place = fused.ratios_in_place and downward
    values = flat("fused values", size * (fused.num_ratios if in_place else fused.num_values), fused.logs)
    ratios = (
        values.view(fused.operands) if in_place else flat("ratios", size * fused.num_ratios if downward else 1, fused.operands)
    )
    tickets = flat("tickets", FILL * len(fused.layers), torch.int32)
    if workspace.remembered.get("tickets") != tickets.data_ptr():
        workspace.remembered["tickets"] = tickets.zero_().data_ptr()
    return Pass(
        size,
        values,
        ratios,
        tickets,
        flat("done", 2 * FILL * len(fused.layers), torch.int32),
        flat("fused elements", size * fused.num_elements, fused.operands),
        flat("flows", size * fused.num_elements if downward else 1, fused.logs),
        workspace.get("fused scales", (fused.num_scales, size), torch.float64, device),
        workspace.get("seeds", (size, program.circuit.num_outputs), program.dtype, device),
        parameters.flat,
        parameters.operands,
        lookups_of(program, parameters, batch, workspace),
        batch.codes,
        flags(workspace, device)[SUSPECT:],
        downward or keep,
        fused.precision,
    )
