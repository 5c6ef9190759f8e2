"""The M step on a GPU: in the launches that count, or in one pass over each table that they leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass

from ..compile import LeafTable, Program
from .fused import begin, climb, flow_down, length_of_report, new_pass, report_flags
from .fused_evidence import FusedBatch
from .fused_leaves import learn_leaves, samples_of, sort_all
from .fused_pass import FLAGS, HOLD, WRONG, Settled, flags
from .graphs import HandOver, beside
from .model import Parameters
from .stamps import Stamps
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedStage
    from pcbench_kernels.gpu import Update


def update_of(program: Program, workspace: Workspace) -> Update:
    """Where launches read step size and pseudocount, and the flag that they raise."""
    from pcbench_kernels.gpu import Update

    rates = workspace.get("rates", (2,), torch.float32, program.device)
    raised = flags(workspace, program.device)
    return Update(rates, raised[WRONG:], raised[HOLD:], least_mass(program.dtype))


_numbers = count()


class FusedStep:
    """A step of EM over batches of one size, from one piece of memory into another: buffers, and the launches in their order.

    Made once; what changes from step to step is read from memory: data, parameters, and the rates of ``update``. Both pieces
    may be the same (in place): then nothing is written where a value is no category, mass was lost, or a row has no likelihood.
    ``rehearsed``: whether its kernels have been compiled.
    """

    def __init__(self, program: Program, old: Parameters, new: Parameters, batch: FusedBatch, workspace: Workspace) -> None:
        assert program.fused is not None
        # The GPU writes what it reports into the CPU's memory: nothing is copied at the end.
        cuda = program.device.type == "cuda"
        report = torch.empty(length_of_report(program, batch.size), dtype=torch.float64, pin_memory=cuda)
        self.up = new_pass(program, old, batch, workspace, downward=True, report=report)
        self._likelihood, self._raised = self.up.likelihood, report[-FLAGS:]
        self._end = torch.cuda.Event() if cuda else None
        self._rates = torch.empty(2, pin_memory=cuda)
        self._new, self._number = new, next(_numbers)
        self._in_place = old.places == new.places
        self._samples = samples_of(self.up)
        most = max((part.end - part.base for part in program.fused.late), default=0)
        self._counts = workspace.get("late counts", (most,), torch.float32, program.device)
        self._update = update_of(program, workspace)
        self.moves, self.rehearsed, self._launched = workspace.moves, False, False
        self.memory = frozenset((*old.places, *new.places))

    def launch(self, step: float, pseudocount: float, timed: bool = False) -> Stamps | None:
        """All of it; where it is ``timed``, in as many graphs as parts, with stamps at their ends."""
        set_rates(self._update, self.up.workspace, step, pseudocount, self._rates)
        stamps = self._timed() if timed else None
        if not timed:
            self._run("step", self._step)
        if self._end is not None:
            self._end.record(torch.cuda.current_stream(self.up.program.device))
        self._launched = True
        return stamps

    def _timed(self) -> Stamps:
        parts = {"forward": self._forward, "backward": lambda: flow_down(self.up), "update": self._learn}
        if self._launched:  # graphs that are made in between would count as time of the GPU
            for part, work in parts.items():
                self.up.workspace.graphs.capture((self._number, part), work, self.up.program.device)
        stamps = Stamps(self.up.program.device)
        for part, work in parts.items():
            self._run(part, work)
            stamps.mark(part)
        return stamps

    def wait(self) -> None:
        """Wait for the GPU to come to the end of the step."""
        if self._end is not None:
            self._end.synchronize()

    @property
    def held(self) -> bool:
        """After :meth:`wait`: whether steps launched behind this one change no parameter."""
        raised = self._raised.tolist()
        return bool(raised[WRONG] or raised[HOLD])

    def settle(self) -> Settled:
        """After :meth:`wait`; see :meth:`FusedPass.judge`."""
        return self.up.judge(self._likelihood.clone(), self._raised.tolist())

    def _run(self, what: str, work: Callable[[], None]) -> None:
        self.up.workspace.graphs.run((self._number, what), work, self.up.program.device)

    def _step(self) -> None:
        """Weights are counted and updated beside the flows of blocks below, and the last of them beside the leaves."""
        fused = self.up.program.fused
        assert fused is not None
        with beside(self.up.program.device) as hand_over:
            sorted_out = self._climb(hand_over)
            flow_down(self.up, {stage.after: partial(hand_over, partial(self._count, stage)) for stage in fused.stages})
            sorted_out()
            learn_leaves(self.up, self._samples, self._new, self._update)
        report_flags(self.up)

    def _climb(self, hand_over: HandOver) -> Callable[[], None]:
        """From the data up, while samples are sorted; what comes back waits for these."""
        begin(self.up, behind=self._in_place)
        sorted_out = hand_over(lambda: sort_all(self.up, self._samples))
        climb(self.up, hold=self._in_place)
        return sorted_out

    def _forward(self) -> None:
        with beside(self.up.program.device) as hand_over:
            self._climb(hand_over)

    def _learn(self) -> None:
        """All of it after the flows, so that parts can be timed."""
        assert self.up.program.fused is not None
        with beside(self.up.program.device) as hand_over:
            for stage in self.up.program.fused.stages:
                hand_over(partial(self._count, stage))
            learn_leaves(self.up, self._samples, self._new, self._update)
        report_flags(self.up)

    def _count(self, stage: FusedStage) -> None:
        """Counts are kept only for weights that no launch updates while it counts, and of these only part by part."""
        from pcbench_kernels.gpu import count_edges, learn_edges, maximise_sums

        p, new, counts = self.up.buffers, self._new, self._counts
        rounded = None if new.operands is new.flat else new.operands
        for edges in stage.learning:
            learn_edges(p, edges, new.flat, rounded, self._update)
        for part in stage.late:
            if part.shared:
                counts[: part.end - part.base].zero_()
            for edges in part.edges:
                count_edges(p, edges, counts, part.base, True)
            for rows in part.rows:
                maximise_sums(p.weights, counts, part.base, rows, new.flat, rounded, self._update)


def fused_step(program: Program, old: Parameters, new: Parameters, batch: FusedBatch, workspace: Workspace) -> FusedStep:
    """The step from the memory of ``old`` into that of ``new``, whose old contents do not matter; one that is not under way.

    It is laid out once, and kept in the workspace.
    """
    held = workspace.steps
    busy = {id(other.step) for other in workspace.under_way}
    for lane in range(len(busy) + 1):
        key = (program, batch.size, batch.kind, old.places, new.places, lane)
        step = held.get(key)
        if step is None or id(step) not in busy:
            break
    if step is None or step.moves != workspace.moves:
        memory = frozenset((*old.places, *new.places))
        for other in [k for k, s in held.items() if s.memory != memory]:
            del held[other]  # so that no parameters are held that nobody else holds
        rehearsed = lane > 0 and held[*key[:-1], 0].rehearsed  # they launch the same kernels
        step = held[key] = FusedStep(program, old, new, batch, workspace)
        step.rehearsed = rehearsed
    step.up.batch = batch
    return step


def set_rates(update: Update, workspace: Workspace, step: float, pseudocount: float, held: Tensor) -> None:
    """Step size and pseudocount of the launches to come; ``held``: memory of the CPU for the two, until these have ended."""
    if workspace.remembered.get("rates") != (step, pseudocount):
        held[0], held[1] = step, pseudocount
        update.rates.copy_(held, non_blocking=True)
        workspace.remembered["rates"] = (step, pseudocount)


def fused_leaves(table: LeafTable, old: Tensor, counts: Tensor, new: Parameters, t: int, update: Update) -> None:
    """M step of the categorical leaves of table ``t`` from counts in memory."""
    from pcbench_kernels.gpu import maximise_categorical

    learns = torch.ones(len(old), dtype=torch.int32, device=old.device) if table.trainable is None else table.trainable.int()
    maximise_categorical(old, counts, learns, new.leaves[t], new.gathered[t], update)
