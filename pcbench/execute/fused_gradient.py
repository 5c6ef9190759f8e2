"""Gradients by the fused passes: expected counts whose rows are weighed with the gradient that arrives from above.

Flows take its sign. They are float16 in programs with ``precision="fast"``: relative to the largest seed of a batch they hold
14 bits more than numbers below one do, so that a row's flows vanish only where they are some 1e-12 of the largest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..compile import Program
from .evidence import Evidence
from .fused import flow_down, fused_downward, fused_upward, run
from .fused_evidence import fused_batch
from .fused_pass import FusedPass
from .model import Parameters
from .statistics import Statistics
from .workspace import Workspace

#: Bits by which seeds may lie above one: flows of float16 end at 2¹⁶, and rounding may add to them.
BITS = 14


def fused_evaluation(program: Program, parameters: Parameters, evidence: Evidence, workspace: Workspace) -> FusedPass | None:
    """An upward pass that gradients can be taken of; ``None`` where the exact passes have to do it.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    laid_out = fused_batch(program, evidence, workspace, soft=True)
    if laid_out is None:
        return None

    def passed() -> FusedPass:
        up = fused_upward(program, parameters, laid_out, workspace, downward=True)
        return up

    def rehearsed() -> None:
        fused_downward(passed(), Statistics.within(program, workspace))

    workspace.graphs.rehearse(("gradient", program, laid_out.size, laid_out.kind), rehearsed, program.device)
    up = passed()
    return up if up.settle().exact else None


def fused_counts(up: FusedPass, upstream: Tensor, counted: bool) -> tuple[Statistics | None, Tensor]:
    """Flows of a batch, its counts if they are wanted, and the number ``[]`` (on the GPU) to multiply both with.

    They lie in the workspace of the pass, and are overwritten by the next ones there. Nothing is waited for.

    Args:
        up: from :func:`fused_evaluation`; its elements are overwritten.
        upstream: ``[B, outputs]``, weight of each root node in each row, of either sign.
        counted: whether counts are wanted.
    """
    seeds = torch.where(torch.isfinite(up.likelihood), upstream.to(up.program.device).double(), 0.0)
    largest = seeds.abs().amax()
    largest = torch.where((largest > 0) & (largest < torch.inf), largest, 1.0)
    # A node below several roots gets the flows of all of them.
    level = 2.0 ** (BITS - (up.program.circuit.num_outputs - 1).bit_length())
    up.buffers.seeds.copy_(seeds * (level / largest))
    if not counted:
        run(up, "flow", lambda: flow_down(up))
        return None, largest / level
    statistics = Statistics.within(up.program, up.workspace)
    fused_downward(up, statistics)
    return statistics, largest / level
