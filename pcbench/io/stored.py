"""What a file of any format holds, and what a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..circuit import Circuit, Parameter


@dataclass(frozen=True, eq=False)
class Stored:
    """A circuit as it stands in a file.

    Attributes:
        circuit: the circuit.
        values: for a model, one tensor for each of the circuit's parameters; ``None`` for a circuit alone.
        dtype: for a model, the precision it computed in (``"float32"``); otherwise ``None``.
        notes: JSON data that the writer added: how it was trained, say.
    """

    circuit: Circuit
    values: dict[Parameter, Tensor] | None = None
    dtype: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """One file format. A new one is one new file and one line in ``FORMATS``.

    Attributes:
        name: for people.
        suffixes: usual ends of file names, for choosing a format to save in; files are recognised by content.
        recognise: whether the first bytes of a file are of this format.
        load: reads a file; raises :class:`~pcbench.errors.FileFormatError`.
        save: writes one; ``None`` where the format is only read.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[bytes], bool]
    load: Callable[[Path], Stored]
    save: Callable[[Stored, Path], None] | None
