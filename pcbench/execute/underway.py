"""Steps of EM in place that a GPU has been told to do, one behind the other, before anybody has waited for the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import DataError
from .evidence import Evidence
from .fused_evidence import FusedBatch, fused_batch
from .fused_pass import flags
from .fused_update import FusedStep, fused_step
from .maximise import recycled
from .model import Model
from .stamps import Clock, Stamps
from .workspace import Workspace

#: Steps under way at once: two keep a GPU at work, and each more takes memory of the CPU for what it reports.
LANES = 2


class Stepped(NamedTuple):
    """What a step of EM gives.

    Attributes:
        model: with the new parameters.
        log_likelihood: ``[B, outputs]`` float64, nats, under the old ones.
    """

    model: Model
    log_likelihood: Tensor


@dataclass(eq=False)
class Underway:
    """A step that a GPU is at work on.

    Attributes:
        old, new: the model that it reads, and the one that it makes.
        evidence: the batch.
        step_size, pseudocount: of the step.
        void: an earlier step of the workspace changed no parameter, and so does this one: it has to be launched anew.
    """

    old: Model
    new: Model
    evidence: Evidence
    step_size: float
    pseudocount: float
    workspace: Workspace
    step: FusedStep
    clock: Clock | None
    stamps: Stamps | None
    void: bool = False

    @property
    def in_place(self) -> bool:
        """Whether the new model lies where the old one does."""
        return self.new.parameters.places == self.old.parameters.places

    def settle(self) -> Stepped | None:
        """Wait for it. ``None``: it lost mass, or is void, and the old model is as it was.

        Whenever no parameter was changed, all steps launched after this one are void.

        Raises:
            DataError: for a value outside its domain, or counts that are not finite; the model is as it was, but for those of
                its other nodes that have been updated in place by then.
        """
        if self.void:
            return None
        waiting = self.workspace.under_way
        assert waiting and waiting[0] is self, "steps are settled in the order of their launches"
        try:
            self.step.wait()
            waiting.pop(0)
            if self.step.held:
                forget_steps(self.workspace, self.old.program.device)
            settled = self.step.settle()
        except BaseException:
            forget_steps(self.workspace, self.old.program.device)
            raise
        if settled.wrong and settled.exact:
            kept = "the nodes in question were not changed" if self.in_place else "the model was not changed"
            raise DataError(f"the expected counts of a layer hold NaN or infinity; {kept}")
        if self.clock is not None and self.stamps is not None:
            self.clock.divide(self.stamps.seconds())
        return Stepped(self.new, settled.log_likelihood) if settled.exact else None


def launch_step(
    model: Model,
    evidence: Evidence,
    step_size: float,
    pseudocount: float,
    workspace: Workspace,
    recycle: Model | None = None,
    clock: Clock | None = None,
) -> Underway | None:
    """Tell the GPU to do a step; arguments as of :func:`~pcbench.execute.em_step`. ``None``: it has to be done another way, or
    those under way have to be settled first.

    Behind a step under way, the model has to be what that one makes, and each is to be written over the one before
    (``recycle``: ``model`` itself): a step that may change no parameter holds all those behind it.
    """
    with torch.no_grad():
        laid_out = fused_batch(model.program, evidence, workspace)
        if laid_out is None:
            return None
        in_place = recycle is model
        new = model if in_place else recycled(model, recycle)
        step = fused_step(model.program, model.parameters, new.parameters, laid_out, workspace)
        if not _ready(step, laid_out, step_size, pseudocount, workspace):
            return None
        stamps = step.launch(step_size, pseudocount, timed=clock is not None)
        if in_place:  # while the GPU is at work
            new = Model(model.program, model.parameters.again(model.program))
        under_way = Underway(model, new, evidence, step_size, pseudocount, workspace, step, clock, stamps)
        workspace.under_way.append(under_way)
        return under_way


def _ready(step: FusedStep, batch: FusedBatch, step_size: float, pseudocount: float, workspace: Workspace) -> bool:
    """Whether a step may be launched; compiles its kernels, unless others are under way."""
    if workspace.under_way:
        return step.rehearsed and len(workspace.under_way) < LANES
    program = step.up.program
    if not step.rehearsed:
        key = ("step", program, batch.size, batch.kind)
        workspace.graphs.rehearse(key, lambda: step.launch(step_size, pseudocount), program.device)
        step.rehearsed = True
    flags(workspace, program.device).zero_()  # those of a step hold the steps behind it
    return True


def forget_steps(workspace: Workspace, device: torch.device) -> None:
    """Whatever is under way is void, and has come to its end."""
    if workspace.under_way and device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    for step in workspace.under_way:
        step.void = True
    workspace.under_way.clear()
