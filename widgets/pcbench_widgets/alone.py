"""Each view alone in a cell: a `Workbench` with one pane."""

from __future__ import annotations

from pcbench import Evidence, Model, Program
from pcbench.circuit import Circuit
from pcbench.errors import OptionError
from pcbench.execute import Data

from .beside import Sources
from .builder import Document
from .feed import RunLike
from .workbench import Workbench


def build(start: Circuit | Document | None = None, *, height: int = 620) -> Workbench:
    """The builder alone: an empty canvas, a circuit opened for editing, or a document that goes on::

    bench = build()
    bench  # draw; then
    circuit = bench.document.circuit()
    """
    bench = Workbench(panes=["builder"], height=height)
    if start is not None:
        bench.document = Document.of(start) if isinstance(start, Circuit) else start
    return bench


def show(circuit: Circuit, *, height: int = 440) -> Workbench:
    """The circuit alone."""
    return Workbench(circuit, panes=["circuit"], height=height)


def layout(shown: Program | Model, data: Data | None = None, *, height: int = 620) -> Workbench:
    """The compiled layout alone: of a program, or of a model with its weights and flows.

    `data`: rows of data, or `Evidence`, whose flows are shown; without it they say how often a sample takes each edge.
    """
    bench = Workbench(panes=["program"], height=height)
    if isinstance(shown, Model):
        bench.model = shown
    elif isinstance(shown, Program):
        bench.program = shown
    else:
        raise OptionError(
            f"layout() takes a Program or a Model, got {type(shown).__name__}; pcbench.compile(circuit) gives one"
        )
    if data is not None:
        bench.evidence = Evidence.of(data)
    return bench


def monitor(run: RunLike, beside: Sources | None = None) -> Workbench:
    """The training dashboard alone::

        monitor(run, beside={"K = 16": earlier, "on Monday": "monday.ckpt"})

    Args:
        run: what `pcbench.fit` gave; in the background, or over.
        beside: at most four other runs, or checkpoints of runs, to be drawn beside it: a list, or a mapping that names them.

    Raises:
        OptionError: for what is no run.
        FileFormatError: for a file that is no checkpoint.
    """
    if not hasattr(run, "events"):
        raise OptionError(f"monitor() takes a run, got {type(run).__name__}; pcbench.fit(…, background=True) gives one")
    bench = Workbench(run=run, panes=["training"])
    if beside is not None:
        try:
            bench.beside = beside
        except Exception:
            bench.close()
            raise
    return bench


def lab(subject: Circuit | Model | None = None, *, height: int = 640) -> Workbench:
    """How a circuit answers, step by step: evidence, passes with their numbers, quizzes; without one, small examples::

        bench = lab(circuit)
        bench  # click; then, from here
        bench.lab.evidence = {"rain": 1, "wind": [0.2, 0.8]}
        bench.lab.export("lesson.html")

    Args:
        subject: a circuit (values that it lacks are drawn at random) or a model. One of `Circuit(…, checked=False)` that is
            not smooth or not decomposable is shown with its wrong numbers beside those of all its worlds.
        height: of the pane, in pixels.
    """
    bench = Workbench(panes=["lab"], height=height)
    bench.lab.subject = subject
    return bench
