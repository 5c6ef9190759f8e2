"""The `Workbench` widget: circuit, compiled layout, training and pictures in one place of a notebook."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import anywidget
import traitlets

from pcbench import Evidence, Model
from pcbench.circuit import Circuit, describe
from pcbench.execute import Data

from . import fallback, front_end, png, still_layout
from .beside import BesidePart, Sources
from .builder import Document
from .builder.part import BuilderPart
from .device import TensorCoreText, device_of
from .feed import RunFeed, RunLike
from .part import Part
from .program import ProgramPart
from .protocol import Message, circuit_message, program_message
from .teaching.part import LabPart

PARTS: tuple[type[Part], ...] = (BuilderPart, ProgramPart, LabPart, BesidePart)
"""Views with a Python half of their own; each belongs to the pane of its name."""
PANES = (*(part.name for part in PARTS), "circuit")
SHOWN = ("circuit", "program", "training")
TICK = 0.2
"""Seconds between two rounds of the publisher: at most five messages of points a second, however fast the trainer is. Sending
one costs a third of a millisecond, most of it Jupyter's, and at ten a second the training would feel it."""
BEAT = 2.0
GROUPS = 12
_COMMANDS = {"pause": "pause", "resume": "resume", "stop": "stop", "step": "step_once"}
_VALUED = {"stepSize": "set_step_size", "snapshot": "snapshot"}
"""Commands with a text, which the feed makes something of first."""


