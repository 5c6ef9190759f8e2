"""Where a run stands: one frozen value, replaced as a whole, so that an interrupt never sees half of a step."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..execute import Model
from .interrupts import uninterrupted
from .learner import Memory


@dataclass(frozen=True)
class Best:
    """The model with the highest validation log-likelihood so far (nats per sample), and when it was found."""

    model: Model
    log_likelihood: float
    step: int
    epoch: int


@dataclass(frozen=True)
class Position:
    """Everything that the rest of a run depends on, besides its options.

    Attributes:
        model: after ``step`` steps.
        step: steps done.
        epoch: whole epochs done.
        batch: batches of the next epoch that are done; when all are, the epoch waits for its validation.
        epoch_ll, epoch_rows: sum of the log-likelihoods (nats) of these batches, and their rows.
        best: best on validation data.
        stale: validations since then.
        memory: what the learner remembers besides the model; kept for checkpoints only.
        step_size: given by hand, instead of the method's; ``None``: the method's.
    """

    model: Model
    step: int = 0
    epoch: int = 0
    batch: int = 0
    epoch_ll: float = 0.0
    epoch_rows: int = 0
    best: Best | None = None
    stale: int = 0
    memory: Memory | None = None
    step_size: float | None = None


@dataclass(frozen=True)
class Sole:
    """The model of a run, while nobody else has it.

    Attributes:
        asked: whether somebody wants it meanwhile, or the run is interrupted from the keyboard.
    """

    model: Model
    _place: Place
    _interrupts: Sequence[object]

    @property
    def asked(self) -> bool:
        return self._place.wanted or bool(self._interrupts)


class Place:
    """Holds a run's position for several threads, and knows whose memory may be used again.

    A model that was ever handed to someone else stays untouched for good; the others make room for the next, or the next but
    one.
    """

    def __init__(self, position: Position) -> None:
        self._lock = threading.RLock()
        self._position = position
        self._shared = True  # the first model may be the caller's
        #: Whether somebody waits for the model.
        self.wanted = False

    @property
    def position(self) -> Position:
        """For the training thread, which keeps no model of it beyond the next :meth:`advance`."""
        return self._position

    def share(self) -> Position:
        """For everyone else."""
        self.wanted = True  # a training thread lets go of the lock for moments only: its next step must not need it
        with self._lock:
            self._shared, self.wanted = True, False
            return self._position

    @contextmanager
    def alone(self) -> Iterator[Sole | None]:
        """The model, if nobody else has it, or wants it; it may be written over, if :meth:`advance` then says so.

        Until the end whoever asks for it waits, and so does an interrupt from the keyboard.
        """
        self._lock.acquire()
        if self._shared or self.wanted:
            self._lock.release()
            yield None
            return
        try:
            with uninterrupted() as interrupts:
                yield Sole(self._position.model, self, interrupts)
        finally:
            self._lock.release()

    def advance(self, position: Position) -> Model | None:
        """Stand somewhere else. The old model, when nobody needs it any more."""
        with self._lock:
            old, shared = self._position.model, self._shared
            self._position = position
            if old is position.model:
                self._shared = shared or (position.best is not None and position.best.model is old)
                return None
            self._shared = False
        return None if shared else old
