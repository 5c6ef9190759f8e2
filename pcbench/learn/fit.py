"""``fit``: train a circuit, in the foreground or in the background of a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from ..circuit import Circuit
from ..compile import Program, compile
from ..errors import OptionError, hinted
from ..execute import Data, Evidence, Model
from ..telemetry import MachineMeter, StepClock
from . import checkpoint as checkpoints
from .control import Control
from .events import Event, EventLog
from .method import Method, method_of
from .plan import Plan, checked, constant_columns, filled
from .position import Place, Position
from .run import Run
from .trainer import Trainer


@hinted
def fit(
    model: Model | Program | Circuit,
    data: Data,
    *,
    valid: Data | None = None,
    epochs: int = 20,
    batch_size: int = 512,
    method: Method | str = "mini-batch-em",
    patience: int | None = None,
    validate_every: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: str | os.PathLike[str] | None = None,
    seed: int = 0,
    background: bool = False,
    progress: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_event: Callable[[Event], object] | None = None,
) -> Run:
    """Train; the model is in ``run.model``, and ``run.best_model`` is the best on the validation data.

    Everything is checked before the first step. Parameters of a ``Circuit`` or ``Program`` start as
    :meth:`Model.create` makes them from ``seed`` and the data; those of a ``Model`` where they are (it is not changed).

    Args:
        model: what to train.
        data: ``[B, V]`` integers (or floats where variables are real), or :class:`Evidence` for missing values.
        valid: rows to validate on; early stopping and ``best_model`` go by their mean log-likelihood.
        epochs: passes over the data.
        batch_size: rows evaluated at once; except for full-batch EM also rows of a step. Batches differ by one row at most.
        method: ``"mini-batch-em"`` (smoothed, so that values never seen stay possible), ``"em"`` (full-batch, unsmoothed:
            the likelihood never falls), ``"gradient"`` (Adam), or a value such as
            ``MiniBatchEM(Cosine(0.4, 0.02), pseudocount=0.1)`` or ``Gradient("sgd", learning_rate=0.5)``.
        patience: stop after so many validations without a better one.
        validate_every: epochs between validations; the last epoch always has one.
        checkpoint: a file, written as a whole every ``checkpoint_every`` epochs, at the end and when the run is stopped.
        resume: a checkpoint to go on from: bit for bit as without the break (same machine, CPU). Needs the same circuit,
            data, method, batch size and seed; ``epochs`` may be more. The parameters of ``model`` are then not used.
        seed: of first parameters and of the order of rows.
        background: train in a thread and return at once. Otherwise return when the run is over; Ctrl-C then ends the run,
            not the program: the returned run is finished, a message event says so, and its model is the last complete step's.
        progress: show a progress bar.
        device, dtype: what to compile a ``Circuit`` for; ``"cpu"`` and ``torch.float32`` where left out.
        on_event: called with every event, in the training thread.

    Raises:
        DataError: for data that does not fit, or a row of probability zero (in the background: from ``run.wait()``).
        OptionError: for an option that makes no sense.
        FileFormatError: for a file to resume from that is no checkpoint.
    """
    program = _program(model, device, dtype)
    variables = program.circuit.variables
    train = checked(data, variables, "training data")
    held_out = None if valid is None else checked(valid, variables, "validation data")
    path = None if checkpoint is None else Path(checkpoint)
    how = method_of(method)
    plan = Plan(program, train, held_out, how, epochs, batch_size, validate_every, patience, seed, path, checkpoint_every)
    if resume is None:
        position, log = Position(_initial(model, program, seed, train)), EventLog()
    else:
        position, log = checkpoints.load(Path(resume), plan)
    return _launch(plan, position, log, background, progress, on_event)


def _program(model: Model | Program | Circuit, device: str | torch.device | None, dtype: torch.dtype | None) -> Program:
    if isinstance(model, Circuit):
        return compile(model, "cpu" if device is None else device, torch.float32 if dtype is None else dtype)
    if not isinstance(model, Model | Program):
        raise OptionError(f"fit() trains a Circuit, Program or Model, got {type(model).__name__}")
    program = model.program if isinstance(model, Model) else model
    for name, wanted, got in (("device", device, program.device), ("dtype", dtype, program.dtype)):
        if wanted is not None and (torch.device(wanted) if name == "device" else wanted) != got:  # type: ignore[arg-type]
            raise OptionError(f"{name}={wanted}, but the program was compiled for {got}; leave it out, or compile again")
    return program


def _initial(model: Model | Program | Circuit, program: Program, seed: int, train: Evidence) -> Model:
    return model if isinstance(model, Model) else Model.create(program, seed=seed, data=filled(train))


def _launch(
    plan: Plan,
    position: Position,
    log: EventLog,
    background: bool,
    progress: bool,
    on_event: Callable[[Event], object] | None,
) -> Run:
    control, place, clock = Control(), Place(position), StepClock()
    machine = MachineMeter(plan.program, clock)
    run = Run(control, log, place, clock, machine, plan.method, plan.total_steps)
    if progress:
        from .progress import ProgressBar  # rich takes a while to import, and most runs show no bar

        log.subscribe(ProgressBar(plan.total_steps, position.step), passive=True)
    if on_event is not None:
        log.subscribe(on_event)
    if position.step_size is not None:
        text = f"step size: {position.step_size:g}, set by hand before the break; None would be the method's own"
        log.emit("message", position.step, position.epoch, text=text)
    if names := constant_columns(plan.train, plan.program.circuit.variables):
        shown = ", ".join(names[:5]) + (f", … {len(names)} in all" if len(names) > 5 else "")
        text = f"constant in the training data: {shown}; densities there only show the smallest variance that leaves may have"
        log.emit("message", position.step, position.epoch, text=text)
    run._start(Trainer(plan, control, log, place, clock, machine).work, background)
    if not background and run.error is not None:
        raise run.error
    return run
