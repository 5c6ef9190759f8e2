"""What the compiled layout asks of Python, and what Python tells it unasked: that there is another program or other weights.

The other half is widgets/src/workbench/program/part.ts. Tiles of a map go out as bytes, a message for all that were asked
for at once; exact numbers of a rectangle of pixels as float64. Whatever takes a while runs in a thread of its own.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pcbench import Block, Circuit, Evidence, Model, Program
from pcbench.compile import SumLayer
from pcbench.errors import OptionError, PCBenchError
from pcbench.execute import Parameters, Statistics, WeightMap, expectation
from pcbench.execute.weight_map import SIDE

from ..part import Part, Post
from . import compare
from .kernels import KernelJobs
from .memory import spans
from .shades import DECADES, MODES, overview, shades
from .source import source

if TYPE_CHECKING:
    from ..workbench import Workbench

_MAPS = 8
"""Maps that are kept; each holds at most a copy of one block's weights."""
_MOST_CELLS = 40_000
"""Of one rectangle of exact numbers."""
_MOST_TILES = 64
_ROWS = 2048
"""Rows of a batch, where flows of many are summed up."""
_FOLLOW = 2.0
"""Seconds between two looks at the weights of a run that trains."""
_NO_MODEL = "No weights: a program has none. Give a model: layout(model), or bench.model = model."
Answer = tuple[dict[str, Any], list[bytes]]


