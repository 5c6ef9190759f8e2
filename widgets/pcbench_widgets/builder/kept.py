"""Drawings that nobody has saved yet, kept on disk for the case that their kernel dies.

One file a builder, in the user's state folder, written about once a second while somebody draws and gone as soon as the
drawing is saved elsewhere or its builder is closed. Its first line says what it is, its second holds it (`record`). A kernel
holds a lock as long as it lives, so whoever comes later can tell drawings that were left behind from those still open.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pcbench.errors import FileFormatError
from pcbench.io.container import parse_json, replacing

from .document import Document
from .record import Drawing, from_record, to_record

FORMAT = "pcbench drawing"
VERSION = 1
SUFFIX = ".drawing"
EVERY = 1.0
"""Least seconds between two writings."""
SHARE = 0.05
"""Most of the time that writing may take: a drawing that takes a second to write is written every twenty."""
AFTER_FAILURE = 30.0
MOST_LEFT = 50
"""Drawings that dead kernels may leave behind; beyond that the oldest go."""
_HEAD = 1 << 16


def folder() -> Path:
    """Where drawings are kept: ``pcbench/drawings`` in the user's state folder."""
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    try:
        base = os.environ.get("XDG_STATE_HOME") or local or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(f"{error} XDG_STATE_HOME may name a folder for drawings.") from None
    return Path(base) / "pcbench" / "drawings"


@dataclass(frozen=True)
class Place:
    """Where a builder was opened: the notebook (or the working folder, where Jupyter does not say), and its cell."""

    notebook: str
    cell: str = ""


def here() -> Place:
    """The place of the cell that is running."""
    notebook = os.environ.get("JPY_SESSION_NAME") or os.getcwd()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    parent: Any = None
    with suppress(Exception):  # a terminal, or a kernel of another make: then the cell is not known
        parent = shell.kernel.get_parent() if shell is not None else None
    metadata = parent.get("metadata", {}) if isinstance(parent, dict) else {}
    return Place(notebook, str(metadata.get("cellId", "")))


@dataclass(frozen=True)
class Unsaved:
    """A drawing that was left behind: when it was last drawn on (seconds since 1970), where, and how many blocks it has."""

    id: str
    when: float
    notebook: str
    cell: str
    blocks: int

    @property
    def path(self) -> Path:
        return folder() / f"{self.id}{SUFFIX}"

    def drawing(self) -> Drawing:
        """What was drawn, with its history.

        Raises:
            FileFormatError: for a file that is damaged, or of a newer version.
            OSError: when it is no longer there.
        """
        head, _, body = self.path.read_bytes().partition(b"\n")
        _head_of(self.path, head)
        return from_record(parse_json(body, f"{self.path}: the drawing"))

    def document(self) -> Document:
        """The drawing as a document: ``build(drawing.document())`` shows it. Raises as `drawing` does."""
        document = Document()
        document.adopt(self.drawing())
        return document

    def discard(self) -> None:
        """Throws the drawing away."""
        self.path.unlink(missing_ok=True)


def unsaved() -> list[Unsaved]:
    """Drawings that kernels which are gone have left behind, the newest first."""
    return [drawing for drawing in _all() if _left_behind(drawing.id)]


def offered(place: Place, mine: str) -> list[Unsaved]:
    """What a builder at a place should offer: what was left behind in its notebook, and what another builder of this
    kernel holds that was made by the same cell, which has run again since. The cell's own come first, the newest of them."""
    for keeper in list(_keepers):
        if keeper.id != mine and place.cell and keeper.place == place:
            keeper.flush()

    def fits(drawing: Unsaved) -> bool:
        if drawing.id == mine or drawing.notebook != place.notebook:
            return False
        ours = _owner_of(drawing.id) == _owner.name
        return (place.cell != "" and drawing.cell == place.cell) if ours else _left_behind(drawing.id)

    return sorted(filter(fits, _all()), key=lambda drawing: (drawing.cell != place.cell, -drawing.when))


