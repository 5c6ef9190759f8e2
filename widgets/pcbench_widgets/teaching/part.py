"""Python's half of the lab: what it is about, what is marked, and answers for circuits too large for the view.

The other half is widgets/src/workbench/lab/part.ts. It evaluates small circuits itself; here its state is only kept, so
that a reload, a second view and Python see the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pcbench import Circuit, Model
from pcbench.circuit import describe
from pcbench.errors import OptionError, PCBenchError

from ..part import Part, Post
from .answers import Answers
from .examples import EXAMPLES
from .export import page
from .marks import Marks, marks_of, queried, told_by
from .wire import Subject, lesson

if TYPE_CHECKING:
    from ..workbench import Workbench

OWN = "Your circuit"


class LabPart(Part):
    """Shows how `subject` answers; without one, the lab's own examples."""

    name: ClassVar[str] = "lab"

    def __init__(self, bench: Workbench, post: Post) -> None:
        super().__init__(bench, post)
        self._subject: Circuit | Model | None = None
        self._adopted = False
        self._answers: Answers | None = None
        self._lessons: list[dict[str, Any]] | None = None
        self._token = ""
        self._state: dict[str, Any] = {}

    # ---- what it is about --------------------------------------------------------------------------------------------
    @property
    def subject(self) -> Circuit | Model | None:
        """A circuit (values that it lacks are drawn at random) or a model; setting another one starts afresh."""
        return self._subject

    @subject.setter
    def subject(self, given: Circuit | Model | None) -> None:
        if given is not None and not isinstance(given, (Circuit, Model)):
            raise OptionError(f"the lab is about a circuit or a model, got {type(given).__name__}")
        self._adopted = False
        own = [] if given is None else [lesson(Subject.of(given), OWN)]
        self._subject, self._answers = given, None
        self._lessons = own + _examples()
        self._token = uuid.uuid4().hex[:12]
        self._state = {"lesson": 0, "marks": self._lessons[0]["marks"]}
        self.sync({})

    @property
    def evidence(self) -> dict[str, object]:
        """What is observed: a value, or a list of likelihoods, by the variable's name. The view's clicks change it, too."""
        return told_by(self._marks)

    @evidence.setter
    def evidence(self, evidence: Mapping[str, object]) -> None:
        self._mark(marks_of(self._circuit, evidence, [name for name in self.query if name not in evidence]))

    @property
    def query(self) -> list[str]:
        """Variables that are asked for."""
        return queried(self._circuit, self._marks)

    @query.setter
    def query(self, names: Sequence[str]) -> None:
        evidence = {name: told for name, told in self.evidence.items() if name not in names}
        self._mark(marks_of(self._circuit, evidence, names))

    def export(self, path: str | Path) -> Path:
        """Writes the lab, as it is now, as one HTML file that works without a kernel and without a network.

        Raises:
            DataError: where the circuit is too large to be evaluated in a page.
        """
        target = Path(path)
        target.write_text(self._page(), encoding="utf-8")
        return target

    # ---- inside ------------------------------------------------------------------------------------------------------
    @property
    def _all(self) -> list[dict[str, Any]]:
        if self._lessons is None:
            self.subject = None
        assert self._lessons is not None
        return self._lessons

    @property
    def _marks(self) -> Marks:
        marks: Marks = self._state.get("marks", {})
        return marks

    @property
    def _circuit(self) -> Circuit:
        """The circuit on screen: the user's, or one of the examples."""
        lessons, index = self._all, int(self._state.get("lesson", 0))
        own = len(lessons) - len(EXAMPLES)
        if index >= own:
            return EXAMPLES[index - own].make()
        return self._subject.circuit if isinstance(self._subject, Model) else self._subject  # type: ignore[return-value]  # own > 0

    def _mark(self, marks: Marks) -> None:
        self._state = {**self._state, "marks": marks}
        self.post({"kind": "state", "state": {"marks": marks}}, [])  # and not the step, which the view may have left

    def _head(self) -> dict[str, Any]:
        return {"kind": "lessons", "token": self._token, "state": self._state, "linked": self._linked()}

    def _page(self) -> str:
        return page(self._all, {**self._head(), "linked": False}, "pcbench lab")

    def sync(self, have: Mapping[str, Any]) -> None:
        if self.name not in self.bench.panes:
            return
        lessons = self._all
        if have.get("token") != self._token:
            self.post(self._head(), [json.dumps(lessons, separators=(",", ":")).encode()])

    def changed(self, what: str) -> None:
        """The lab follows the workbench's circuit as long as it has no subject of its own."""
        if what != "circuit" or self.name not in self.bench.panes:
            return
        if self.bench.circuit is not None and (self._subject is None or self._adopted):
            self.subject = self.bench.circuit
            self._adopted = True
        else:
            self.post({"kind": "linked", "linked": self._linked()}, [])

    def _linked(self) -> bool:
        own = self._subject.circuit if isinstance(self._subject, Model) else self._subject
        return own is not None and own is self.bench.circuit

    def still(self) -> dict[str, Any] | None:
        return describe(self._circuit)

    def receive(self, body: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        kind = body.get("kind")
        if kind == "state":
            if body["token"] == self._token:
                self._state = dict(body["state"])
        elif kind in self._ANSWERS:
            answer, attached = self._answer(kind, body)
            self.post({"kind": kind, "ask": body.get("ask"), **answer}, attached)

    def _answer(self, kind: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        try:
            answer, buffers = self._ANSWERS[kind](self, body)
            return {"ok": True, **answer}, buffers
        except PCBenchError as error:
            return {"ok": False, "text": str(error)}, []
        except Exception as error:  # whatever it was, the person at the button must read it
            return {"ok": False, "text": f"{type(error).__name__}: {error}"}, []

    def _kernel(self) -> Answers:
        if self._answers is None:
            assert self._subject is not None  # examples are small, and never asked about
            self._answers = Answers(self._subject)
        return self._answers

    def _result(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return self._kernel().result(body["marks"], int(body["output"]))

    def _path(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        pass_, seed, row = str(body["pass"]), int(body["seed"]), int(body["row"])
        return self._kernel().path(body["marks"], int(body["output"]), pass_, seed, row)

    def _best(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return self._kernel().best(body["marks"], int(body["output"])), []

    def _sample(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        count, seed = int(body["count"]), int(body["seed"])
        return self._kernel().sample(body["marks"], int(body["output"]), count, seed), []

    def _export(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [self._page().encode()]

    _ANSWERS: ClassVar[dict[str, Any]] = {
        "result": _result,
        "best": _best,
        "path": _path,
        "sample": _sample,
        "export": _export,
    }


def _examples() -> list[dict[str, Any]]:
    return [lesson(Subject.of(each.make()), each.title, each.summary, each.marks) for each in EXAMPLES]
