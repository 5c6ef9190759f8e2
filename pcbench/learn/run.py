"""The handle of a training run."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..execute import Model
from ..telemetry import GpuUse, MachineMeter, StepClock, StepSplit, why_slow
from . import snapshot
from .control import Control, State
from .events import Callback, Event, EventLog
from .method import Method
from .position import Place

#: Seconds that a program's exit waits for a run in the background to end its step and write its checkpoint.
EXIT_GRACE = 5.0

_live: weakref.WeakSet[Run] = weakref.WeakSet()


class Run:
    """A training run, in the background or over. Every method may be called from any thread, and none waits for a step
    (except :meth:`wait`, and :meth:`pause` when asked to).

    Made by :func:`~pcbench.learn.fit`.
    """

    def __init__(
        self,
        control: Control,
        log: EventLog,
        place: Place,
        clock: StepClock,
        machine: MachineMeter,
        method: Method,
        total_steps: int,
    ) -> None:
        self._control, self._log, self._place, self._clock, self._machine = control, log, place, clock, machine
        self._method = method
        self._total_steps = total_steps
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    # ---- what it is doing --------------------------------------------------------------------------------------------
    @property
    def state(self) -> State:
        """``"running"``, ``"paused"``, ``"stopping"``, ``"finished"`` or ``"failed"``."""
        return self._control.state

    @property
    def step(self) -> int:
        """Steps done: changes of the parameters."""
        return self._place.position.step

    @property
    def epoch(self) -> int:
        """Whole passes over the data done."""
        return self._place.position.epoch

    @property
    def total_steps(self) -> int:
        """Steps planned; early stopping may end the run before."""
        return self._total_steps

    @property
    def model(self) -> Model:
        """The newest model; it stays as it is while the run goes on."""
        return self._place.share().model

    @property
    def best_model(self) -> Model:
        """The model with the highest validation log-likelihood so far; the newest one without validation data."""
        position = self._place.share()
        return position.model if position.best is None else position.best.model

    @property
    def best_valid_ll(self) -> float | None:
        """Validation log-likelihood of :attr:`best_model`, nats per sample; ``None`` before the first validation."""
        best = self._place.position.best
        return None if best is None else best.log_likelihood

    @property
    def error(self) -> BaseException | None:
        """What made the run fail."""
        return self._error

    def snapshot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the model as it is after the last complete step to a file, while the run goes on; where the file is.

        Args:
            path: ends in ``.pcb``, and replaces a file of this name as a whole; left out: ``snapshot-step-….pcb`` in the
                current folder, under a name that is free.

        Raises:
            OptionError: for a name that cannot be a snapshot's.
            OSError: when the disk refuses.
        """
        position = self._place.share()
        return snapshot.write(position.model, path, position.step, position.epoch)

    # ---- steering ----------------------------------------------------------------------------------------------------
    def pause(self, wait: bool = False) -> None:
        """Finish the current step, then stand still. The state becomes ``"paused"`` once it does; ``wait`` waits for that."""
        self._control.pause(wait)

    def resume(self) -> None:
        """Go on after :meth:`pause`."""
        self._control.resume()

    def stop(self) -> None:
        """Finish the current step, write the checkpoint (if there is one), and end. Full-batch EM gives up the pass it is
        in the middle of, and keeps the last complete step's model."""
        self._control.stop()

    def step_once(self) -> None:
        """Make exactly one step of a paused run.

        Raises:
            PCBenchError: when the run is not paused (nor asked to).
        """
        self._control.step_once()

    @property
    def step_size(self) -> float:
        """Of the next step: η of EM, the learning rate of gradients. Set it, and it holds from the next step on, as an event of
        the log says, until it is set again; ``None`` gives the method's own back. Checkpoints keep it.

        Raises (when set):
            OptionError: for a value that the method cannot use.
            PCBenchError: when the run is over.
        """
        position = self._place.position
        by_hand = self._by_hand()
        return self._method.step_size(position.step, self._total_steps) if by_hand is None else by_hand

    @step_size.setter
    def step_size(self, value: float | int | None) -> None:
        self._control.set_step_size(None if value is None else self._method.checked_step_size(value))

    @property
    def step_size_by_hand(self) -> bool:
        """Whether :attr:`step_size` was set, and is not the method's own."""
        return self._by_hand() is not None

    def _by_hand(self) -> float | None:
        wish = self._control.step_size
        return self._place.position.step_size if wish is None else wish[0]

    def wait(self, timeout: float | int | None = None) -> bool:
        """Wait until the run is over, at most ``timeout`` seconds; whether it is. Raises what made it fail, if it failed."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return self.state in ("finished", "failed")

    # ---- what it reported --------------------------------------------------------------------------------------------
    def events(self, since: int = 0) -> list[Event]:
        """Events after number ``since``, oldest first; a very long run has forgotten its first ones."""
        return self._log.since(since)

    def subscribe(self, callback: Callback, passive: bool = False) -> Callable[[], None]:
        """Call ``callback(event)`` for every new event; returns a function that ends this.

        Callbacks run in the training thread and should only put the event somewhere. One that raises is reported as a
        message event; the run goes on.

        Args:
            callback: what to call.
            passive: it does nothing to the run, and asks for no model: then a GPU is told the next step before the callback is.
        """
        return self._log.subscribe(callback, passive)

    def curve(self, metric: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Steps and values of a metric, such as ``train_ll``: two arrays of one length, empty for an unknown name."""
        return self._log.curve(metric)

    @property
    def split(self) -> StepSplit | None:
        """Where the time of the last steps went, on average; ``None`` before the first."""
        return self._clock.recent

    @property
    def machine_use(self) -> GpuUse:
        """How busy the machine was at the last reading, one a second: measured or estimated, and why so."""
        return self._machine.use

    @property
    def device(self) -> str:
        """Where it computes, such as ``"cpu"`` or ``"cuda:0"``."""
        return str(self._machine.device)

    @property
    def why_slow(self) -> str:
        """One sentence on what holds the last steps back, with a number that says whether it was measured or estimated; an
        empty text before there are enough steps. From the first second on it knows how busy the machine is, too."""
        split = self._clock.recent
        return "" if split is None else why_slow(self._clock.steps, split, self._machine.use, self._machine.totals)

    def __repr__(self) -> str:
        return f"Run({self.state}, step {self.step:,} of {self.total_steps:,}, epoch {self.epoch})"

    # ---- for fit() ---------------------------------------------------------------------------------------------------
    def _start(self, work: Callable[[], BaseException | None], background: bool) -> None:
        """Run ``work`` here or in a thread; keep the error that it returns."""

        def target() -> None:
            error: BaseException | None
            try:
                error = work()
            except BaseException as raised:  # a second interrupt, while the first was dealt with
                error = raised
            self._error = error
            self._control.finish("finished" if error is None else "failed")
            position = self._place.position
            if error is not None:
                self._log.emit("error", position.step, position.epoch, text=f"{type(error).__name__}: {error}")
            self._log.emit("state", position.step, position.epoch, text=self.state)

        if background:
            self._thread = threading.Thread(target=target, name="pcbench-fit", daemon=True)
            _live.add(self)
            self._thread.start()
        else:
            target()


@atexit.register
def _stop_all() -> None:
    """A daemon thread inside PyTorch while the interpreter is taken down can crash it: end the steps first."""
    running = [run for run in _live if run._thread is not None and run._thread.is_alive()]
    for run in running:
        run.stop()
    for run in running:
        if run._thread is not None:
            run._thread.join(EXIT_GRACE)
