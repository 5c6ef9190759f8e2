"""Grey pictures as PNG files, by the standard library alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DataError


def side_by_side(pictures: Sequence[Tensor], gap: int = 2) -> Tensor:
    """Pictures ``[H, W]`` with values 0…255 in a row, light lines between them: ``[H, …]``."""
    parts: list[Tensor] = []
    for picture in pictures:
        if parts:
            parts.append(picture.new_full((picture.shape[0], gap), 255))
        parts.append(picture)
    return torch.cat(parts, 1)


def write_png(path: str | Path, picture: Tensor, zoom: int = 4) -> None:
    """Write a picture ``[H, W]`` with values 0…255, each pixel ``zoom × zoom`` large (PNG, W3C 2003: grey, 8 bits).

    Raises:
        DataError: when it is no such picture.
        OSError: when the disk refuses.
    """
    if picture.ndim != 2 or not picture.numel():
        raise DataError(f"a picture needs shape [height, width], got {list(picture.shape)}")
    grey = picture.round().clamp(0, 255) if picture.is_floating_point() else picture.clamp(0, 255)
    large = grey.to(torch.uint8).repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
    height, width = large.shape
    rows = b"".join(b"\0" + bytes(row) for row in large.numpy())  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
