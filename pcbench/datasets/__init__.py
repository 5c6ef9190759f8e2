"""Data: two sets that ship with pcbench, and your own files. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import DataError, hinted, suggest
from .dataset import Dataset, Table, hold_out
from .debd import debd
from .mnist import mnist10k, read_idx
from .table import load_dataset, load_table


def nltcs() -> Dataset:
    """National Long Term Care Survey: 16 yes/no questions, 16,181 / 2,157 / 3,236 rows."""
    return debd("nltcs")


#: The sets that ship with pcbench, by name.
BUILT_IN: dict[str, Callable[[], Dataset]] = {"mnist10k": mnist10k, "nltcs": nltcs}


@hinted
def dataset(name: str | Path, valid: str | Path | None = None, test: str | Path | None = None) -> Dataset:
    """A built-in data set by name, or the one in a file (with others for validation and test).

    Raises:
        DataError: when there is neither a data set nor a file of that name, or a file's content is wrong.
    """
    if str(name) in BUILT_IN and valid is None and test is None:
        return BUILT_IN[str(name)]()
    if not Path(name).is_file():
        raise DataError(f"{str(name)!r} is no file and no built-in data set; {suggest(str(name), list(BUILT_IN))}")
    if Path(name).name.endswith((".train.data", ".train.data.gz")) and valid is None and test is None:
        return debd(Path(name).name.split(".")[0], Path(name).parent)
    return load_dataset(name, valid, test)


__all__ = [
    "BUILT_IN",
    "Dataset",
    "Table",
    "dataset",
    "debd",
    "hold_out",
    "load_dataset",
    "load_table",
    "mnist10k",
    "nltcs",
    "read_idx",
]
