"""An upward pass on a GPU while it is under way, and what it has come to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..compile import Program
from .fused_evidence import FusedBatch
from .model import Parameters
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLayer
    from pcbench_kernels.gpu import Pass

#: What may go wrong in a pass, each with a flag: mass was lost to underflow, a value is no category, a count is not finite.
#: With the last flag, no parameter changes.
FLAGS = 4
SUSPECT, OUTSIDE, WRONG, HOLD = range(FLAGS)


@dataclass(eq=False)
class FusedPass:
    """An upward pass, launched; a downward pass may follow.

    Attributes:
        launches: on the way up, for so many samples.
        report: float64, on the GPU: log-likelihoods ``[B, outputs]``, then the flags. Of a step, pinned.
    """

    program: Program
    parameters: Parameters
    batch: FusedBatch
    buffers: Pass
    launches: tuple[FusedLayer, ...]
    workspace: Workspace
    report: Tensor

    @property
    def likelihood(self) -> Tensor:
        """``[B, outputs]``, on the GPU."""
        return self.report[:-FLAGS].view(self.batch.size, -1)

    @property
    def flags(self) -> Tensor:
        """``[4]`` int32, on the GPU."""
        return flags(self.workspace, self.program.device)

    def settle(self) -> Settled:
        """Wait for the GPU, and judge what it reports; see :meth:`judge`."""
        host = self.report.cpu()
        return self.judge(host[:-FLAGS].view(self.batch.size, -1), host[-FLAGS:].tolist())

    def judge(self, likelihood: Tensor, raised: Sequence[float]) -> Settled:
        """What log-likelihoods ``[B, outputs]`` and flags (0: down) say. Warns once that mass was lost.

        Raises:
            DataError: naming the row, the variable and the value that is no category.
        """
        suspect, outside, wrong = raised[SUSPECT] != 0, raised[OUTSIDE] != 0, raised[WRONG] != 0
        if outside:
            self.batch.evidence.check(self.program.circuit.variables)
        if suspect and not outside:
            self.workspace.given_up += 1
        if suspect and not outside and self.workspace.given_up == 1:
            warnings.warn(
                "a sum lost mass to underflow in the fused passes: a node sees none of the likely elements of its block. "
                "Such batches go through the exact passes again, which take many times as long; dense sums never need it.",
                RuntimeWarning,
                stacklevel=5,
            )
        return Settled(likelihood, not suspect, wrong)


@dataclass(frozen=True, eq=False)
class Settled:
    """What a pass or a step has come to.

    Attributes:
        log_likelihood: ``[B, outputs]`` float64, on the CPU.
        exact: whether every linear sum kept its mass; otherwise nothing of the pass is to be used.
        wrong: whether some expected count is not finite.
    """

    log_likelihood: Tensor
    exact: bool
    wrong: bool


def flags(workspace: Workspace, device: torch.device) -> Tensor:
    """See :data:`SUSPECT`, :data:`OUTSIDE`, :data:`WRONG`, :data:`HOLD`."""
    return workspace.get("flags", (FLAGS,), torch.int32, device)


def flows_into(up: FusedPass, table: int, entries: Sequence[int]) -> Tensor:
    """After the way down: flows ``[entries, B, N]`` float32 into the leaves of some places in a table's ``uses`` (−1: none).

    They lie in the workspace, and are overwritten by the next ones.
    """
    from pcbench_kernels.gpu import leaf_flows

    assert up.program.fused is not None
    leaves = up.program.fused.leaves[table]
    out = up.workspace.get("flows of leaves", (len(entries), up.batch.size, leaves.nodes), torch.float32, up.program.device)
    leaf_flows(up.buffers, leaves, torch.tensor(entries).to(up.program.device), out)
    return out