class ProgramPart(Part):
    """Shows `bench.program`; `model` brings its weights, and `data` the rows whose flows are shown (none: nothing observed)."""

    name: ClassVar[str] = "program"

    def __init__(self, bench: Workbench, post: Post) -> None:
        super().__init__(bench, post)
        self._lock = threading.RLock()
        self._context = contextvars.copy_context()
        self._rev = 0  # of the weights: grows with every model, and with every program
        self._programs = 0  # how many of those it had
        self._model: Model | None = None
        self._evidence: Evidence | None = None
        self._flows: tuple[int, Statistics] | None = None
        self._flowing = threading.Lock()
        self._maps: OrderedDict[tuple[int, int, int, str], WeightMap] = OrderedDict()
        self._kernels = KernelJobs(self._told)
        self._asked = True  # whether anyone looked at weights since the run was asked for them; nobody could yet
        self._followed = 0.0

    # ---- what is shown -----------------------------------------------------------------------------------------------
    @property
    def model(self) -> Model | None:
        """Whose weights are shown."""
        return self._model

    @model.setter
    def model(self, model: Model | None) -> None:
        if model is not None and model.program is not self.bench.program:
            raise OptionError("the model belongs to another program than the one on the screen; set bench.model to show both")
        with self._lock:
            self._model = model
            self._renew()

    @property
    def evidence(self) -> Evidence | None:
        """The rows whose flows are shown, summed up; None: one row in which nothing is observed."""
        return self._evidence

    @evidence.setter
    def evidence(self, evidence: Evidence | None) -> None:
        with self._lock:
            self._evidence = evidence
            self._renew()

    def _renew(self) -> None:
        """Other weights: whatever was made of the old ones is forgotten, and the view told."""
        self._rev += 1
        self._flows = None
        self._maps = OrderedDict((key, found) for key, found in self._maps.items() if key[3] == "")
        self.post(self._state(), [])

    def changed(self, what: str) -> None:
        if what == "program":
            with self._lock:
                if self._model is not None and self._model.program is not self.bench.program:
                    self._model = None
                self._maps.clear()
                self._programs += 1
                self._kernels.forget()
                self._renew()
        elif what == "tick":
            self._follow()

    def _follow(self) -> None:
        """While a run trains the program on the screen, its newest weights are shown; at most every two seconds, if wanted."""
        if not self._asked or time.monotonic() - self._followed < _FOLLOW:
            return
        self._followed = time.monotonic()
        newest = getattr(self.bench.run, "model", None)
        if isinstance(newest, Model) and newest.program is self.bench.program and newest is not self._model:
            self._asked = False
            self.model = newest

    # ---- Python → view -----------------------------------------------------------------------------------------------
    def sync(self, have: Mapping[str, Any]) -> None:
        if have.get("rev") != self._rev:
            self.post(self._state(), [])
            if (state := self._kernels.state) is not None:
                self._told(state)

    def _state(self) -> dict[str, Any]:
        program: Program | None = self.bench.program
        rows = "nothing observed" if self._evidence is None else f"{len(self._evidence):,} rows"
        return {
            "kind": "state",
            "rev": self._rev,
            "program": self._programs,
            "weights": self._model is not None,
            "why": "" if self._model is not None else _NO_MODEL,
            "flows": rows,
            "compare": None if program is None else compare.choices(program),
            "kernels": self._kernels.choices(),
        }

    def _told(self, state: dict[str, Any]) -> None:
        self.post({"kind": "kernel", **state}, [])

    def close(self) -> None:
        self._kernels.stop()

    def receive(self, body: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        kind = str(body.get("kind"))
        if kind in self._SLOW or body.get("mode") == "flow":
            work = partial(self._context.copy().run, self._reply, self._ANSWERS[kind], kind, body)
            threading.Thread(target=work, name=f"pcbench-{kind}", daemon=True).start()
        elif kind in self._ANSWERS:
            self._reply(self._ANSWERS[kind], kind, body)

    def _reply(self, answer: Callable[[ProgramPart, Mapping[str, Any]], Answer], kind: str, body: Mapping[str, Any]) -> None:
        try:
            content, buffers = answer(self, body)
            content = {"ok": True, **content}
        except (PCBenchError, OSError) as error:
            content, buffers = {"ok": False, "text": str(error)}, []
        except Exception as error:  # whatever it was, the person at the screen must read it
            content, buffers = {"ok": False, "text": f"{type(error).__name__}: {error}"}, []
        self.post({"kind": kind, "ask": body.get("ask"), **content}, buffers)

    # ---- maps --------------------------------------------------------------------------------------------------------
    def _map(self, layer: int, block: int, values: str) -> tuple[int, WeightMap]:
        """The map of a block with edges alone (``""``), with weights, or with flows; and the revision of its values."""
        rev, program, given = self._given(values)
        key = (rev if values else 0, layer, block, values)
        with self._lock:
            found = self._maps.get(key)
            if found is None:
                found = WeightMap(program, layer, block, given)
                if rev == self._rev:
                    self._maps[key] = found
                if len(self._maps) > _MAPS:
                    self._maps.popitem(last=False)
            else:
                self._maps.move_to_end(key)
            return rev, found

    def _given(self, values: str) -> tuple[int, Program, Parameters | Statistics | None]:
        with self._lock:
            rev, program, model, evidence = self._rev, self.bench.program, self._model, self._evidence
        if program is None:
            raise OptionError("there is no program on the screen")
        if values == "":
            return rev, program, None
        if model is None:
            raise OptionError(_NO_MODEL)
        self._asked = True
        return rev, program, model.parameters if values == "weight" else self._statistics(rev, model, evidence)

    def _statistics(self, rev: int, model: Model, evidence: Evidence | None) -> Statistics:
        """Flows through the edges; of no evidence they say how often a sample takes each edge."""
        with self._flowing:
            if self._flows is not None and self._flows[0] == rev:
                return self._flows[1]
            evidence = Evidence.none(1, model.circuit.variables) if evidence is None else evidence
            told = Statistics.zeros(model.program)
            for first in range(0, len(evidence), _ROWS):
                told = expectation(model, evidence[first : first + _ROWS], into=told)[0]
            self._flows = (rev, told)
            return told

    def _open(self, body: Mapping[str, Any]) -> Answer:
        """What a map of a block is: its size, its levels, the blocks beside it, and how much of it is padding."""
        layer, block = int(body["layer"]), int(body["block"])
        rev, found = self._map(layer, block, "")
        program: Program = self.bench.program
        shown = program.layers[layer]
        assert isinstance(shown, SumLayer)
        edges, padding = overview(found)
        labels = [program.circuit.label(b) for b in shown.blocks[:500]]
        return {
            "rev": rev,
            "layer": layer,
            "block": block,
            "rows": found.rows,
            "cols": found.cols,
            "levels": found.levels,
            "side": SIDE,
            "tile": program.tile,
            "edges": edges,
            "padding": padding,
            "decades": DECADES,
            "labels": labels,
            "parent": program.circuit.index[shown.blocks[block]],
            "children": [[program.circuit.index[child], child.nodes] for child in shown.blocks[block].children],
        }, []

    def _tiles(self, body: Mapping[str, Any]) -> Answer:
        layer, block, mode = int(body["layer"]), int(body["block"]), str(body["mode"])
        if mode not in MODES:
            raise OptionError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
        wanted = [tuple(int(n) for n in at) for at in body["tiles"]][:_MOST_TILES]
        rev, found = self._map(layer, block, mode if mode in ("weight", "flow") else "")
        parts, shapes = [], []
        for level, row, col in wanted:
            shade = shades(found.tile(level, row, col), mode, found.largest, found.stores_all)
            parts.append(np.ascontiguousarray(shade).tobytes())
            shapes.append([level, row, col, *shade.shape])
        head = {"rev": rev, "layer": layer, "block": block, "mode": mode, "tiles": shapes, "largest": found.largest}
        return head, [b"".join(parts)]

    def _region(self, body: Mapping[str, Any]) -> Answer:
        """Exact numbers of a rectangle of pixels: edges, cells, and sums of weights or flows."""
        layer, block, mode = int(body["layer"]), int(body["block"]), str(body["mode"])
        place = tuple(int(body[key]) for key in ("level", "row", "col", "height", "width"))
        if place[3] * place[4] > _MOST_CELLS:
            raise OptionError(f"{place[3]} × {place[4]} pixels are more than the {_MOST_CELLS:,} that are sent at once")
        values = "flow" if mode == "flow" else "weight" if self._model is not None else ""
        rev, found = self._map(layer, block, values)
        tile = found.region(*place)
        weight = np.full(tile.edges.shape, np.nan) if tile.weight is None else tile.weight
        numbers = np.stack([tile.edges, tile.area, weight]).astype("<f8")
        return {"rev": rev, "stores_all": found.stores_all, "values": values}, [numbers.tobytes()]

    # ---- other answers -----------------------------------------------------------------------------------------------
    def _pin(self, body: Mapping[str, Any]) -> Answer:
        """The blocks of a cell: the sum whose node the row is, and the child whose element the column is."""
        program: Program = self.bench.program
        shown = program.layers[int(body["layer"])]
        assert isinstance(shown, SumLayer)
        parent, row, col = shown.blocks[int(body["block"])], int(body["row"]), int(body["col"])
        child, node = _child_of(parent.children, col)
        circuit: Circuit = program.circuit
        text = f"node {row} of {circuit.label(parent)} ← element {node} of {circuit.label(child)}"
        return {"blocks": [circuit.index[parent], circuit.index[child]], "text": text}, []

    def _memory(self, body: Mapping[str, Any]) -> Answer:
        program: Program | None = self.bench.program
        return {}, [] if program is None else [spans(program).tobytes()]

    def _source(self, body: Mapping[str, Any]) -> Answer:
        program: Program | None = self.bench.program
        if program is None:
            raise OptionError("there is no program on the screen")
        return {"text": source(program, body.get("at"), self._model is not None)}, []

    def _compare(self, body: Mapping[str, Any]) -> Answer:
        program: Program | None = self.bench.program
        if program is None:
            raise OptionError("there is no program on the screen")
        return compare.summary(compare.compiled(program, int(body["tile"]), str(body["precision"]))), []

    def _compile(self, body: Mapping[str, Any]) -> Answer:
        program: Program | None = self.bench.program
        if program is None:
            raise OptionError("there is no program on the screen")
        self._kernels.start(program.circuit, int(body["layer"]), int(body["target"]), str(body["precision"]))
        return {}, []

    def _cancel(self, body: Mapping[str, Any]) -> Answer:
        self._kernels.stop()
        return {}, []

    _ANSWERS: ClassVar[dict[str, Any]] = {
        "open": _open,
        "tiles": _tiles,
        "region": _region,
        "pin": _pin,
        "memory": _memory,
        "source": _source,
        "compare": _compare,
        "compile": _compile,
        "cancel": _cancel,
    }
    _SLOW: ClassVar[tuple[str, ...]] = ("compare", "compile", "memory")


def _child_of(children: Sequence[Block], element: int) -> tuple[Block, int]:
    """Which child an element of a sum belongs to, and which of its nodes it is."""
    for child in children:
        if element < child.nodes:
            return child, element
        element -= child.nodes
    raise OptionError("there is no such element")
