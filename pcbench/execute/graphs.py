"""CUDA graphs: a pass of hundreds of launches becomes one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from ..collector import collector_paused

#: Captured graphs that a workspace keeps; a training needs up to twelve (five of a step, batches of two sizes, validation).
GRAPHS = 16

#: Takes work that is to be done beside what follows, and gives what waits for it.
HandOver = Callable[[Callable[[], None]], Callable[[], None]]


@cache
def _side(device: torch.device) -> Any:
    return torch.cuda.Stream(device)


@contextmanager
def beside(device: torch.device) -> Iterator[HandOver]:
    """Inside, work that is handed over is done beside what follows it (on a GPU, captured or not); afterwards it has been done.

    Handed over, work waits for all that has been launched so far, and for what was handed over before it; what comes back waits
    for it. It must write memory that nothing beside it reads or writes, and that is there to stay.
    """
    if device.type != "cuda":
        yield _at_once
        return
    here, side = torch.cuda.current_stream(device), _side(device)

    def hand_over(work: Callable[[], None]) -> Callable[[], None]:
        side.wait_stream(here)
        with torch.cuda.stream(side):
            work()
            done = side.record_event()
        return lambda: here.wait_event(done)

    yield hand_over
    here.wait_stream(side)


def _at_once(work: Callable[[], None]) -> Callable[[], None]:
    work()
    return lambda: None


@dataclass(eq=False)
class Graphs:
    """CUDA graphs by what they were captured for. The first run of a key is eager (it compiles), the second captures."""

    held: dict[Hashable, Any] = field(default_factory=dict)
    rehearsed: dict[Hashable, None] = field(default_factory=dict)
    _rehearsing: bool = False

    def rehearse(self, key: Hashable, work: Callable[[], object], device: torch.device) -> None:
        """Before ``work`` is done for the first time: compile the kernels of all its passes side by side.

        What ``work`` does beside launching kernels is done once more than it would be; it has to overwrite what it finds.
        """
        if device.type != "cuda" or key in self.rehearsed:
            return
        from pcbench_kernels.gpu import rehearsal

        if len(self.rehearsed) >= GRAPHS:
            self.rehearsed.pop(next(iter(self.rehearsed)))
        self.rehearsed[key] = None
        self._rehearsing = True
        try:
            with rehearsal():
                work()
        finally:
            self._rehearsing = False

    def run(self, key: Hashable, work: Callable[[], None], device: torch.device) -> None:
        """Do ``work``, which reads and writes the same memory whenever the key is the same."""
        if device.type != "cuda" or self._rehearsing:
            work()
            return
        if key not in self.held:
            if len(self.held) >= GRAPHS:
                self.held.pop(next(iter(self.held)))
            work()
            self.held[key] = None
            return
        self.capture(key, work, device)
        self.held[key].replay()

    @collector_paused  # graphs that it found during a capture would be destroyed, and that would break the capture
    def capture(self, key: Hashable, work: Callable[[], None], device: torch.device) -> None:
        """Have the graph of ``work``, whose kernels are compiled, ready for :meth:`run`."""
        if device.type != "cuda" or self._rehearsing or self.held.get(key) is not None:
            return
        if key not in self.held and len(self.held) >= GRAPHS:
            self.held.pop(next(iter(self.held)))
        torch.cuda.synchronize(device)
        graph = torch.cuda.CUDAGraph()
        # What other threads do meanwhile (a run that trains in the background) does not disturb it.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            work()
        self.held[key] = graph
