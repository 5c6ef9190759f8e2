"""The states of a run, apart from what it computes: handlers set wishes, the training thread obeys between two steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from ..errors import PCBenchError

State: TypeAlias = Literal["running", "paused", "stopping", "finished", "failed"]
Answer: TypeAlias = Literal["go", "stood", "stop"]


class Control:
    """Pause, resume, single steps, stop.

    ``running → paused`` when the training thread stands still (not when it is asked to); ``paused → running`` at once;
    ``→ stopping`` at once; ``→ finished`` or ``failed`` at the end, after which wishes are ignored.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pause = False
        self._standing = False
        self._stop = False
        self._singles = 0
        self._end: Literal["finished", "failed"] | None = None
        self._announced: State | None = None
        self._trainer: int | None = None
        self._step_size: tuple[float | None] | None = None

    # ---- any thread --------------------------------------------------------------------------------------------------
    @property
    def state(self) -> State:
        with self._changed:
            return self._state()

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop; read without the lock, between batches."""
        return self._stop

    @property
    def asked(self) -> bool:
        """Whether anything is to be done before the next step but one; read without the lock."""
        return self._stop or self._pause or self._step_size is not None

    def _state(self) -> State:
        if self._end is not None:
            return self._end
        if self._stop:
            return "stopping"
        return "paused" if self._standing else "running"

    def pause(self, wait: bool) -> None:
        """Stand still after the current step; with ``wait``, return once it does (or the run is over)."""
        with self._changed:
            self._pause = True
            self._changed.notify_all()
            if wait and self._trainer != threading.get_ident():
                self._changed.wait_for(lambda: self._state() != "running")

    def resume(self) -> None:
        with self._changed:
            self._pause = self._standing = False
            self._singles = 0
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def step_once(self) -> None:
        """Ask for one step more.

        Raises:
            PCBenchError: unless the run is paused, or will be after the current step.
        """
        with self._changed:
            state = self._state()
            if state not in ("running", "paused") or not self._pause:
                raise PCBenchError(f"step_once() is for a paused run; this one is {state}: call pause() first")
            self._singles += 1
            self._changed.notify_all()

    def set_step_size(self, value: float | None) -> None:
        """Wish for a step size from the next step on; ``None``: that of the method.

        Raises:
            PCBenchError: when no step will follow.
        """
        with self._changed:
            state = self._state()
            if state not in ("running", "paused"):
                raise PCBenchError(f"step_size is for steps to come; this run is {state}, and makes none")
            self._step_size = (value,)

    @property
    def step_size(self) -> tuple[float | None] | None:
        """A wish that waits for the next step, in brackets; ``None``: there is none."""
        return self._step_size

    # ---- the training thread ---------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Name the calling thread as the one that trains."""
        self._trainer = threading.get_ident()

    def gate(self, announce: Callable[[State], None]) -> Answer:
        """Wait while paused. ``"go"``: a step, please; ``"stood"``: the same, after a wait; ``"stop"``: no more steps.

        Changes of state are announced from here, without the lock.
        """
        stood = False
        while True:
            with self._changed:
                wait = self._pause and not self._stop and not self._singles
                if wait and not self._standing:
                    self._standing = True
                    self._changed.notify_all()
                state = self._state()
                if state == self._announced:
                    if not wait:
                        self._singles -= bool(self._singles)
                        return "stop" if self._stop else "stood" if stood else "go"
                    stood = True
                    self._changed.wait()
                    continue
            self._announced = state
            announce(state)

    def take_step_size(self, obey: Callable[[float | None], None]) -> None:
        """Carry a wish out, if there is one. It is seen as a wish until it has been, so that nobody reads the old value."""
        wish = self._step_size
        if wish is None:
            return
        obey(wish[0])
        with self._changed:
            if self._step_size is wish:
                self._step_size = None

    def finish(self, end: Literal["finished", "failed"]) -> None:
        """The run is over."""
        with self._changed:
            self._end = end
            self._changed.notify_all()
