"""Arrays to PNG, so that pictures need no imaging library."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

_GREY, _RGB = 0, 2


def encode(image: Any) -> tuple[bytes, int, int]:
    """A [H, W] or [H, W, 3] array of uint8 as PNG; gives the bytes, the width and the height."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise TypeError(f"a picture must be an array of uint8 (0 … 255), not {pixels.dtype}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"a picture must have the shape [H, W] or [H, W, 3], not {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    if height == 0 or width == 0:
        raise ValueError(f"a picture must not be empty, and this one is {list(pixels.shape)}")
    color = _GREY if pixels.ndim == 2 else _RGB
    rows = pixels.reshape(height, -1)
    # Each row is led by the number of its filter; 0 is "none".
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 6)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks, width, height


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