class Workbench(anywidget.AnyWidget):
    """Shows a circuit, the program it was compiled to, and a training run, and takes gestures from all three.

    Each part may be set, or replaced, at any time::

        bench = Workbench(circuit)
        bench.program = program
        bench.run = fit(program, data, background=True)
        bench                      # the last line of a cell shows it

    `panes` says which of `PANES` are on screen, `height` how high the two upper ones are, in pixels. The view keeps its
    own zoom and selection; what was clicked is in `selected`.
    """

    _esm = front_end.script()
    _css = front_end.style()
    panes = traitlets.List(traitlets.Enum(PANES), list(SHOWN)).tag(sync=True)
    height = traitlets.Int(440, min=160, max=4000).tag(sync=True)

    def __init__(
        self,
        circuit: Circuit | None = None,
        program: Any = None,
        run: RunLike | None = None,
        *,
        panes: Sequence[str] = SHOWN,
        height: int = 440,
    ) -> None:
        # The lock comes first: the front end may ask for its contents while this is still being built.
        self._lock = threading.RLock()
        self._revs = {"circuit": 0, "program": 0, "images": 0}
        self._circuit: Circuit | None = None
        self._described: dict[str, Any] | None = None
        self._program: Any = None
        self._layout: dict[str, Any] | None = None
        self._feed: RunFeed | None = None
        self._runs = 0
        self._groups: list[dict[str, Any]] = []
        self._pictures: list[list[bytes]] = []
        self._selected: tuple[int, ...] = ()
        self._closed = threading.Event()
        self._parts = {part.name: part(self, partial(self._post_part, part.name)) for part in PARTS}
        super().__init__(panes=list(panes), height=height)
        self.on_msg(self._receive)
        if circuit is not None:
            if BuilderPart.name in panes:
                self.document = Document.of(circuit)  # later circuits leave it alone: it is what somebody draws
            self.circuit = circuit
        if program is not None:
            self.program = program
        if run is not None:
            self.run = run
        # In the context of the cell that made this: a bare thread would send as a child of whatever message came last.
        work = partial(contextvars.copy_context().run, self._publish)
        threading.Thread(target=work, name="pcbench-workbench", daemon=True).start()

    # ---- what is shown -------------------------------------------------------------------------------------------
    @property
    def circuit(self) -> Circuit | None:
        """The circuit on screen."""
        return self._circuit

    @circuit.setter
    def circuit(self, circuit: Circuit | None) -> None:
        described = None if circuit is None else describe(circuit)
        with self._lock:
            self._circuit, self._described = circuit, described
            self._revs["circuit"] += 1
            self._selected = ()
            self._post(circuit_message(self._revs["circuit"], described))
        self._changed("circuit")

    @property
    def program(self) -> Any:
        """The compiled program on screen."""
        return self._program

    @program.setter
    def program(self, program: Any) -> None:
        described = None if program is None else program.describe()
        with self._lock:
            self._program, self._layout = program, described
            self._revs["program"] += 1
            self._post(program_message(self._revs["program"], described))
        self._changed("program")

    @property
    def model(self) -> Model | None:
        """Whose weights and flows the compiled layout shows; setting it shows its program, too."""
        return self._layout_part.model

    @model.setter
    def model(self, model: Model) -> None:
        if self._program is not model.program:
            self.program = model.program
        self._layout_part.model = model

    @property
    def evidence(self) -> Evidence | None:
        """The rows whose flows the compiled layout shows; None: how often a sample takes each edge."""
        return self._layout_part.evidence

    @evidence.setter
    def evidence(self, evidence: Data | None) -> None:
        self._layout_part.evidence = None if evidence is None else Evidence.of(evidence)

    @property
    def _layout_part(self) -> ProgramPart:
        part = self._parts[ProgramPart.name]
        assert isinstance(part, ProgramPart)
        return part

    @property
    def run(self) -> RunLike | None:
        """The training run that the dashboard follows; another one starts a new curve."""
        return None if self._feed is None else self._feed.run

    @run.setter
    def run(self, run: RunLike) -> None:
        with self._lock:
            if self._feed is not None:
                self._feed.close()
            self._runs += 1
            self._feed = RunFeed(self._runs, run, self._post, TensorCoreText(device_of(self._program)))
            self._feed.sync(0, 0, 0)
        self._changed("run")

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of the runs that are drawn beside the dashboard's own. Set it to runs, or checkpoints of runs, at most four:
        a list, or a mapping that names them; None takes them away."""
        return self._beside.names

    @beside.setter
    def beside(self, sources: Sources | None) -> None:
        self._beside.show(sources)

    @property
    def _beside(self) -> BesidePart:
        part = self._parts[BesidePart.name]
        assert isinstance(part, BesidePart)
        return part

    @property
    def document(self) -> Document:
        """The circuit under construction on the builder's canvas; edits from here appear there at once, and vice versa."""
        return self._builder.document

    @document.setter
    def document(self, document: Document) -> None:
        self._builder.document = document

    @property
    def lab(self) -> LabPart:
        """The teaching lab: its `subject`, `evidence` and `query`, and `export(path)`; on screen as the pane ``"lab"``."""
        part = self._parts[LabPart.name]
        assert isinstance(part, LabPart)
        return part

    @property
    def _builder(self) -> BuilderPart:
        part = self._parts[BuilderPart.name]
        assert isinstance(part, BuilderPart)
        return part

    @property
    def selected(self) -> tuple[int, ...]:
        """Ids of the blocks that were last clicked, in the circuit or through a layer."""
        return self._selected

    def show_images(self, images: Sequence[Any], captions: Sequence[str] | None = None, title: str = "") -> None:
        """Adds a row of pictures beneath the other panes; the newest row is on top, and the last twelve stay.

        `images` are arrays of uint8, [H, W] grey or [H, W, 3] colour; `captions`, if given, one text a picture.
        """
        texts = [""] * len(images) if captions is None else [str(caption) for caption in captions]
        if len(texts) != len(images):
            raise ValueError(f"{len(images)} pictures and {len(texts)} captions: give one caption a picture, or none")
        encoded = [png.encode(image) for image in images]
        entries = [
            {"caption": caption, "width": width, "height": height}
            for caption, (_, width, height) in zip(texts, encoded, strict=True)
        ]
        with self._lock:
            self._revs["images"] += 1
            self._groups = [*self._groups, {"id": self._revs["images"], "title": title, "images": entries}][-GROUPS:]
            self._pictures = [*self._pictures, [data for data, _, _ in encoded]][-GROUPS:]
            self._post(self._images_message())

    def clear_images(self) -> None:
        """Takes all pictures off the screen."""
        with self._lock:
            self._revs["images"] += 1
            self._groups, self._pictures = [], []
            self._post(self._images_message())

    def close(self) -> None:
        """Takes the widget off the screen and ends its thread. The training run goes on."""
        self._closed.set()
        with self._lock:
            if self._feed is not None:
                self._feed.close()
        for part in self._parts.values():
            part.close()
        super().close()

    # ---- messages ------------------------------------------------------------------------------------------------
    def _post(self, message: Message) -> None:
        content, buffers = message
        self.send(content, buffers)
        # ipykernel 7.4 notes in whose name a comm sent last, and routes the view's next message to that one's subshell
        # instead of the view's own. After a page reload that subshell is gone, and every message would be dropped; and
        # in the name of the main shell Stop would wait for the running cell. Without the note the view's own counts.
        if self.comm is not None:
            vars(self.comm).pop("_reply_subshell_id", None)  # type: ignore[attr-defined]  # vars() of an instance is a dict

    def _post_part(self, name: str, body: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self._post(({"type": "part", "part": name, "body": body}, list(buffers)))

    def _changed(self, what: str) -> None:
        for part in self._parts.values():
            part.changed(what)

    def _images_message(self) -> Message:
        message = {"type": "images", "rev": self._revs["images"], "groups": self._groups}
        return message, [data for pictures in self._pictures for data in pictures]

    def _receive(self, _: Any, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        kind = content.get("type")
        if kind == "part":
            self._parts[content["part"]].receive(content["body"], buffers)
        elif kind == "sync":
            self._sync(content["have"])
        elif kind == "command":
            self._command(content["id"], content["op"], str(content.get("value", "")))
        elif kind == "select":
            self._selected = tuple(int(block) for block in content["blocks"])

    def _sync(self, have: dict[str, Any]) -> None:
        """A view came, or came back, and says what it has: it gets the rest, and a whole history after a reload."""
        with self._lock:
            if have["circuit"] != self._revs["circuit"]:
                self._post(circuit_message(self._revs["circuit"], self._described))
            if have["program"] != self._revs["program"]:
                self._post(program_message(self._revs["program"], self._layout))
            if have["images"] != self._revs["images"]:
                self._post(self._images_message())
            feed = self._feed
        for part in self._parts.values():
            part.sync(have.get("parts", {}).get(part.name, {}))
        self._beat()
        if feed is not None:
            feed.sync(have["run"], have["seq"], have["log"])
        self._post(({"type": "synced"}, []))

    def _command(self, number: int, op: str, value: str) -> None:
        feed = self._feed
        ok, text = True, ""
        if feed is None or op not in (*_COMMANDS, *_VALUED):
            ok, text = False, "There is no run to steer." if feed is None else f"Unknown command {op!r}."
        else:
            try:
                if op in _VALUED:
                    getattr(feed, _VALUED[op])(value)
                else:
                    getattr(feed.run, _COMMANDS[op])()
            except Exception as error:  # whatever it was, the person at the button must read it
                ok, text = False, f"{type(error).__name__}: {error}"
            feed.publish()
        self._post(({"type": "ack", "id": number, "ok": ok, "text": text}, []))

    def _beat(self) -> None:
        self._post(({"type": "beat", "every": BEAT}, []))

    def _publish(self) -> None:
        """The only thread: five times a second what is new of the run, now and then a sign of life."""
        silent = 0.0
        while not self._closed.wait(TICK):
            feed = self._feed
            if feed is not None:
                feed.publish()
                self._changed("tick")
            for part in self._parts.values():
                part.tick()
            silent += TICK
            if silent >= BEAT:
                silent = 0.0
                self._beat()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, metadata = bundle
        drawn = (part.still() for name, part in self._parts.items() if name in self.panes)
        described = self._described or next((still for still in drawn if still is not None), None)
        data["text/plain"] = fallback.text(described, self._layout)
        picture = None if described is None else fallback.svg(described)
        if picture is None and self._layout is not None and "program" in self.panes:
            picture = still_layout.svg(self._layout)
        if picture is not None:
            data["image/svg+xml"] = picture
        return data, metadata
