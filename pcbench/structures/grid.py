"""Pixels and boxes: what the structures for images share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..errors import OptionError
from ..scope import Variables
from .common import whole

#: A box of pixels: start and stop on each axis.
Box: TypeAlias = tuple[tuple[int, int], ...]


def image_shape(shape: Sequence[int] | None, variables: Variables, where: str) -> tuple[int, ...]:
    """The shape of an image whose pixels are the variables, row by row; a square where left out.

    Raises:
        OptionError: when the shape holds another number of pixels.
    """
    if shape is None:
        side = math.isqrt(len(variables))
        if side * side != len(variables):
            raise OptionError(f"{where} needs shape=: {len(variables)} variables do not make a square")
        return (side, side)
    sizes = tuple(whole(s, "each side of shape") for s in shape)
    if not sizes or math.prod(sizes) != len(variables):
        raise OptionError(f"shape {sizes} holds {math.prod(sizes)} pixels, but there are {len(variables)} variables")
    return sizes


def pixels(box: Box, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The variables of a box, row by row."""
    index = np.arange(math.prod(shape)).reshape(shape)
    return tuple(index[tuple(slice(a, b) for a, b in box)].reshape(-1).tolist())
