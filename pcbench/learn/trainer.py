"""The loop of a run: steps, epochs, validation, early stopping, checkpoints. Runs in one thread, whichever that is."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch

from ..execute import Model, forward
from ..telemetry import MachineMeter, MemoryMeter, StepClock, Throughput
from . import checkpoint
from .control import Control
from .em import batch_bounds
from .events import EventLog, Kind
from .plan import Plan
from .position import Best, Place, Position
from .rows import Rows
from .stepper import Done, Stepper


class Trainer:
    """Carries out a plan. Whatever interrupts it, ``place`` holds the last complete step."""

    def __init__(
        self, plan: Plan, control: Control, log: EventLog, place: Place, clock: StepClock, machine: MachineMeter
    ) -> None:
        self._plan, self._control, self._log, self._place, self._clock = plan, control, log, place, clock
        self._machine = machine
        self._steps = Stepper(plan, control, place, clock, self._report, lambda: log.steered)
        self._valid = None if plan.valid is None else Rows(plan.valid, plan.program)
        self._throughput = Throughput()
        self._memory = MemoryMeter(plan.program, max(b - a for a, b in plan.bounds))
        self._bits = -1.0 / (max(1, len(plan.program.circuit.variables)) * math.log(2))
        self._saved_at: tuple[int, int, float | None] | None = None

    def work(self) -> BaseException | None:
        """Train to the end; never raises. The error, or ``None`` (also after an interrupt from the keyboard)."""
        self._control.begin()
        try:
            self._loop()
        except KeyboardInterrupt:
            self._interrupted()
        except BaseException as error:
            return error
        finally:
            self._machine.close()
        return None

    def _loop(self) -> None:
        self._clock.start()
        while True:
            position = self._place.position
            if position.batch == len(self._plan.bounds):
                if not self._close_epoch(position):
                    break
            elif position.epoch >= self._plan.epochs or self._stale(position):
                break
            else:
                answer = self._control.gate(lambda state: self._emit("state", text=state))
                if answer == "stood":
                    self._clock.start()  # standing still is no part of a step
                self._control.take_step_size(self._set_step_size)
                position = self._place.position
                if answer == "stop" or not self._steps.step(position):
                    break
        self._control.take_step_size(self._set_step_size)  # too late for a step, but not for a continuation
        self._save()
        if self._control.stopping:
            self._emit("message", text=f"stopped after {self._place.position.step} of {self._plan.total_steps} steps")

    def _set_step_size(self, value: float | None) -> None:
        """Use this step size from the next step on, and say so: the curve bends here, and the log must tell why."""
        position = self._place.position
        if value == position.step_size:
            return
        self._place.advance(dataclasses.replace(position, step_size=value))
        usual = self._plan.method.step_size(position.step, self._plan.total_steps)
        first = f"from step {position.step + 1} on"
        if value is None:
            self._emit("message", text=f"step size: the method's own {first}, {usual:g} now")
        else:
            self._emit("message", text=f"step size: {value:g} {first}, set by hand; the method's would be {usual:g}")

    def _interrupted(self) -> None:
        """An interrupt ends the run, but may not cost what it has learnt: the last complete step is written down."""
        try:
            step = self._place.position.step
            self._emit("message", text=f"stopped by an interrupt; the model is the one after {step} complete steps")
            self._save()
        except KeyboardInterrupt:
            self._emit("message", text="interrupted again while the checkpoint was written; the one before still stands")

    def _emit(self, kind: Kind, metrics: dict[str, float] | None = None, text: str = "") -> None:
        position = self._place.position
        self._log.emit(kind, position.step, position.epoch, metrics, text)

    # ---- a step ------------------------------------------------------------------------------------------------------
    def _report(self, done: Done) -> None:
        if self._steps.made == 2:
            self._clock.forget()  # the first step compiled, and was the only one to
        split = self._clock.stop(done.rows, done.exact)
        best = self._place.position.best
        steps = self._steps
        models = (self._place.position.model, steps.spare, None if best is None else best.model)
        mean = done.log_likelihood / done.rows
        metrics = {
            "train_ll": mean,
            "train_bpd": mean * self._bits,
            "samples_per_s": self._throughput.add(done.rows, split.total),
            "data_s": split.data,
            "forward_s": split.forward,
            "backward_s": split.backward,
            "update_s": split.update,
            "other_s": split.other,
            "step_size": done.step_size,
            **self._memory.read(models, steps.counts.held, steps.counts.workspace).metrics(),
            **self._machine.metrics(),
        }
        self._emit("step", metrics)

    # ---- an epoch ----------------------------------------------------------------------------------------------------
    def _close_epoch(self, position: Position) -> bool:
        """Validate, count the epoch, write a checkpoint; ``False`` when asked to stop before that was done."""
        plan, epoch = self._plan, position.epoch + 1
        mean = position.epoch_ll / position.epoch_rows
        closed = dataclasses.replace(position, epoch=epoch, batch=0, epoch_ll=0.0, epoch_rows=0)
        valid_ll = None
        if self._valid is not None and (epoch % plan.validate_every == 0 or epoch == plan.epochs):
            valid_ll = self._validate(position.model, self._valid)
            if valid_ll is None:
                return False
            if math.isfinite(valid_ll) and (position.best is None or valid_ll > position.best.log_likelihood):
                best = Best(position.model, valid_ll, position.step, epoch)
                closed = dataclasses.replace(closed, best=best, stale=0)
            else:
                closed = dataclasses.replace(closed, stale=position.stale + 1)
        self._place.advance(closed)
        if valid_ll is not None and math.isfinite(valid_ll):
            self._emit("validation", {"valid_ll": valid_ll, "valid_bpd": valid_ll * self._bits})
        self._emit("epoch", {"epoch_train_ll": mean, "epoch_train_bpd": mean * self._bits}, f"epoch {epoch} of {plan.epochs}")
        if self._stale(closed) and closed.best is not None:
            best = closed.best
            text = f"no better validation than {best.log_likelihood:.4f} (epoch {best.epoch}) in {closed.stale} tries"
            self._emit("message", text=f"stopped early: {text}")
        if epoch % plan.checkpoint_every == 0:
            self._save()
        self._clock.start()
        return True

    def _stale(self, position: Position) -> bool:
        return self._plan.patience is not None and position.stale >= self._plan.patience

    def _validate(self, model: Model, valid: Rows) -> float | None:
        """Mean log-likelihood, nats per sample; −∞ (and a message) when a row is impossible; ``None`` when asked to stop."""
        total = 0.0
        for start, stop in batch_bounds(len(valid), self._plan.batch_size):
            if self._control.stopping:
                return None
            log_likelihood = forward(model, valid.batch(start, stop)[0], self._steps.counts.workspace)
            total += float(log_likelihood.sum()) / log_likelihood.shape[1]
            if not math.isfinite(total):
                row = start + int((~torch.isfinite(log_likelihood).all(1)).nonzero()[0, 0])
                text = f"row {row} of the validation data has probability zero under the model; a pseudocount > 0 prevents that"
                self._emit("message", text=text)
                return -math.inf
        return total / len(valid)

    def _save(self) -> None:
        """Write the checkpoint, unless it was just written. A full disk is reported, and does not cost the run."""
        path, position = self._plan.checkpoint, self._place.position
        moment = (position.step, position.epoch, position.step_size)
        if path is None or self._saved_at == moment:
            return
        try:
            checkpoint.save(Path(path), self._plan, position, self._log)
        except OSError as error:
            self._emit("error", text=f"the checkpoint {str(path)!r} could not be written, training goes on: {error}")
        else:
            self._saved_at = moment
            self._emit("checkpoint", text=f"written to {path}")
