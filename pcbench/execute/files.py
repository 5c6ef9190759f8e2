"""Circuits and models in files. (The formats are in ``pcbench.io``, which lies below models and knows none.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..circuit import Circuit
from ..compile import compile
from ..errors import FileFormatError, OptionError, hinted
from ..io import FORMATS, Stored, load_file, load_stored, save_stored
from .model import Model

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@hinted
def save(obj: Circuit | Model, path: str | Path, notes: dict[str, Any] | None = None) -> None:
    """Write a circuit or a model: as a whole or not at all (an interrupt leaves an existing file as it was).

    Args:
        obj: a circuit (with the initial values of its parameters) or a model (with what it learnt).
        path: the end of its name chooses the format; ``.pcb`` is pcbench's own.
        notes: JSON data to keep with it: how it was trained, say.

    Raises:
        OptionError: for anything but a circuit or a model.
        FileFormatError: for a name that says another format, or content that the format cannot hold.
        OSError: when the disk refuses.
    """
    if isinstance(obj, Model):
        stored = _stored(obj, notes)
    elif isinstance(obj, Circuit):
        stored = Stored(obj, notes=notes or {})
    else:
        raise OptionError(f"save() takes a Circuit or a Model, got {type(obj).__name__}")
    path = Path(path)
    writers = [f for f in FORMATS if f.save is not None]
    for form in writers:
        if path.suffix in form.suffixes and form.save is not None:
            form.save(stored, path)
            return
    known = ", ".join(s for f in writers for s in f.suffixes)
    raise FileFormatError(f"{path}: the end of the name says no format that can be written; known: {known}")


@hinted
def load(path: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> Circuit | Model:
    """The circuit or the model in a file, recognised by its content. Nothing in the file is run.

    Args:
        path: of any name.
        device: for a model.
        dtype: of a model's program; the one it was saved with where left out.

    Raises:
        FileFormatError: naming the file, what is wrong and what was expected; for a pickle too, which is never opened.
        OSError: when the file cannot be opened.
    """
    return _restored(load_file(path), device, dtype)


@hinted
def save_model(model: Model, path: str | Path, notes: dict[str, Any] | None = None) -> None:
    """Write a model in pcbench's own format, whatever the file is called; raises as :func:`save` does."""
    if not isinstance(model, Model):
        raise OptionError(f"save_model() takes a Model, got {type(model).__name__}; save() takes circuits too")
    save_stored(_stored(model, notes), path)


@hinted
def load_model(path: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> Model:
    """The model in a file of pcbench's own format.

    Raises:
        FileFormatError: as for :func:`load`, and when the file holds a circuit without learnt parameters.
    """
    stored = load_stored(path)
    if stored.values is None:
        raise FileFormatError(f"{path} holds a circuit that was not trained, expected a model; load() opens both")
    model = _restored(stored, device, dtype)
    assert isinstance(model, Model)
    return model


def _stored(model: Model, notes: dict[str, Any] | None) -> Stored:
    values = {parameter: value.cpu() for parameter, value in model.values().items()}
    return Stored(model.circuit, values, str(model.program.dtype).removeprefix("torch."), notes or {})


def _restored(stored: Stored, device: str, dtype: torch.dtype | None) -> Circuit | Model:
    if stored.values is None:
        return stored.circuit
    program = compile(stored.circuit, device=device, dtype=dtype or _DTYPES.get(stored.dtype or "", torch.float32))
    return Model.from_values(program, stored.values)
