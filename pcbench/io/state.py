"""Tensors and plain data in one file: what checkpoints are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import FileFormatError, hinted
from .container import parse_json, read, write

#: What ``__metadata__`` calls such a file.
FORMAT = "pcbench state"
VERSION = 1


@hinted
def save_state(path: str | Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON dictionary: as a whole or not at all.

    Args:
        path: where to; an existing file is replaced once the new one is complete on disk.
        tensors: by name, any device; a random generator's state is such a tensor.
        meta: strings, numbers (−∞ and NaN too), booleans, ``None``, lists and dictionaries of them.

    Raises:
        FileFormatError: when ``meta`` holds anything else.
        OSError: when the disk refuses; the old file then still stands.
    """
    try:
        text = json.dumps(dict(meta), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: the state's data cannot be written as JSON: {error}") from None
    write(path, tensors, {"format": FORMAT, "version": str(VERSION), "meta": text})


@hinted
def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`save_state` wrote: tensors on the CPU, and the dictionary.

    Raises:
        FileFormatError: for a file that is something else, corrupt, truncated or of a newer version.
        OSError: when the file cannot be opened.
    """
    tensors, metadata = read(path)
    check_format(path, metadata, FORMAT, VERSION)
    meta = parse_json(metadata.get("meta", ""), f"{path} is corrupt: its data")
    if not isinstance(meta, dict):
        raise FileFormatError(f"{path} is corrupt: its data is a {type(meta).__name__}, expected a dictionary")
    return tensors, meta


def check_format(path: str | Path, metadata: Mapping[str, str], expected: str, newest: int) -> int:
    """The version of a file that must be of the ``expected`` format, and not of a version after ``newest``."""
    found = metadata.get("format")
    if found != expected:
        what = f"a {found!r} file" if found else "a safetensors file of another program"
        raise FileFormatError(f"{path} is {what}, expected {expected!r}")
    version = metadata.get("version", "")
    if not version.isascii() or not version.isdigit() or len(version) > 9 or int(version) < 1:
        raise FileFormatError(f"{path} is corrupt: its version is {version!r}, expected a number")
    if int(version) > newest:
        raise FileFormatError(
            f"{path} has version {version} of {expected!r}; this pcbench reads up to version {newest}: install a newer one"
        )
    return int(version)
