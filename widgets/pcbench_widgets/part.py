"""The seam between the workbench and a view of its own: one Python class, one TypeScript class, one name.

A part owns what it shows and its messages. The workbench gives it a way to send, hands it what its other half sent, and
asks it to catch up whenever a view comes, or comes back after a reload.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .workbench import Workbench

Post = Callable[[dict[str, Any], Sequence[bytes]], None]


class Part(ABC):
    """Python's half. Its methods run in the thread of the message, under no lock of the workbench's."""

    name: ClassVar[str]
    """The name that both halves carry, and the pane's."""

    def __init__(self, bench: Workbench, post: Post) -> None:
        self.bench = bench
        self.post = post

    @abstractmethod
    def sync(self, have: Mapping[str, Any]) -> None:
        """Posts whatever a view lacks that says it has ``have`` (empty: everything)."""

    @abstractmethod
    def receive(self, body: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """One message of the other half's."""

    def changed(self, what: str) -> None:  # noqa: B027  # most parts look at one of the three, some at none
        """The workbench was given another ``"circuit"``, ``"program"`` or ``"run"``; or the run moved on (``"tick"``)."""

    def tick(self) -> None:  # noqa: B027  # few parts have anything to do
        """About five times a second, in the workbench's own thread."""

    def still(self) -> dict[str, Any] | None:
        """A circuit as `pcbench.circuit.describe` gives it, for a notebook that is read without a kernel; most have none."""
        return None

    def close(self) -> None:  # noqa: B027  # few parts hold anything
        """The widget is closed."""
