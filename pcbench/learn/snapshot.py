"""A model of a run that goes on, in a file."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OptionError
from ..execute import Model
from ..execute.files import save_model

SUFFIX = ".pcb"


def write(model: Model, path: str | os.PathLike[str] | None, step: int, epoch: int) -> Path:
    """Write a model with the place in its run as notes; the whole file or nothing. Where it is, as an absolute path.

    Args:
        model: of the last complete step.
        path: ends in ``.pcb``; a file of this name is replaced. ``None``: named after the step, in the current folder, and
            numbered rather than replacing the file of another run.
        step, epoch: steps and whole epochs done.

    Raises:
        OptionError: for a name of another kind, a folder, or a folder that is not there.
        OSError: when the disk refuses.
    """
    target = _free(f"snapshot-step-{step}") if path is None else _checked(Path(path))
    save_model(model, target, notes={"step": step, "epoch": epoch})
    return target


def _free(stem: str) -> Path:
    number, target = 1, Path(stem + SUFFIX).absolute()
    while target.exists():
        number += 1
        target = Path(f"{stem}-{number}{SUFFIX}").absolute()
    return target


def _checked(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise OptionError(f"a snapshot is a file whose name ends in {SUFFIX}, got {str(path)!r}")
    target = path.expanduser().absolute()
    if not target.parent.is_dir():
        raise OptionError(f"snapshot {str(path)!r}: there is no folder {str(target.parent)!r}")
    if target.is_dir():
        raise OptionError(f"snapshot {str(path)!r} is a folder; give the name of a file")
    return target
