"""Ways to learn: how many batches make a step, and how far a step goes."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch

from ..errors import OptionError, hinted_class, suggest
from ..execute import Model
from .gradient import OPTIMISERS, GradientLearner, described
from .learner import EMLearner, Learner, Memory
from .schedule import Constant, Cosine, Schedule


class Method(abc.ABC):
    """How :func:`~pcbench.learn.fit` turns rows into parameters. Subclasses are frozen dataclasses."""

    #: Short name: what ``fit(method=…)`` takes and checkpoints hold.
    name: ClassVar[str]
    #: Whether rows come in a new random order in every epoch.
    shuffles: ClassVar[bool]

    @abc.abstractmethod
    def batches_per_step(self, batches: int) -> int:
        """How many of an epoch's ``batches`` are gathered before the parameters change."""

    @abc.abstractmethod
    def step_size(self, step: int, total: int) -> float:
        """η of step ``step`` of ``total``; EM wants it in (0, 1]."""

    def checked_step_size(self, value: object) -> float:
        """A step size given by hand, if a step can be made with it.

        Raises:
            OptionError: otherwise.
        """
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise OptionError(f"step_size of {self.name!r} must be a number in (0, 1], got {value!r}")
        return float(value)

    @abc.abstractmethod
    def learner(self, model: Model, memory: Memory | None) -> Learner:
        """What makes the steps of one run.

        Args:
            model: where the run starts, or goes on.
            memory: what the learner of the run so far remembered; ``None`` at the start of a run.

        Raises:
            OptionError: when the method does not fit the model, or the memory not the method.
        """

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

    Args:
        pseudocount: rows' worth of evidence for a uniform choice, added at every node to the counts of one step.
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

    def learner(self, model: Model, memory: Memory | None) -> Learner:
        return EMLearner(self.pseudocount)


@hinted_class
@dataclass(frozen=True)
class MiniBatchEM(Method):
    """Mini-batch (online) EM: a step a batch, ``(1−η)·old + η·new`` in mean parameters (Cappé and Moulines 2009).

    Args:
        schedule: the step size η: a number, or a schedule.
        pseudocount: as in :class:`EM`, relative to the rows of one batch.
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

    def learner(self, model: Model, memory: Memory | None) -> Learner:
        return EMLearner(self.pseudocount)


@hinted_class
@dataclass(frozen=True)
class Gradient(Method):
    """Gradient ascent on the mean log-likelihood of a batch, by any optimiser of PyTorch, in unconstrained coordinates.

    Parameters never leave their domain, and never reach its border: sum weights are a softmax, and so on
    (:class:`pcbench.nn.CircuitModule`). EM usually needs fewer steps; gradients also go where other losses are.

    Args:
        optimiser: ``"adam"``, ``"adamw"``, ``"sgd"`` (with momentum 0.9) or ``"rmsprop"``; or what makes one, called as
            ``optimiser(parameters, lr=…)``: a class of ``torch.optim``, or a ``functools.partial`` of one.
        learning_rate: a positive number, or a schedule such as ``Cosine(0.1, 0.005)``.
    """

    optimiser: str | Callable[..., torch.optim.Optimizer] = "adam"
    learning_rate: Schedule | float = field(default_factory=partial(Cosine, 0.1, 0.005))
    name: ClassVar[str] = "gradient"
    shuffles: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given: object = self.optimiser
        if isinstance(given, str):
            if given not in OPTIMISERS:
                raise OptionError(f"there is no optimiser {given!r}; {suggest(given, list(OPTIMISERS))}")
        elif not callable(given):
            raise OptionError(f"optimiser must be a name or a class such as torch.optim.Adam, got {given!r}")
        rate: object = self.learning_rate
        if isinstance(rate, int | float) and not isinstance(rate, bool):
            if not (rate > 0 and math.isfinite(rate)):
                raise OptionError(f"learning_rate must be a positive number, got {rate}")
            object.__setattr__(self, "learning_rate", float(rate))
        elif not isinstance(rate, Schedule):
            raise OptionError(f"learning_rate must be a number or a schedule such as Cosine(), got {rate!r}")

    def batches_per_step(self, batches: int) -> int:
        return 1

    def step_size(self, step: int, total: int) -> float:
        return self.learning_rate(step, total) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def checked_step_size(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise OptionError(f"step_size of {self.name!r} must be a positive number, got {value!r}")
        return float(value)

    def learner(self, model: Model, memory: Memory | None) -> Learner:
        make = OPTIMISERS[self.optimiser] if isinstance(self.optimiser, str) else self.optimiser
        return GradientLearner(model, make, self.step_size(0, 1), memory)

    def meta(self) -> dict[str, Any]:
        rate = self.learning_rate
        how = {"name": rate.name, **asdict(rate)} if isinstance(rate, Schedule) else rate  # type: ignore[call-overload]
        return {"name": self.name, "optimiser": described(self.optimiser), "learning_rate": how}


#: Every method; ``fit(method="…")`` looks names up here.
METHODS: tuple[type[Method], ...] = (EM, MiniBatchEM, Gradient)


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
