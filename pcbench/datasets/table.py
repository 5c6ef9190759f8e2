"""Own data from a file: text tables (csv, tsv, …), NumPy arrays, IDX images; each also gzipped. Never a pickle."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError, hinted
from ..scope import Variables
from .columns import Place, table_of
from .dataset import Dataset, Table
from .mnist import read_bytes, read_idx

#: What stands for a missing value in text.
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})


@hinted
def load_table(
    path: str | Path, variables: Variables | None = None, header: bool | None = None, key: str | None = None
) -> Table:
    """Rows of a file, with a variable for each column.

    A column of whole numbers from 0 becomes a finite variable with values 0…maximum; any other a real one. Empty fields,
    ``?``, ``NA`` and ``NaN`` are missing values.

    Args:
        path: text with commas, semicolons, tabs or spaces between fields; ``.npy``; ``.npz``; IDX; each also gzipped.
        variables: those of the training data, when this file must have the same; values are then checked against them.
        header: whether the first line of a text holds names; seen from the line itself where left out.
        key: which array of an ``.npz`` file; needed when there are several.

    Raises:
        DataError: naming file, line and column of what is wrong.
        OSError: when the file cannot be opened.
    """
    raw = read_bytes(path)
    if not raw.strip():
        raise DataError(f"{path} is empty")
    if raw[:6] == b"\x93NUMPY" or raw[:4] == b"PK\x03\x04":
        array = _numpy_array(path, raw, key)
        return table_of(_as_numbers(path, array), None, variables, _row_place(variables), str(path))
    if raw[:3] == b"\0\0\x08":
        images = read_idx(path)
        return table_of(images.reshape(len(images), -1).double().numpy(), None, variables, _row_place(variables), str(path))
    return _text_table(path, raw, variables, header)


@hinted
def load_dataset(path: str | Path, valid: str | Path | None = None, test: str | Path | None = None) -> Dataset:
    """A data set from files: one for each part, or one ``.npz`` with arrays ``train`` and perhaps ``valid`` and ``test``.

    Domains come from the training rows; a category seen only in the others is an error that names it.
    """
    if valid is None and test is None and read_bytes(path)[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            keys = {name.removesuffix(".npy") for name in archive.namelist()}
        if "train" in keys:
            train = load_table(path, key="train")
            others = {part: load_table(path, train.variables, key=part) for part in ("valid", "test") if part in keys}
            return Dataset.of(Path(path).stem, train, **others)
    train = load_table(path)
    tables = {part: load_table(p, train.variables) for part, p in (("valid", valid), ("test", test)) if p is not None}
    return Dataset.of(Path(path).stem, train, **tables)


def _row_place(variables: Variables | None) -> Place:
    def place(row: int, column: int) -> str:
        return f"row {row}, column {column}" + (f" ({variables[column].name!r})" if variables else "")

    return place


def _numpy_array(path: str | Path, raw: bytes, key: str | None) -> np.ndarray:
    try:
        loaded = np.load(io.BytesIO(raw), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        names = list(loaded.keys())
        if key is None and len(names) != 1:
            raise DataError(f"{path} holds the arrays {', '.join(names) or 'none'}; say which one with key=")
        if key is not None and key not in names:
            raise DataError(f"{path} has no array {key!r}; it holds {', '.join(names)}")
        array: np.ndarray = loaded[key or names[0]]
        return array
    except DataError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path} cannot be read as a NumPy file (pickled objects are never opened): {error}") from None


def _as_numbers(path: str | Path, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: values need numbers, got dtype {array.dtype}")
    if array.ndim < 2:
        raise DataError(f"{path}: expected an array [rows, columns], got shape {list(array.shape)}")
    return np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float64)


def _text_table(path: str | Path, raw: bytes, variables: Variables | None, header: bool | None) -> Table:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 (byte {error.start:,}), and no NumPy or IDX file") from None
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = next((d for d in (",", "\t", ";") if d in first), None)
    fields = _fields(first, delimiter)
    if header is None:
        header = any(not _is_number(f) and f.strip().lower() not in MISSING for f in fields)
    names = _names(path, fields) if header else None
    numbers, lines = _numbers(path, text, delimiter, header, len(fields))

    def place(row: int, column: int) -> str:
        name = names[column] if names else variables[column].name if variables else None
        return f"line {lines[row]}, column {column + 1}" + (f" ({name!r})" if name else "")

    return table_of(numbers, names, variables, place, str(path))


def _fields(line: str, delimiter: str | None) -> list[str]:
    return line.split() if delimiter is None else next(csv.reader([line], delimiter=delimiter))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # Python reads 1_000 as a number, tables do not


def _names(path: str | Path, fields: Sequence[str]) -> list[str]:
    names = [f.strip() or f"x{i}" for i, f in enumerate(fields)]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{path}: line 1: two columns are called {twice!r}")
    return names


def _numbers(path: str | Path, text: str, delimiter: str | None, header: bool, width: int) -> tuple[np.ndarray, Sequence[int]]:
    """The numbers ``[rows, columns]``, NaN where missing, and the line of each row (from 1)."""
    lines = text.splitlines()
    places = [i for i, line in enumerate(lines) if line.strip()]
    places = places[1:] if header else places
    if not places:
        raise DataError(f"{path}: no rows of data")
    try:
        # NumPy's own parser reads clean tables ten times faster; it knows no missing values and points at no field.
        numbers = np.loadtxt([lines[i] for i in places], delimiter=delimiter, comments=None, ndmin=2)
        if numbers.shape[1] == width:
            return numbers, [i + 1 for i in places]
    except ValueError:
        pass
    numbers = np.full((len(places), width), np.nan)
    for row, line in enumerate(places):
        fields = _fields(lines[line], delimiter)
        if len(fields) != width:
            raise DataError(f"{path}: line {line + 1} has {len(fields)} fields, expected {width}")
        for column, text_field in enumerate(fields):
            stripped = text_field.strip()
            if stripped.lower() in MISSING:
                continue
            if not _is_number(stripped):
                hint = "write categories as 0, 1, 2, …" if header else "if this line holds names, pass header=True"
                raise DataError(f"{path}: line {line + 1}, column {column + 1}: {stripped!r} is not a number; {hint}")
            numbers[row, column] = float(stripped)
    return numbers, [i + 1 for i in places]
