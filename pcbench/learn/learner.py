"""What a method does to a model, batch by batch, and what it remembers between steps."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..execute import Evidence, Model, Statistics, Workspace, maximise
from .em import accumulate


@dataclass(frozen=True, eq=False)
class Memory:
    """What a learner remembers besides the model: frozen, as checkpoints hold it.

    Attributes:
        tensors: by name; nobody writes to them.
        meta: JSON data.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


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
        clock: Callable[[str], None] | None = None,
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
        clock: Callable[[str], None] | None = None,
    ) -> float:
        return accumulate(model, batch, rows, statistics, workspace, clock)

    def update(self, model: Model, statistics: Statistics, step_size: float, recycle: Model | None) -> Model:
        return maximise(model, statistics, step_size, self._pseudocount, recycle)
