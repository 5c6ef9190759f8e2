"""Files: one format a file, each with how to recognise it by content, how to read and how to write it."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileFormatError
from .container import HEAD, looks_like_container
from .native import NATIVE, load_circuit, load_stored, save_circuit, save_stored
from .pyjuice import from_pyjuice
from .state import load_state, save_state
from .stored import Format, Stored

#: Every format; loading and the conformance tests iterate over it.
FORMATS: tuple[Format, ...] = (NATIVE,)


def recognise(path: str | Path) -> Format:
    """The format of a file, by its content.

    Raises:
        FileFormatError: for a file of no known format; a pickle is named as such, and never opened.
        OSError: when the file cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        raise FileFormatError(f"{path} is empty")
    if is_pickle(head):
        raise FileFormatError(
            f"{path} is a Python pickle (a PyJuice .jpc, or torch.save?): opening one runs whatever program it contains, "
            "so pcbench never unpickles. Save it again as .pcb, or in a text format; nodes that PyJuice itself has loaded go "
            "through pcbench.from_pyjuice"
        )
    for form in FORMATS:
        if form.recognise(head):
            return form
    known = ", ".join(f"{f.name} ({', '.join(f.suffixes)})" for f in FORMATS)
    raise FileFormatError(f"{path} is of no known format (it starts with {head[:12]!r}); known: {known}")


def is_pickle(head: bytes) -> bool:
    """Whether the first bytes of a file are a Python pickle's (protocols 2 to 5), or a zip archive's with one in it."""
    if head[:4] == b"PK\x03\x04":
        return b".pkl" in head
    # A container whose header is 640 bytes long starts with 80 02 as well.
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and not looks_like_container(head)


def load_file(path: str | Path) -> Stored:
    """The circuit or model in a file of any known format."""
    return recognise(path).load(Path(path))


__all__ = [
    "FORMATS",
    "Format",
    "Stored",
    "from_pyjuice",
    "is_pickle",
    "load_circuit",
    "load_file",
    "load_state",
    "load_stored",
    "recognise",
    "save_circuit",
    "save_state",
    "save_stored",
]
