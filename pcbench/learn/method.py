"""Ways to learn: how many batches make a step, and how far a step goes."""

from __future__ import annotations

import abc
import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from ..errors import OptionError, hinted_class, suggest
from .schedule import Constant, Schedule


class Method(abc.ABC):
    """How :func:`~pcbench.learn.fit` turns expected counts into parameters. Subclasses are frozen dataclasses.

    Attributes:
        pseudocount: rows' worth of evidence for a uniform choice, added at every node to the counts of one step.
    """

    #: Short name: what ``fit(method=…)`` takes and checkpoints hold.
    name: ClassVar[str]
    #: Whether rows come in a new random order in every epoch.
    shuffles: ClassVar[bool]
    pseudocount: float

    @abc.abstractmethod
    def batches_per_step(self, batches: int) -> int:
        """How many of an epoch's ``batches`` are gathered before the parameters change."""

    @abc.abstractmethod
    def step_size(self, step: int, total: int) -> float:
        """η in (0, 1] of step ``step`` of ``total``."""

    def meta(self) -> dict[str, Any]:
        """The method as JSON data, to compare with a checkpoint's."""
        data = {"name": self.name, **asdict(self)}  # type: ignore[call-overload]  # every method is a dataclass
        schedule = getattr(self, "schedule", None)
        if isinstance(schedule, Schedule):
            data["schedule"] = {"name": schedule.name, **asdict(schedule)}  # type: ignore[call-overload]
        return data


@hinted_class
@dataclass(frozen=True)
class EM(Method):
    """Full-batch EM: one step an epoch, from the expected counts of all rows.

    The training log-likelihood never falls (Dempster, Laird and Rubin 1977), as long as ``pseudocount`` is 0.
    """

    pseudocount: float = 0.0
    name: ClassVar[str] = "em"
    shuffles: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "pseudocount", _pseudocount(self.pseudocount))

    def batches_per_step(self, batches: int) -> int:
        return batches

    def step_size(self, step: int, total: int) -> float:
        return 1.0


@hinted_class
@dataclass(frozen=True)
class MiniBatchEM(Method):
    """Mini-batch (online) EM: a step a batch, ``(1−η)·old + η·new`` in mean parameters (Cappé and Moulines 2009).

    Args:
        schedule: the step size η: a number, or a schedule.
        pseudocount: at every node, relative to the rows of one batch.
    """

    schedule: Schedule | float = field(default_factory=Constant)
    pseudocount: float = 0.1
    name: ClassVar[str] = "mini-batch-em"
    shuffles: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given: object = self.schedule
        if isinstance(given, int | float):
            object.__setattr__(self, "schedule", Constant(float(given)))  # so that equal methods compare equal
        elif not isinstance(given, Schedule):
            raise OptionError(f"schedule must be a number or a schedule such as Cosine(), got {given!r}")
        object.__setattr__(self, "pseudocount", _pseudocount(self.pseudocount))

    def batches_per_step(self, batches: int) -> int:
        return 1

    def step_size(self, step: int, total: int) -> float:
        assert isinstance(self.schedule, Schedule)
        return self.schedule(step, total)


#: Every method; ``fit(method="…")`` looks names up here.
METHODS: tuple[type[Method], ...] = (EM, MiniBatchEM)


def method_of(method: Method | str) -> Method:
    """A method as it is; a name as that method with its defaults."""
    if isinstance(method, Method):
        return method
    for known in METHODS:
        if method == known.name:
            return known()
    if not isinstance(method, str):
        raise OptionError(f"method must be a name or a method such as EM(), got {method!r}")
    raise OptionError(f"there is no method {method!r}; {suggest(method, [m.name for m in METHODS])}")


def _pseudocount(value: float | int) -> float:
    if not (value >= 0 and math.isfinite(value)):
        raise OptionError(f"pseudocount must be finite and ≥ 0, got {value}")
    return float(value)
