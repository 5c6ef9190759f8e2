"""Handwritten digits: the 10,000 test images of MNIST, which ship with pcbench."""

from __future__ import annotations

import gzip
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DataError
from ..scope import Variables
from .dataset import Dataset

DATA = Path(__file__).parent / "data"
_SOURCE = (
    "The 10,000 test images of the MNIST database of handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges), "
    "CC BY-SA 3.0. Here the first 8,000 train and the last 2,000 test: figures do not compare with those of all of MNIST."
)


def mnist10k() -> Dataset:
    """8,000 digits to train and 2,000 to test, 28 × 28 pixels with 256 levels, with labels 0…9."""
    images = read_idx(DATA / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(DATA / "t10k-labels-idx1-ubyte.gz").long()
    rows, height, width = images.shape
    names = [f"r{r:02d}c{c:02d}" for r in range(height) for c in range(width)]
    flat = images.reshape(rows, height * width)
    return Dataset(
        "mnist10k",
        train=flat[:8000],
        variables=Variables.finite(height * width, 256, names),
        test=flat[-2000:],
        labels={"train": labels[:8000], "test": labels[-2000:]},
        image_shape=(height, width),
        source=_SOURCE,
    )


def read_idx(path: str | Path) -> Tensor:
    """An IDX file of unsigned bytes (the format of MNIST), packed or not: ``[rows, …]`` uint8.

    Raises:
        DataError: when it is not such a file, or its length is not the announced one.
    """
    raw = read_bytes(path)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or raw[3] == 0:
        raise DataError(f"{path} is no IDX file of bytes: expected it to start with 00 00 08, got {raw[:4].hex(' ')}")
    dimensions = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * d : 8 + 4 * d], "big") for d in range(dimensions)]
    body, expected = len(raw) - 4 - 4 * dimensions, 1
    for extent in shape:
        expected *= extent
    if body != expected:
        raise DataError(f"{path}: its header announces {shape}, which is {expected:,} bytes, but {max(body, 0):,} follow")
    return torch.frombuffer(bytearray(raw[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)


def read_bytes(path: str | Path) -> bytes:
    """A file's content, unpacked when it is gzip (seen by its first two bytes, whatever it is called).

    Raises:
        DataError: for a damaged gzip file.
        OSError: when it cannot be opened.
    """
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is a damaged gzip file: {error}") from None
