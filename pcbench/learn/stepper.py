"""The steps of a run: on a GPU, in place and launched ahead for as long as nobody asks for anything."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from ..execute import Evidence, Model, Underway
from ..telemetry import StepClock
from .control import Control
from .learner import Counts
from .plan import Plan
from .position import Place, Position, Sole
from .rows import Rows

#: Seconds between two steps in place that are timed in parts: such a step is not launched ahead, nor as one graph.
MEASURE_EVERY = 0.25


class Launched(NamedTuple):
    """A step that a GPU is at work on; ``numbers``: of its rows; ``measured``: whether its parts are timed."""

    under_way: Underway
    numbers: Tensor
    step_size: float
    measured: bool


class Done(NamedTuple):
    """What a step has come to: the sum of its rows' log-likelihoods, and whether the exact passes had to do it."""

    log_likelihood: float
    rows: int
    step_size: float
    exact: bool


class Stepper:
    """Moves a run's ``place`` on, step by step.

    Attributes:
        counts: the memory of the run.
        made: steps so far, with the one that is being reported.
        spare: a model that nobody needs any more; its memory is for the next.

    Args:
        plan, control, place, clock: of the run.
        report: told what each step has come to, before the next one is waited for.
        steered: whether whoever gets a report may ask for the model of the moment: then nothing is launched ahead of it.
    """

    def __init__(
        self,
        plan: Plan,
        control: Control,
        place: Place,
        clock: StepClock,
        report: Callable[[Done], None],
        steered: Callable[[], bool],
    ) -> None:
        self._plan, self._control, self._place, self._clock = plan, control, place, clock
        self._tell, self._steered = report, steered
        self._learner = plan.method.learner(place.position.model, place.position.memory)
        self._train = Rows(plan.train, plan.program)
        self._bounds = plan.bounds
        self._order: tuple[int, Tensor | None] = (-1, None)
        self.made = 0
        self._measured_at = -math.inf
        self.counts = Counts(plan.program)
        self.spare: Model | None = None

    def step(self, position: Position) -> bool:
        """Gather counts, maximise, move on; ``False`` when asked to stop halfway, and nothing has changed."""
        self._clock.lap("other")
        last = min(len(self._bounds), position.batch + self._plan.method.batches_per_step(len(self._bounds)))
        if last > position.batch + 1:
            return self._gathered(position, last)
        if self._learner.in_place(self._plan.program):
            with self._place.alone() as sole:
                done = None if sole is None else self._steps_in_place(sole)
            if done is not None:
                self._report(done)
                return True
        step_size = self._step_size(position, position.step)
        evidence, numbers = self._rows(position.epoch, position.batch)
        self._clock.lap("data")
        spare, self.spare = self.spare, None
        given_up = self.counts.workspace.given_up
        model, total = self._learner.step(position.model, evidence, numbers, step_size, self.counts, spare, self._clock)
        done = Done(total, len(evidence), step_size, self.counts.workspace.given_up > given_up)
        self._advance(position, last, model, done)
        self._report(done)
        return True

    def _step_size(self, position: Position, step: int) -> float:
        if position.step_size is not None:
            return position.step_size
        return self._plan.method.step_size(step, self._plan.total_steps)

    def _steps_in_place(self, sole: Sole) -> Done | None:
        """Steps that write the model over, until the epoch ends or somebody asks for something; ``None``: there can be none.

        A step is launched before the one before it has been waited for; all but the last one are reported.
        """
        ahead = self._launch(self._place.position, sole.model, 0, self._measured_at + MEASURE_EVERY <= time.monotonic())
        if ahead is None:
            return None
        while True:
            position = self._place.position
            alone = ahead.measured or sole.asked or self._control.asked or self._steered() or not self.made
            following = None if alone else self._launch(position, ahead.under_way.new, 1, False)
            done = self._settle(position, ahead)
            if following is None or following.under_way.void:
                return done
            self._report(done)
            ahead = following

    def _launch(self, position: Position, model: Model, behind: int, measured: bool) -> Launched | None:
        """Have the step that is ``behind`` one under way done; ``None`` where this epoch has none, or it has to wait."""
        if (batch := position.batch + behind) == len(self._bounds):
            return None
        step_size = self._step_size(position, position.step + behind)
        evidence, numbers = self._rows(position.epoch, batch)
        self._clock.lap("data")
        under_way = self._learner.launch(model, evidence, step_size, self.counts, self._clock if measured else None)
        return None if under_way is None else Launched(under_way, numbers, step_size, measured)

    def _settle(self, position: Position, launched: Launched) -> Done:
        given_up = self.counts.workspace.given_up
        model, total = self._learner.settle(launched.under_way, launched.numbers)
        if not launched.measured:
            self._clock.resemble()
        elif self.made:  # the first one compiles: what it was measured to take says nothing
            self._measured_at = time.monotonic()
        done = Done(total, len(launched.numbers), launched.step_size, self.counts.workspace.given_up > given_up)
        self._advance(position, position.batch + 1, model, done)
        return done

    def _advance(self, position: Position, last: int, model: Model, done: Done) -> None:
        """Stand after a step that took in batches up to ``last``."""
        # A copy costs as much as the step itself; only checkpoints need what a learner remembers.
        memory = None if self._plan.checkpoint is None else self._learner.remember()
        self._clock.lap("update")
        old = self._place.advance(
            dataclasses.replace(
                position,
                model=model,
                memory=memory,
                step=position.step + 1,
                batch=last,
                epoch_ll=position.epoch_ll + done.log_likelihood,
                epoch_rows=position.epoch_rows + done.rows,
            )
        )
        self.spare = None if self._learner.in_place(self._plan.program) else old

    def _gathered(self, position: Position, last: int) -> bool:
        """A step of several batches; ``False`` when asked to stop halfway."""
        statistics, step_size = self.counts.statistics.reset(), self._step_size(position, position.step)
        given_up = self.counts.workspace.given_up
        total, rows = 0.0, 0
        for batch in range(position.batch, last):
            if batch > position.batch and self._control.stopping:
                return False
            evidence, numbers = self._rows(position.epoch, batch)
            self._clock.lap("data")
            total += self._learner.gather(position.model, evidence, numbers, statistics, self.counts.workspace, self._clock)
            rows += len(evidence)
            self._clock.lap("other")
        spare, self.spare = self.spare, None
        model = self._learner.update(position.model, statistics, step_size, spare)
        done = Done(total, rows, step_size, self.counts.workspace.given_up > given_up)
        self._advance(position, last, model, done)
        self._report(done)
        return True

    def _rows(self, epoch: int, batch: int) -> tuple[Evidence, Tensor]:
        """A batch, and the number of each of its rows."""
        if self._order[0] != epoch:
            self._order = (epoch, self._plan.order(epoch))
        return self._train.batch(*self._bounds[batch], self._order[1])

    def _report(self, done: Done) -> None:
        self.made += 1
        self._tell(done)
