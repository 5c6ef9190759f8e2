"""The container of pcbench's own files: named tensors and a dictionary of strings, in the safetensors layout.

Layout (https://huggingface.co/docs/safetensors): eight bytes with the length of the header, a JSON header, the tensors'
bytes. Any safetensors reader opens such a file. It is read and written here rather than by that library, because a
circuit of 100,000 blocks has as many tensors (the library then takes tens of seconds), because a user is told *what* is
wrong with a file, and because an interrupt while saving must leave the old file as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..errors import FileFormatError

#: Bytes of header that a reader accepts: a hostile file must not make the JSON parser take all memory.
MAX_HEADER = 256 << 20
#: Bytes at the start of a file that are enough to recognise a format by.
HEAD = 4096

_DTYPES: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file as a whole or not at all.

    Args:
        path: where to; an existing file is replaced once the new one is complete on disk.
        tensors: by name, on any device.
        metadata: strings by name.

    Raises:
        FileFormatError: for a dtype that the layout has no name for.
        OSError: when the disk refuses; the old file then still stands.
    """
    # Largest items first keeps every tensor aligned, so that a reader needs no copy.
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in _NAMES:
            raise FileFormatError(f"{path}: tensor {name!r} is {tensor.dtype}; a file can hold {', '.join(_DTYPES)}")
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise FileFormatError(f"{path}: the description of this circuit takes {len(text):,} bytes, more than {MAX_HEADER:,}")
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            flat = tensors[name].detach().cpu().contiguous().reshape(-1)
            if flat.numel():
                file.write(flat.view(torch.uint8).numpy().data)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, that takes the place of ``path`` when the block ends, and vanishes when it raises."""
    target = Path(os.path.realpath(path))  # a link to a model stays a link
    if target.is_dir():
        raise FileFormatError(f"{path} is a folder; give the name of a file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU, in one allocation) and metadata of a file.

    Raises:
        FileFormatError: naming what is wrong: not such a file, corrupt, truncated.
        OSError: when the file cannot be opened.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _header(path, file, size)
        start = file.tell()
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise FileFormatError(f"{path} is corrupt: its metadata is not a dictionary of strings")
        spans = {name: _span(path, name, entry) for name, entry in header.items()}
        _check_spans(path, spans, size - start)
        data = torch.empty(size - start, dtype=torch.uint8)
        if len(data) and file.readinto(data.numpy().data) != len(data):
            raise FileFormatError(f"{path} became shorter while it was read")
    return {name: _tensor(data, *span) for name, span in spans.items()}, metadata


def looks_like_container(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a safetensors file."""
    return len(head) > 9 and int.from_bytes(head[:8], "little") < (1 << 40) and head[8:9] == b"{"


def _header(path: str | Path, file: BufferedReader, size: int) -> dict[str, Any]:
    head = file.read(9)
    if size == 0:
        raise FileFormatError(f"{path} is empty")
    if len(head) == 9 and not looks_like_container(head + b"}"):
        raise FileFormatError(f"{path} is no safetensors file: expected a length and a JSON header, got {head!r}")
    if len(head) < 9:
        raise FileFormatError(f"{path} is truncated: it has {size} bytes, and its header alone needs more")
    length = int.from_bytes(head[:8], "little")
    if length > MAX_HEADER:
        raise FileFormatError(f"{path} announces a header of {length:,} bytes; at most {MAX_HEADER:,} are accepted")
    if length > size - 8:
        raise FileFormatError(f"{path} is truncated: its header has {length:,} bytes, but only {size - 8:,} are there")
    file.seek(8)
    header = parse_json(file.read(length), f"{path} is corrupt: its header")
    if not isinstance(header, dict):
        raise FileFormatError(f"{path} is corrupt: its header is a {type(header).__name__}, expected a dictionary")
    return header


def parse_json(text: bytes | str, what: str) -> Any:
    """Parse untrusted JSON: no name twice, and every way in which it can fail is a :class:`FileFormatError`."""

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands in it twice")
        return out

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise FileFormatError(f"{what} is nested too deeply") from None
    except ValueError as error:  # also text that is not UTF-8
        raise FileFormatError(f"{what} is not readable JSON ({error})") from None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _span(path: str | Path, name: str, entry: object) -> tuple[torch.dtype, list[int], int, int]:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise FileFormatError(f"{path} is corrupt: tensor {name!r} has dtype {dtype!r}; known: {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or not all(_is_count(n) for n in shape):
        raise FileFormatError(f"{path} is corrupt: tensor {name!r} has shape {shape!r}, expected a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(n) for n in offsets):
        raise FileFormatError(f"{path} is corrupt: tensor {name!r} lies at {offsets!r}, expected two places")
    start, end = offsets
    needed, room = _DTYPES[dtype].itemsize, 1
    for extent in shape[:64]:
        needed, room = needed * extent, room * max(1, extent)
    if len(shape) > 64 or room >= 1 << 62:
        raise FileFormatError(f"{path} is corrupt: no tensor can have the shape of {name!r}")
    if end - start != needed:
        raise FileFormatError(
            f"{path} is corrupt: tensor {name!r} of shape {shape} needs {needed:,} bytes, but has {end - start:,}"
        )
    return _DTYPES[dtype], shape, start, end


def _check_spans(path: str | Path, spans: Mapping[str, tuple[torch.dtype, list[int], int, int]], size: int) -> None:
    """Tensors follow one another and fill the file: nothing overlaps, lacks, or is left over."""
    place = 0
    for name, (_, _, start, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if start != place:
            raise FileFormatError(f"{path} is corrupt: tensor {name!r} starts at byte {start:,}, expected {place:,}")
        place = end
    if place > size:
        raise FileFormatError(f"{path} is truncated: its tensors need {place:,} bytes, but only {size:,} are there")
    if place < size:
        raise FileFormatError(f"{path} is corrupt: {size - place:,} bytes follow after its last tensor")


def _tensor(data: Tensor, dtype: torch.dtype, shape: list[int], start: int, end: int) -> Tensor:
    raw = data[start:end]
    if start % dtype.itemsize:
        raw = raw.clone()
    return raw.view(dtype).reshape(shape)
