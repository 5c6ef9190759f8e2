"""Quad trees: an image halved along its sides until single pixels remain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..circuit import Circuit
from ..errors import OptionError, hinted
from ..scope import Variables
from .common import Data, Leaves, variables_of, whole
from .grid import Box, image_shape, pixels
from .regions import LeafSums, Region, from_regions


@hinted
def patch_regions(shape: Sequence[int], parts: int = 4) -> Region:
    """An image cut into patches down to single pixels.

    Args:
        shape: of the image; variable indices run row by row.
        parts: 4 halves all sides at once, 2 halves the longest side.
    """
    if parts not in (2, 4):
        raise OptionError(f"parts must be 2 or 4, got {parts!r}")
    shape = tuple(whole(s, "each side of shape") for s in shape)
    image: Box = tuple((0, size) for size in shape)
    order, below = [image], {}
    for box in order:
        below[box] = _halves(box, all_sides=parts == 4)
        order += below[box]
    made: dict[Box, Region] = {}
    for box in reversed(order):
        parts_of_box = tuple(made.pop(b) for b in below[box])
        made[box] = Region(splits=(parts_of_box,)) if parts_of_box else Region(pixels(box, shape))
    return made[image]


def _halves(box: Box, all_sides: bool) -> list[Box]:
    """The patches of a box; none for a single pixel."""
    longest = max(range(len(box)), key=lambda axis: box[axis][1] - box[axis][0])
    sides = []
    for axis, (start, stop) in enumerate(box):
        cut = stop - start > 1 and (all_sides or axis == longest)
        middle = (start + stop + 1) // 2
        sides.append([(start, middle), (middle, stop)] if cut else [(start, stop)])
    patches = list(itertools.product(*sides))
    return patches if len(patches) > 1 else []


@hinted
def quad_tree(
    latents: int = 16,
    shape: Sequence[int] | None = None,
    parts: int = 4,
    variables: Variables | None = None,
    data: Data | None = None,
    distribution: Leaves = None,
    leaf_sums: LeafSums = "none",
) -> Circuit:
    """A circuit over the patches of an image.

    Args:
        latents: nodes of every region.
        shape: of the image (row by row); a square where left out.
        parts: 4 (halve all sides at once) or 2 (halve the longest side).
        variables, data: one of them; variables are inferred from the data where not given.
        distribution: leaf family; see :func:`~pcbench.structures.hclt.hclt`.
        leaf_sums: whether single pixels get sums of their own.

    Raises:
        OptionError: for options that make no sense, such as a shape with another number of pixels.
        DataError: for data that does not fit the variables.
    """
    variables = variables_of(data, variables, "quad_tree()")
    root = patch_regions(image_shape(shape, variables, "quad_tree()"), parts)
    return from_regions(root, latents, variables, distribution, leaf_sums)
