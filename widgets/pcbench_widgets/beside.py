"""Runs beside the one on the dashboard: earlier ones, others that still go on, and checkpoints on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pcbench.errors import OptionError
from pcbench.learn import Event, saved_events

from .feed import ENDED, EventLike, RunLike
from .part import Part
from .points import Measured, Point, PointHistory
from .protocol import points_message

MOST = 4
"""More could not be told apart by dashes and colours."""
POINTS = 512
"""Of each run: a chart is not much wider."""
EVERY = 1.0
"""Seconds between two looks at runs that go on."""
COMPARED = ("train_ll", "valid_ll", "train_bpd", "valid_bpd", "samples_per_s")

Source: TypeAlias = RunLike | str | os.PathLike[str]
Sources: TypeAlias = Source | Sequence[Source] | Mapping[str, Source]


class Other:
    """One of them: its name, and its curves as far as they are compared."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self._run = None if isinstance(source, str | os.PathLike) else source
        self._history = PointHistory(POINTS)
        self._seen = 0
        self._ended = False
        self._add(saved_events(source) if isinstance(source, str | os.PathLike) else source.events(0), POINTS)

    @property
    def state(self) -> str:
        """Of the run; ``"saved"`` for one from a file."""
        return "saved" if self._run is None else self._run.state

    @property
    def points(self) -> list[Point]:
        return self._history.since(0)[0]

    def look(self) -> bool:
        """Takes what the run has reported since; whether anything changed."""
        if self._run is None or self._ended:
            return False
        self._ended = self._run.state in ENDED  # asked first: what it says after this look, the look has seen
        return self._add(self._run.events(self._seen), 25) or self._ended

    def _add(self, events: Iterable[EventLike], most: int) -> bool:
        measured: list[Measured] = []
        for event in events:
            self._seen = max(self._seen, event.seq)
            found = {name: event.metrics[name] for name in COMPARED if name in event.metrics}
            if found:
                measured.append(Event(event.seq, "step", event.step, event.epoch, event.time, found))
        return bool(self._history.add(measured, most))


class BesidePart(Part):
    """The part of the training pane that holds the other runs; the run itself has a feed of its own."""

    name = "training"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._others: list[Other] = []
        self._rev = 0
        self._due = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(other.name for other in self._others)

    def show(self, sources: Sources | None) -> None:
        """Replaces all of them.

        Raises:
            OptionError: for what is no run, too many of them, or a mapping whose names are no texts.
            FileFormatError: for a file that is no checkpoint.
            OSError: when it cannot be opened.
        """
        self._others = [Other(name, source) for name, source in _named(sources).items()]
        self._post_all()

    def sync(self, have: Mapping[str, Any]) -> None:
        if have.get("rev") != self._rev:
            self._post_all(self._rev)

    def receive(self, body: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """The other half says nothing."""

    def changed(self, what: str) -> None:
        now = time.monotonic()
        if what != "tick" or now < self._due:
            return
        self._due = now + EVERY
        changes = [other.look() for other in self._others]  # all of them, where `any` alone would stop at the first
        if any(changes):
            self._post_all()

    def _post_all(self, rev: int | None = None) -> None:
        self._rev = self._rev + 1 if rev is None else rev
        runs, buffers = [], []
        for number, other in enumerate(self._others, 1):
            head, data = points_message(number, other.points, reset=True)
            runs.append({"name": other.name, "state": other.state, "columns": head["columns"], "count": head["count"]})
            buffers += data
        self.post({"rev": self._rev, "runs": runs}, buffers)


def _named(sources: Sources | None) -> dict[str, Source]:
    """Every run with a name: that of the mapping or of the file, otherwise its place."""
    if sources is None:
        return {}
    if isinstance(sources, str | os.PathLike) or hasattr(sources, "events"):
        return _named([sources])  # type: ignore[list-item]  # hasattr is what tells a run from a list of them
    if isinstance(sources, Mapping):
        named = dict(sources)
        for name in named:
            if not isinstance(name, str):
                raise OptionError(f"beside={{name: run}} takes names that are texts, got {name!r}")
    elif isinstance(sources, Sequence):
        named = {}
        for place, source in enumerate(sources):
            stem = Path(source).stem if isinstance(source, str | os.PathLike) else f"run {place + 1}"
            named[stem if stem not in named else f"{stem} ({place + 1})"] = source
    else:
        raise OptionError(f"beside= takes runs and checkpoint files, in a list or by name, got {type(sources).__name__}")
    if len(named) > MOST:
        raise OptionError(f"beside= takes at most {MOST} runs, more could not be told apart, got {len(named)}")
    for name, source in named.items():
        if not isinstance(source, str | os.PathLike) and not hasattr(source, "events"):
            raise OptionError(f"beside= takes runs and checkpoint files; {name!r} is a {type(source).__name__}")
    return named
