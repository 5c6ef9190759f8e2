"""A progress bar in the terminal (or a notebook's output): steps, time left, log-likelihood, samples per second."""

from __future__ import annotations

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .events import Event

#: Seconds between two updates; drawing itself is paced by rich.
INTERVAL = 0.1


class ProgressBar:
    """A callback for :meth:`pcbench.learn.Run.subscribe`; the bar ends with the run."""

    def __init__(self, total_steps: int, done: int = 0) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("training", total=total_steps, completed=done, numbers="")
        self._numbers: dict[str, str] = {}
        self._updated = 0.0
        self._progress.start()

    def __call__(self, event: Event) -> None:
        m = event.metrics
        if "valid_ll" in m:
            self._numbers["valid"] = f"valid {m['valid_ll']:.3f}"
        if event.kind == "state":
            self._show(event, event.text)
            if event.text in ("finished", "failed"):
                self._progress.stop()
        elif event.kind == "step" and time.monotonic() - self._updated >= INTERVAL:
            self._numbers["train"] = f"ll {m['train_ll']:.3f}"
            self._numbers["rate"] = f"{m['samples_per_s']:,.0f} samples/s"
            self._show(event, "training")
        elif event.kind in ("message", "error"):
            self._progress.console.print(event.text, markup=False, highlight=False)

    def _show(self, event: Event, description: str) -> None:
        self._updated = time.monotonic()
        numbers = "  ".join(self._numbers[k] for k in ("train", "valid", "rate") if k in self._numbers)
        self._progress.update(self._task, completed=event.step, description=description, numbers=numbers)
