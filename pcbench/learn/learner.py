"""What a method does to a model, batch by batch, and what it remembers between steps."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..compile import Program
from ..execute import (
    Clock,
    Evidence,
    Model,
    Statistics,
    Underway,
    Workspace,
    em_step,
    launch_step,
    maximise,
    settled_step,
)
from .em import accumulate, require_possible, summed


@dataclass(frozen=True, eq=False)
class Memory:
    """What a learner remembers besides the model: frozen, as checkpoints hold it.

    Attributes:
        tensors: by name; nobody writes to them.
        meta: JSON data.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Counts:
    """The memory of a run: buffers, and expected counts once somebody wants them.

    Attributes:
        workspace: buffers of passes.
        held: the counts, if somebody has wanted them yet.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.workspace = Workspace()
        self.held: Statistics | None = None

    @property
    def statistics(self) -> Statistics:
        """The counts."""
        if self.held is None:
            self.held = Statistics.zeros(self._program)
        return self.held


class Learner(abc.ABC):
    """Made by :meth:`Method.learner <pcbench.learn.Method.learner>` for one run, and used by its training thread only."""

    @abc.abstractmethod
    def gather(
        self,
        model: Model,
        batch: Evidence,
        rows: Tensor,
        statistics: Statistics,
        workspace: Workspace,
        clock: Clock | None = None,
    ) -> float:
        """Take in a batch: arguments, result and errors as of :func:`~pcbench.learn.em.accumulate`."""

    @abc.abstractmethod
    def update(self, model: Model, statistics: Statistics, step_size: float, recycle: Model | None) -> Model:
        """A new model from the batches gathered since the last update.

        Args:
            model: under which they were gathered.
            statistics: the same as in :meth:`gather`.
            step_size: of this step.
            recycle: a model of the same program that nobody needs any more; its memory may be used.
        """

    def step(
        self,
        model: Model,
        batch: Evidence,
        rows: Tensor,
        step_size: float,
        counts: Counts,
        recycle: Model | None,
        clock: Clock | None = None,
    ) -> tuple[Model, float]:
        """A whole step of one batch, :meth:`gather` and :meth:`update` in one: the new model, and what :meth:`gather` gives."""
        statistics = counts.statistics.reset()
        total = self.gather(model, batch, rows, statistics, counts.workspace, clock)
        return self.update(model, statistics, step_size, recycle), total

    def in_place(self, program: Program) -> bool:
        """Whether :meth:`step` writes a new model over the old one where it is given that one to ``recycle``."""
        return False

    def launch(
        self, model: Model, batch: Evidence, step_size: float, counts: Counts, clock: Clock | None = None
    ) -> Underway | None:
        """Tell a GPU to do a step in place; ``None``: it cannot be done so, or not before those under way are settled."""
        return None

    def settle(self, under_way: Underway, rows: Tensor) -> tuple[Model, float]:
        """What :meth:`step` gives, of a step that :meth:`launch` gave and that is not void."""
        stepped = settled_step(under_way)
        require_possible(stepped.log_likelihood, rows, "the training data")
        return stepped.model, summed(stepped.log_likelihood)

    def remember(self) -> Memory | None:
        """What the next step depends on besides the model; ``None``: nothing."""
        return None


class EMLearner(Learner):
    """Expected counts, then their maximum."""

    def __init__(self, pseudocount: float) -> None:
        self._pseudocount = pseudocount

    def gather(
        self,
        model: Model,
        batch: Evidence,
        rows: Tensor,
        statistics: Statistics,
        workspace: Workspace,
        clock: Clock | None = None,
    ) -> float:
        return accumulate(model, batch, rows, statistics, workspace, clock)

    def update(self, model: Model, statistics: Statistics, step_size: float, recycle: Model | None) -> Model:
        return maximise(model, statistics, step_size, self._pseudocount, recycle)

    def in_place(self, program: Program) -> bool:
        return program.fused is not None

    def launch(
        self, model: Model, batch: Evidence, step_size: float, counts: Counts, clock: Clock | None = None
    ) -> Underway | None:
        return launch_step(model, batch, step_size, self._pseudocount, counts.workspace, model, clock)

    def step(
        self,
        model: Model,
        batch: Evidence,
        rows: Tensor,
        step_size: float,
        counts: Counts,
        recycle: Model | None,
        clock: Clock | None = None,
    ) -> tuple[Model, float]:
        # A GPU that counts and updates in one launch has no counts to keep.
        kept = None if self.in_place(model.program) else counts.statistics
        stepped = em_step(model, batch, step_size, self._pseudocount, counts.workspace, recycle, kept, clock)
        require_possible(stepped.log_likelihood, rows, "the training data")
        return stepped.model, summed(stepped.log_likelihood)
