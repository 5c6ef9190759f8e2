"""Python's half of the builder canvas: the document's messages, and what only Python can do with it.

The other half is widgets/src/workbench/builder/part.ts. Operations come as ``{id, base_rev, kind, args}``; every edit,
whoever made it, goes out as a change with its revision. A client whose operation was refused has those that it sent
after it, in the belief that the first one held, refused too; it sends them anew (see ``_op``).
"""

from __future__ import annotations

import contextvars
import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import pcbench
from pcbench.circuit import describe
from pcbench.errors import PCBenchError

from ..part import Part, Post
from .convert import state, wire_block, wire_variables
from .document import Document, Edited
from .draft import Refusal
from .families import catalogue
from .kept import Keeper, Unsaved, here, offered
from .numbers import Numbers, parameters_of
from .templates import template, templates

if TYPE_CHECKING:
    from ..workbench import Workbench

_REMEMBERED = 4096
"""Operations that are known again when a view sends them a second time, after a lost connection."""
_FILES = ("*.pcb", "*.pt", "*.safetensors")
_MOST_FILES = 200
_MOST_OFFERS = 5


class BuilderPart(Part):
    """Shows and edits `document`; setting another one replaces what is on the canvas."""

    name: ClassVar[str] = "builder"

    def __init__(self, bench: Workbench, post: Post) -> None:
        super().__init__(bench, post)
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._refusals: dict[str, int] = {}
        self._cancelled: set[str] = set()
        # Threads of ours speak in the name of the cell that made the widget, and not of whatever message came last.
        self._context = contextvars.copy_context()
        self._place = here()
        self._document = Document()
        self._adopt(self._document)

    # ---- the document ------------------------------------------------------------------------------------------------
    @property
    def document(self) -> Document:
        return self._document

    @document.setter
    def document(self, document: Document) -> None:
        self._stop()
        self._keeper.flush()  # what was drawn before stays where it is kept: whoever set another one may not know of it
        self._adopt(document)
        self.sync({})
        self._link()

    def _adopt(self, document: Document) -> None:
        self._keeper = Keeper(document, self._place, self._kept)
        self._follow(document)

    def _follow(self, document: Document) -> None:
        self._document = document
        self._token = uuid.uuid4().hex[:12]
        self._numbers = Numbers(document)
        self._stop = document.subscribe(self._edited)

    def tick(self) -> None:
        self._keeper.tick()

    def close(self) -> None:
        self._stop()
        self._keeper.drop()

    def still(self) -> dict[str, Any] | None:
        try:
            return describe(self._document.circuit())
        except PCBenchError:
            return None

    # ---- Python → view -----------------------------------------------------------------------------------------------
    def sync(self, have: Mapping[str, Any]) -> None:
        document = self._document
        with document.lock:
            if have.get("token") == self._token and have.get("rev") == document.rev:
                return
            placed = document.placed
            ids = np.fromiter(placed.keys(), dtype="<i4", count=len(placed))
            places = np.array(list(placed.values()), dtype="<f8").reshape(-1, 2)
            # As bytes: Jupyter would walk through a message's JSON several times, and 20,000 blocks are 2 MB.
            whole = json.dumps(state(document.draft), separators=(",", ":")).encode()
            head = {
                "kind": "document",
                "token": self._token,
                "rev": document.rev,
                **self._history(),
                "families": catalogue(),
                "templates": templates(),
                "linked": any(pane in self.bench.panes for pane in ("circuit", "program")),
            }
            self.post(head, [whole, ids.tobytes(), places.tobytes()])
        self._link()
        self._kept(self._keeper.state, "")
        self._offer()

    def _kept(self, state: str, text: str) -> None:
        self.post({"kind": "kept", "state": state, "text": text}, [])

    def _offers(self) -> list[Unsaved]:
        if self.name not in self.bench.panes:
            return []
        with suppress(OSError):  # a folder that nobody may read holds nothing for us
            return offered(self._place, self._keeper.id)[:_MOST_OFFERS]
        return []

    def _offer(self) -> None:
        """Drawings that can be restored here."""
        offers = [{"id": drawing.id, "when": drawing.when, "blocks": drawing.blocks} for drawing in self._offers()]
        self.post({"kind": "offers", "offers": offers}, [])

    def _history(self) -> dict[str, Any]:
        return {"undo": self._document.undoable, "redo": self._document.redoable}

    def _edited(self, edited: Edited) -> None:
        self._keeper.noted(by_hand=edited.op is not None)
        document, change = self._document, edited.change
        draft = document.draft
        blocks = [[id, None if after is None else wire_block(draft, after)] for id, (_, after) in change.blocks.items()]
        body: dict[str, Any] = {"kind": "change", "rev": edited.rev, "op": edited.op, "blocks": blocks, **self._history()}
        if change.variables is not None:
            body["variables"] = wire_variables(draft)
        if change.roots is not None:
            body["roots"] = list(draft.roots)
        self.post(body, [])

    def changed(self, what: str) -> None:
        if what == "circuit":
            self._link()

    def _link(self) -> None:
        """Which block here each block of the workbench's circuit is, so that a selection lights both."""
        ids = self._document.ids_of(self.bench.circuit)
        buffers = [] if ids is None else [np.array(ids, dtype="<i4").tobytes()]
        self.post({"kind": "link"}, buffers)

    # ---- view → Python -----------------------------------------------------------------------------------------------
    def receive(self, body: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        kind = body.get("kind")
        if kind == "op":
            self._op(body)
        elif kind == "placed":
            self._placed(buffers)
        elif kind == "cancel":
            self._cancelled.add(str(body["op"]))
        elif kind in ("undo", "redo"):
            if getattr(self._document, kind)():
                self._keeper.noted(by_hand=True)
        elif kind == "again":
            self.sync({})
        elif kind in self._ANSWERS:
            self.post({"kind": kind, "ask": body.get("ask"), **self._answer(kind, body)}, [])

    def _answer(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, **self._ANSWERS[kind](self, body)}
        except (PCBenchError, OSError) as error:
            return {"ok": False, "text": str(error)}
        except Exception as error:  # whatever it was, the person at the button must read it
            return {"ok": False, "text": f"{type(error).__name__}: {error}"}

    def _op(self, body: Mapping[str, Any]) -> None:
        op, client = body["op"], str(body["client"])
        id, kind, args = str(op["id"]), str(op["kind"]), op["args"]
        with self._document.lock:
            if id in self._handled:
                self.post({"kind": "done", "op": id}, [])
                return
            if body["refusals"] < self._refusals.get(client, 0):
                return  # sent before its sender could know of a refusal; it comes again, or is dropped there
        if kind == "insert_template":
            work = partial(self._context.copy().run, self._insert, id, client, args)
            threading.Thread(target=work, name="pcbench-template", daemon=True).start()
            return
        with self._document.lock:
            try:
                self._document.apply(kind, args, id)
            except Exception as error:
                taken = kind.startswith("add_") and args.get("id") in self._document.draft.blocks
                self._refuse(id, client, error, taken)
            else:
                self._remember(id)

    def _insert(self, id: str, client: str, args: Mapping[str, Any]) -> None:
        """A template may be learnt from data for a while: outside of the lock, so that others can go on editing."""
        name = str(args.get("name"))
        try:
            circuit = template(name, args.get("options", {}))
            with self._document.lock:
                if id in self._cancelled:
                    raise Refusal(f"{name} was cancelled")
                self._document.insert(circuit, self._document.free_group(name), id)
                self._remember(id)
        except Exception as error:
            self._refuse(id, client, error, taken=False, counted=False)

    def _remember(self, id: str) -> None:
        self._handled[id] = None
        if len(self._handled) > _REMEMBERED:
            self._handled.popitem(last=False)

    def _refuse(self, id: str, client: str, error: Exception, taken: bool, counted: bool = True) -> None:
        known = isinstance(error, PCBenchError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        if counted:
            self._refusals[client] = self._refusals.get(client, 0) + 1
        node = error.node if isinstance(error, Refusal) else None
        self.post({"kind": "nack", "op": id, "reason": reason, "node": node, "taken": taken, "counted": counted}, [])

    def _placed(self, buffers: Sequence[memoryview]) -> None:
        ids = np.frombuffer(buffers[0], dtype="<i4").tolist()
        places = np.frombuffer(buffers[1], dtype="<f8").reshape(-1, 2).tolist()
        with self._document.lock:
            self._document.placed.update((id, (x, y)) for id, (x, y) in zip(ids, places, strict=True))
        self._keeper.noted(by_hand=False)

    # ---- answers -----------------------------------------------------------------------------------------------------
    def _source(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": self._document.source()}

    def _save(self, body: Mapping[str, Any]) -> dict[str, Any]:
        path = Path(str(body["path"])).expanduser()
        self._document.save(path)
        return {"text": f"saved {path} ({path.stat().st_size:,} bytes)"}

    def _load(self, body: Mapping[str, Any]) -> dict[str, Any]:
        path = Path(str(body["path"])).expanduser()
        self._document.open(path)
        return {"text": f"opened {path}"}

    def _restore(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Puts a drawing that was left behind into the document, and keeps it as this builder's own from now on."""
        found = self._offered(str(body["drawing"]))
        drawing = found.drawing()
        with self._document.lock:
            self._stop()
            self._document.adopt(drawing)
            self._follow(self._document)
        self._keeper.noted(by_hand=True)
        self._keeper.flush()
        if self._keeper.state == "kept":
            found.discard()
        self.sync({})
        return {"text": f"restored {found.blocks} blocks"}

    def _discard(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._offered(str(body["drawing"])).discard()
        self._offer()
        return {"text": ""}

    def _offered(self, id: str) -> Unsaved:
        """One of the offers, which another builder may have taken meanwhile."""
        found = next((drawing for drawing in self._offers() if drawing.id == id), None)
        if found is None:
            self._offer()
            raise Refusal("this drawing is no longer there: it was restored or thrown away elsewhere")
        return found

    def _files(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found = sorted({str(path) for pattern in _FILES for path in Path().glob(pattern)})
        return {"files": found[:_MOST_FILES], "folder": str(Path().resolve())}

    def _compile(self, body: Mapping[str, Any]) -> dict[str, Any]:
        circuit = self._document.circuit()
        program = pcbench.compile(circuit)
        self.bench.circuit = circuit
        self.bench.model = pcbench.Model.create(program)
        return {"text": f"compiled {len(circuit.blocks)} blocks to {len(program.layers)} layers"}

    def _values(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with self._document.lock:
            return {"rev": self._document.rev, "block": body["block"], **parameters_of(self._document.draft, body["block"])}

    def _evaluate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._numbers.of(body.get("evidence", {}), body.get("preview"))

    _ANSWERS: ClassVar[dict[str, Any]] = {
        "source": _source,
        "save": _save,
        "load": _load,
        "restore": _restore,
        "discard": _discard,
        "files": _files,
        "compile": _compile,
        "values": _values,
        "evaluate": _evaluate,
    }
