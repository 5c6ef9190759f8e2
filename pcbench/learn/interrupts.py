"""Ctrl-C at the right moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[Sequence[object]]:
    """An interrupt from the keyboard waits until the end of the block, for what must be done as a whole; yields who waits.

    Python hands interrupts to the main thread; in others there is nothing to do.
    """
    usual = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(usual):  # nobody listens, or whoever does is not written in Python
        yield []
        return
    waiting: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield waiting
    finally:
        signal.signal(signal.SIGINT, usual)
        if waiting:
            usual(*waiting[0])
