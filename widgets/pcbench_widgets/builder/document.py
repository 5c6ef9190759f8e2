"""The document of the builder: a draft with its history, edited from Python and by mouse alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

import pcbench
from pcbench import Bernoulli, Circuit, Distribution, Parameter
from pcbench.circuit import Block
from pcbench.errors import CircuitError
from pcbench.io import Stored, load_file

from .convert import change_to, circuit_of, state, values_state
from .draft import Change, Draft, DraftBlock, Pair, Refusal, problems
from .families import to_wire
from .record import Drawing
from .rules import apply
from .source import source_of
from .templates import template

NOTE = "builder"
"""Where in a file's notes positions and groups stand."""


@dataclass(frozen=True, eq=False)
class Edited:
    """What a subscriber learns: the revision, what changed, and the id of the operation (None for undo and redo)."""

    rev: int
    change: Change
    op: str | None = None


Listener = Callable[[Edited], None]


class Document:
    """A circuit under construction. Safe to edit from several threads; every edit is one step of undo.

    Methods that add something give its id. An edit that could never become a circuit (a cycle, a product whose children
    share a variable, a sum over different scopes) raises `Refusal`, and changes nothing::

        document = Document()
        a, b = document.add_input("a"), document.add_input("b")
        root = document.add_sum([document.add_product([a, b])])
        circuit = document.circuit()
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._draft = Draft()
        self._rev = 0
        self._undone: list[tuple[str, Change]] = []
        self._done: list[tuple[str, Change]] = []
        self._listeners: list[Listener] = []
        self._ids: WeakKeyDictionary[Circuit, tuple[int, ...]] = WeakKeyDictionary()
        self._next = 0
        self._saved = -1
        self.placed: dict[int, tuple[float, float]] = {}
        """Where a view has put blocks that have no position of their own."""

    @classmethod
    def of(cls, circuit: Circuit) -> Document:
        """A circuit opened for editing; a block's id is its place in `circuit.blocks`."""
        document = cls()
        document._draft.put(change_to(document._draft, circuit, circuit.index))
        document._next = len(circuit.blocks)
        tops = tuple(circuit.index[root] for root in circuit.roots)
        if document._draft.tops() != tops:
            document._draft.put(Change({}, roots=((), tops)))
        document._ids[circuit] = tuple(range(len(circuit.blocks)))
        return document

    # ---- what it is --------------------------------------------------------------------------------------------------
    @property
    def rev(self) -> int:
        """Grows by one with every edit, undo and redo."""
        return self._rev

    @property
    def blocks(self) -> dict[int, DraftBlock]:
        """The blocks by id, as they stand now."""
        with self._lock:
            return dict(self._draft.blocks)

    def problems(self) -> list[tuple[int | None, str]]:
        """What keeps it from being a circuit: the id of the block, where there is one, and why."""
        with self._lock:
            return list(problems(self._draft))

    def state(self) -> dict[str, Any]:
        """Everything as plain data, values too: equal documents have equal states."""
        with self._lock:
            return state(self._draft) | {"values": values_state(self._draft)}

    def circuit(self) -> Circuit:
        """The frozen circuit.

        Raises:
            CircuitError: listing the problems.
        """
        with self._lock:
            circuit, ids = circuit_of(self._draft)
            self._ids[circuit] = ids
            return circuit

    def ids_of(self, circuit: Circuit | None) -> tuple[int, ...] | None:
        """For each block of a circuit that came from here, or was opened here, its id; None for a stranger."""
        with self._lock:
            return None if circuit is None else self._ids.get(circuit)

    def source(self) -> str:
        """Python that builds an equal circuit in a fresh kernel; raises as `circuit` does."""
        return source_of(self.circuit())

    def __repr__(self) -> str:
        with self._lock:
            wrong = sum(1 for _ in problems(self._draft))
            return f"Document({len(self._draft.blocks)} blocks, rev {self._rev}, {wrong} problems)"

    # ---- edits -------------------------------------------------------------------------------------------------------
    def add_input(
        self,
        variable: str,
        distribution: Distribution | None = None,
        nodes: int = 1,
        name: str | None = None,
        at: tuple[float, float] | None = None,
    ) -> int:
        """Leaves over a variable, which is made when it is new; Bernoulli where no distribution is given."""
        family = Bernoulli() if distribution is None else distribution
        args = {"variable": variable, "distribution": to_wire(family), "nodes": nodes}
        return self._add("add_input", name, at, args)

    def add_product(self, children: Iterable[int] = (), name: str | None = None, at: tuple[float, float] | None = None) -> int:
        """A product of blocks over different variables."""
        return self._add("add_product", name, at, {"children": list(children)})

    def add_sum(
        self,
        children: Iterable[int] = (),
        nodes: int = 1,
        name: str | None = None,
        at: tuple[float, float] | None = None,
    ) -> int:
        """A mixture of blocks over the same variables."""
        return self._add("add_sum", name, at, {"children": list(children), "nodes": nodes})

    def connect(self, parent: int, child: int) -> None:
        """Makes a block the last child of another. A sum starts afresh, with dense edges and no values."""
        self.apply("connect", {"parent": parent, "child": child})

    def disconnect(self, parent: int, child: int) -> None:
        self.apply("disconnect", {"parent": parent, "child": child})

    def remove(self, *ids: int) -> None:
        """Removes blocks with their edges; a variable goes with its last input."""
        self.apply("remove", {"ids": list(ids)})

    def rename(self, id: int, name: str | None) -> None:
        self.apply("rename", {"id": id, "name": name})

    def set_units(self, id: int, nodes: int) -> None:
        """Another number of nodes for an input or a sum; its values, and those of sums above, start afresh."""
        self.apply("set_units", {"id": id, "nodes": nodes})

    def set_distribution(self, id: int, distribution: Distribution, variable: str | None = None) -> None:
        """Another family for an input, and another variable where one is given."""
        args: dict[str, Any] = {"id": id, "distribution": to_wire(distribution)}
        self.apply("set_distribution", args if variable is None else args | {"variable": variable})

    def set_weights(self, id: int, values: Any) -> None:
        """Values of an input's or a sum's parameters, in their shape (or flat); None makes them random again."""
        if values is not None:
            values = torch.as_tensor(values).double().reshape(-1).tolist()
        self.apply("set_weights", {"id": id, "values": values})

    def move(self, moves: Mapping[int, tuple[float, float]]) -> None:
        """Positions in the picture: x to the right, y downwards, one row 112 below the other."""
        self.apply("move", {"moves": [[id, x, y] for id, (x, y) in moves.items()]})

    def set_root(self, *ids: int) -> None:
        """Whose nodes are the circuit's outputs; none means whatever has no parent."""
        self.apply("set_root", {"ids": list(ids)})

    def group(self, ids: Iterable[int], name: str | None) -> None:
        """A region that the picture can fold; None takes blocks out of theirs."""
        self.apply("group", {"ids": list(ids), "name": name})

    def insert_template(self, name: str, **options: Any) -> list[int]:
        """The blocks of a structure or textbook circuit as one region; `options` as `templates` lists them."""
        self.apply("insert_template", {"name": name, "options": options})
        return list(self._done[-1][1].blocks)

    def insert(self, circuit: Circuit, group: str | None = None, op: str | None = None) -> list[int]:
        """The blocks of a circuit beside what is here; variables of one name are the same variable."""
        with self._lock:
            label = "insert" if group is None else f"insert {group}"
            self._commit(label, self._insertion(circuit, group), op)
            return list(self._done[-1][1].blocks)

    def apply(self, kind: str, args: Mapping[str, Any], op: str | None = None) -> None:
        """One operation as it travels; raises `Refusal` and changes nothing where it is not legal."""
        with self._lock:
            if kind == "insert_template":
                name = str(args.get("name"))
                self.insert(template(name, args.get("options", {})), self.free_group(name), op)
            else:
                change = apply(self._draft, kind, args)
                self._record(kind.replace("_", " "), change, op)

    def undo(self) -> bool:
        """Takes the last edit back, whoever made it; False where there is none."""
        return self._travel(self._done, self._undone)

    def redo(self) -> bool:
        return self._travel(self._undone, self._done)

    @property
    def undoable(self) -> str | None:
        """What `undo` would take back, in a word; None for nothing."""
        with self._lock:
            return self._done[-1][0] if self._done else None

    @property
    def redoable(self) -> str | None:
        with self._lock:
            return self._undone[-1][0] if self._undone else None

    # ---- files -------------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Writes the circuit with the positions of its blocks; raises as `circuit` and `pcbench.save` do."""
        with self._lock:
            circuit, rev = self.circuit(), self._rev
            ids = self._ids[circuit]
            blocks = [self._draft.blocks.get(id) for id in ids]
            places = [self.place(block) if block is not None else None for block in blocks]
            groups = [None if block is None else block.group for block in blocks]
        pcbench.save(circuit, path, {NOTE: {"places": places, "groups": groups}})
        self._saved = rev

    @property
    def saved(self) -> bool:
        """Whether a file holds it as it stands."""
        return self._saved == self._rev

    @classmethod
    def load(cls, path: str | Path) -> Document:
        """The circuit in a file of any known format, a model's with what it learnt; positions where they were saved."""
        return cls._of_stored(load_file(path))

    def open(self, path: str | Path) -> None:
        """Replaces everything here by what a file holds, as one edit that `undo` takes back."""
        other = Document.load(path)
        with self._lock:
            ids = {id: self._free_id() for id in other._draft.blocks}
            blocks: dict[int, Pair] = {id: (block, None) for id, block in self._draft.blocks.items()}
            for id, block in other._draft.blocks.items():
                moved = replace(block, id=ids[id], children=tuple(ids[child] for child in block.children))
                blocks[moved.id] = (None, moved)
                if id in other.placed:
                    self.placed[moved.id] = other.placed[id]
            roots = tuple(ids[id] for id in other._draft.roots)
            variables = (self._draft.variables, other._draft.variables)
            self._commit("open a file", Change(blocks, variables, (self._draft.roots, roots)))

    @classmethod
    def _of_stored(cls, stored: Stored) -> Document:
        document = cls.of(stored.circuit)
        blocks = dict(document._draft.blocks)
        if stored.values is not None:
            learnt = {p: Parameter(p.shape, value, p.trainable, p.name) for p, value in stored.values.items()}
            for id, block in blocks.items():
                if block.parameter is not None:
                    blocks[id] = replace(block, parameter=learnt[block.parameter])
        note = stored.notes.get(NOTE)
        if isinstance(note, Mapping):
            groups, places = _listed(note.get("groups"), len(blocks)), _listed(note.get("places"), len(blocks))
            for id, block in blocks.items():
                name, place = groups[id], places[id]
                blocks[id] = replace(block, group=name if isinstance(name, str) else None)
                if isinstance(place, Sequence) and len(place) == 2:
                    document.placed[id] = (float(place[0]), float(place[1]))
        document._draft.put(Change({id: (document._draft.blocks[id], block) for id, block in blocks.items()}))
        return document

    def place(self, block: DraftBlock) -> tuple[float, float] | None:
        """Where a block stands: where it was moved to, else where a view has put it."""
        if block.x is not None and block.y is not None:
            return block.x, block.y
        return self.placed.get(block.id)

    # ---- drawings ----------------------------------------------------------------------------------------------------
    def drawing(self) -> Drawing:
        """All that it is made of, with its history, whether it is a circuit yet or not."""
        with self._lock:
            draft = self._draft
            history = tuple(self._done), tuple(self._undone)
            return Drawing(dict(draft.blocks), draft.variables, draft.roots, dict(self.placed), *history)

    def adopt(self, drawing: Drawing) -> None:
        """Replaces everything here by a drawing: with its history where nobody has edited this document yet, else as one
        edit that `undo` takes back."""
        with self._lock:
            draft = self._draft
            ids = {**draft.blocks, **drawing.blocks}
            change = Change(
                {id: (draft.blocks.get(id), drawing.blocks.get(id)) for id in ids},
                (draft.variables, drawing.variables),
                (draft.roots, drawing.roots),
            )
            untouched = not self._done and not self._undone
            self._ids.clear()  # an id may be another block's now
            self._next = max(self._next, *(id + 1 for id in ids), 0)
            self.placed.update(drawing.placed)
            draft.put(change)
            if untouched:
                self._done, self._undone = list(drawing.done), list(drawing.undone)
                self._tell(change, None)
            else:
                self._record("restore a drawing", change, None)

    # ---- listeners ---------------------------------------------------------------------------------------------------
    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` after every edit, in order; the result ends it."""
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    @property
    def lock(self) -> threading.RLock:
        """Held during edits: whoever holds it sees one revision."""
        return self._lock

    @property
    def draft(self) -> Draft:
        """What is edited; read it under `lock`."""
        return self._draft

    def _add(self, kind: str, name: str | None, at: tuple[float, float] | None, args: dict[str, Any]) -> int:
        with self._lock:
            id = self._free_id()
            place = {} if at is None else {"x": at[0], "y": at[1]}
            self.apply(kind, {"id": id, "name": name, **args, **place})
            return id

    def _free_id(self) -> int:
        while self._next in self._draft.blocks:
            self._next += 1
        id, self._next = self._next, self._next + 1
        return id

    def free_group(self, name: str) -> str:
        """A name for a region that no region has."""
        taken = {block.group for block in self._draft.blocks.values()}
        return next(label for i in range(1, len(taken) + 2) if (label := f"{name} {i}") not in taken)

    def _insertion(self, circuit: Circuit, group: str | None) -> Change:
        ids: dict[Block, int] = {block: self._free_id() for block in circuit.blocks}
        try:
            return change_to(self._draft, circuit, ids, group)
        except CircuitError as error:
            raise Refusal(str(error)) from None

    def _commit(self, label: str, change: Change, op: str | None = None) -> None:
        self._draft.put(change)
        self._record(label, change, op)

    def _record(self, label: str, change: Change, op: str | None) -> None:
        self._done.append((label, change))
        self._undone.clear()
        self._tell(change, op)

    def _travel(self, here: list[tuple[str, Change]], there: list[tuple[str, Change]]) -> bool:
        with self._lock:
            if not here:
                return False
            label, change = here.pop()
            back = change.inverse()
            self._draft.put(back)
            there.append((label, back))
            self._tell(back, None)
            return True

    def _tell(self, change: Change, op: str | None) -> None:
        self._rev += 1
        for listener in list(self._listeners):
            listener(Edited(self._rev, change, op))


def _listed(note: object, length: int) -> Sequence[object]:
    """A note of one entry a block; of another length, or none, it says nothing."""
    fits = isinstance(note, list) and len(note) == length
    return note if fits and isinstance(note, list) else [None] * length