class Keeper:
    """Keeps one document's drawing on disk from the first edit by hand on. `tick` is called now and then, by one thread."""

    def __init__(self, document: Document, place: Place, tell: Callable[[str, str], None]) -> None:
        """`tell` hears when the state becomes another: "none", "kept", or "failed" with the reason."""
        self.place = place
        self.id = f"{_owner.name}-{secrets.token_hex(4)}"
        self._document = document
        self._tell = tell
        self._by_hand = False
        self._changed = False
        self._due = 0.0
        self._state = "none"
        self._writing = threading.Lock()
        _keepers.add(self)

    @property
    def state(self) -> str:
        return self._state

    def noted(self, by_hand: bool) -> None:
        """The document has changed. What only code did is not kept: the cell that did it does it again."""
        self._by_hand = self._by_hand or by_hand
        self._changed = self._by_hand

    def tick(self) -> None:
        saved = self._state == "kept" and self._document.saved
        if (self._changed and time.monotonic() >= self._due) or saved:
            self.flush()

    def flush(self) -> None:
        """Writes what is not written yet; of what was saved elsewhere, or is empty, nothing stays."""
        with self._writing:
            if not self._changed and not self._document.saved:
                return
            self._changed = False
            start = time.monotonic()
            try:
                self._write()
            except Exception as error:  # whatever it was: who draws must know, and the thread that asked must go on
                self._changed, self._due = True, start + AFTER_FAILURE
                self._become("failed", str(error) or type(error).__name__)
            else:
                self._due = max(start + EVERY, time.monotonic() + (time.monotonic() - start) / SHARE)

    def _write(self) -> None:
        with self._document.lock:
            drawing, saved = self._document.drawing(), self._document.saved
        path = folder() / f"{self.id}{SUFFIX}"
        if saved or not drawing.blocks:
            path.unlink(missing_ok=True)
            return self._become("none", "")
        _owner.hold()
        if self._state != "kept":
            _tidy()
        head = asdict(Unsaved(self.id, time.time(), self.place.notebook, self.place.cell, len(drawing.blocks)))
        text = json.dumps({"format": FORMAT, "version": VERSION, **head}) + "\n" + json.dumps(to_record(drawing))
        with replacing(path) as file:
            file.write(text.encode())
        self._become("kept", "")

    def _become(self, state: str, text: str) -> None:
        if state != self._state:
            self._state = state
            if not _owner.ending:  # then nobody listens any more
                self._tell(state, text)

    def drop(self) -> None:
        """The builder was closed: nothing of it is kept. Not while Python itself ends, which is what a restart looks like."""
        if not _owner.ending:
            with self._writing, suppress(OSError):
                _keepers.discard(self)
                self._changed = False
                (folder() / f"{self.id}{SUFFIX}").unlink(missing_ok=True)


class _Owner:
    """This process, as others see it: a name, and a lock that the system takes away with the process."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(6)
        self.ending = False
        self._lock: BinaryIO | None = None

    def hold(self) -> None:
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder() / f"{self.name}.lock"
        if self._lock is None or not path.exists():  # somebody may have cleared the folder
            self._lock = path.open("wb")
            _try_lock(self._lock)

    def end(self) -> None:
        """A kernel that is restarted in good order ends here, too."""
        self.ending = True
        for keeper in list(_keepers):
            keeper.flush()


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()
_owner = _Owner()
atexit.register(_owner.end)


def _owner_of(id: str) -> str:
    return id.partition("-")[0]


def _left_behind(id: str) -> bool:
    """Whether the kernel that a drawing belongs to is gone."""
    owner = _owner_of(id)
    if owner == _owner.name:  # asking would give up our own lock
        return False
    try:
        with (folder() / f"{owner}.lock").open("r+b") as file:
            return _try_lock(file)
    except OSError:
        return True


def _try_lock(file: BinaryIO) -> bool:
    """Locks of a process and not of an open file: a forked worker that outlives its kernel must not hold them."""
    try:
        if sys.platform == "win32":
            import msvcrt  # there is none elsewhere

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # there is none on Windows

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _all() -> list[Unsaved]:
    """Every drawing in the folder, the newest first; what cannot be read is passed over."""
    return sorted(_readable(), key=lambda drawing: -drawing.when)


def _readable() -> Iterator[Unsaved]:
    for path in folder().glob(f"*{SUFFIX}"):
        with suppress(OSError, FileFormatError), path.open("rb") as file:
            yield _head_of(path, file.readline(_HEAD))


def _head_of(path: Path, line: bytes) -> Unsaved:
    head = parse_json(line, f"{path}: its first line")
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise FileFormatError(f"{path} is no drawing of pcbench's")
    if head.get("version") != VERSION:
        raise FileFormatError(f"{path} has version {head.get('version')!r}; this pcbench reads version {VERSION}")
    try:
        when, blocks = float(head["when"]), int(head["blocks"])
        return Unsaved(path.name.removesuffix(SUFFIX), when, str(head["notebook"]), str(head["cell"]), blocks)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: its first line is damaged ({type(error).__name__}: {error})") from None


def _tidy() -> None:
    """Throws away the oldest of what was left behind, and locks that nobody needs any more."""
    drawings = _all()
    for drawing in [drawing for drawing in drawings if _left_behind(drawing.id)][MOST_LEFT:]:
        drawing.discard()
    owners = {_owner_of(path.name) for path in folder().glob(f"*{SUFFIX}")}
    for lock in folder().glob("*.lock"):
        with suppress(OSError):
            # A day old: one that was made just now may not be held yet.
            old = time.time() - lock.stat().st_mtime > 86_400
            if old and lock.stem not in owners and _left_behind(lock.stem):
                lock.unlink()
