"""Steps of an optimiser of PyTorch on the mean log-likelihood."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError, FileFormatError, OptionError
from ..execute import Clock, Evidence, Model, Statistics, Workspace
from ..nn import CircuitModule
from .em import accumulate, require_possible
from .learner import Learner, Memory

#: Optimisers by name; ``Gradient(optimiser=…)`` also takes any other.
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
    "rmsprop": torch.optim.RMSprop,
}


def described(optimiser: str | Callable[..., torch.optim.Optimizer]) -> str:
    """An optimiser in words that are the same in every process, to compare with a checkpoint's."""
    if isinstance(optimiser, str):
        return optimiser
    if isinstance(optimiser, functools.partial):
        options = [*map(repr, optimiser.args), *(f"{k}={v!r}" for k, v in sorted(optimiser.keywords.items()))]
        return f"{described(optimiser.func)}({', '.join(options)})"
    return f"{getattr(optimiser, '__module__', '')}.{getattr(optimiser, '__qualname__', type(optimiser).__qualname__)}"


class GradientLearner(Learner):
    """Holds the unconstrained parameters and the optimiser. The model of each step is made from them, not the other way round.

    Args:
        model: where to start; with a memory, the model of the same moment.
        make: called with the parameters and ``lr=``.
        rate: a learning rate to make the optimiser with; every step sets its own.
        memory: of the learner so far.
    """

    def __init__(
        self, model: Model, make: Callable[..., torch.optim.Optimizer], rate: float, memory: Memory | None = None
    ) -> None:
        self._module = CircuitModule(model)
        parameters = list(self._module.parameters())
        if not parameters:
            raise OptionError("no parameter of this circuit is trainable: there is nothing for a gradient to change")
        try:
            self._optimiser = make(parameters, lr=rate)
        except (TypeError, ValueError) as error:
            raise OptionError(f"the optimiser cannot be made by optimiser(parameters, lr={rate}): {error}") from error
        if not isinstance(self._optimiser, torch.optim.Optimizer):
            raise OptionError(f"optimiser(parameters, lr=…) must make a torch.optim.Optimizer, got {self._optimiser!r}")
        closure = inspect.signature(self._optimiser.step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            raise OptionError(
                f"{type(self._optimiser).__name__} evaluates a batch several times a step, which fit() does not do"
            )
        # Counts say all that gradients need where no leaf is real-valued; the fused passes of a GPU leave them, too.
        self._counts_suffice = all(t.categories is not None for t in model.program.leaf_tables)
        self._pending = 0
        if memory is not None:
            self._recall(memory)

    def gather(
        self,
        model: Model,
        batch: Evidence,
        rows: Tensor,
        statistics: Statistics,
        workspace: Workspace,
        clock: Clock | None = None,
    ) -> float:
        if self._counts_suffice:
            return accumulate(model, batch, rows, statistics, workspace, clock)
        log_likelihood = self._module(batch)
        require_possible(log_likelihood.detach(), rows, "the training data")
        if clock is not None:
            clock.lap("forward")
        mean = log_likelihood.sum() / log_likelihood.shape[1]
        (-mean).backward()
        if clock is not None:
            clock.lap("backward")
        self._pending += len(batch)
        return float(mean.detach())

    def update(self, model: Model, statistics: Statistics, step_size: float, recycle: Model | None) -> Model:
        outputs = model.circuit.num_outputs
        rows = self._pending + statistics.rows
        if statistics.rows:
            self._module.add_gradients(statistics, -1.0 / outputs)
        for parameter in self._module.parameters():
            assert parameter.grad is not None
            parameter.grad.div_(rows)
            if not bool(torch.isfinite(parameter.grad).all()):
                raise DataError("the gradient of a batch holds NaN or infinity; the model was not changed")
        for group in self._optimiser.param_groups:
            group["lr"] = step_size
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._pending = 0
        return self._module.model(recycle)

    def remember(self) -> Memory:
        held = self._optimiser.state_dict()
        # What is frozen follows from the model.
        mine = {name: value for name, value in self._module.state_dict().items() if not name.endswith("_frozen")}
        tensors = {f"free.{name}": value.clone() for name, value in mine.items()}
        numbers: dict[str, dict[str, Any]] = {}
        for place, entries in held["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"state.{place}.{name}"] = value.clone()
                else:
                    numbers.setdefault(str(place), {})[name] = value
        meta = {"groups": held["param_groups"], "numbers": numbers}
        try:
            return Memory(tensors, json.loads(json.dumps(meta)))
        except (TypeError, ValueError) as error:
            what = type(self._optimiser).__name__
            raise OptionError(f"the state of {what} cannot be written to a checkpoint: {error}") from error

    def _recall(self, memory: Memory) -> None:
        state: dict[int, dict[str, Any]] = {int(place): dict(entries) for place, entries in memory.meta["numbers"].items()}
        free = {}
        for name, value in memory.tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "free":
                free[rest] = value
            else:
                place, _, entry = rest.partition(".")
                state.setdefault(int(place), {})[entry] = value.clone()
        for name, _ in [*self._module.named_buffers()]:
            if name.endswith("_limits") and name not in free:
                delattr(self._module, name)  # rounded to zero on the way, but not stuck there
        try:
            missing = self._module.load_state_dict(free, strict=False)
            self._optimiser.load_state_dict({"state": state, "param_groups": memory.meta["groups"]})
        except (RuntimeError, ValueError, KeyError) as error:
            raise FileFormatError(f"the checkpoint's optimiser does not fit the circuit and the optimiser: {error}") from error
        lost = [n for n in missing.missing_keys if not n.endswith("_frozen")] + missing.unexpected_keys
        if lost:
            raise FileFormatError(f"the checkpoint's optimiser does not fit the circuit: {', '.join(lost)}")
