"""Poon-Domingos: all rectangles of a grid, split in all ways.

H. Poon and P. Domingos, Sum-product networks: a new deep architecture, 2011.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..circuit import Circuit
from ..errors import OptionError, hinted
from ..scope import Variables
from .common import Data, Leaves, variables_of, whole
from .grid import Box, image_shape, pixels
from .regions import LeafSums, Region, from_regions

#: More splits than this are a slip of ``split_interval``, not a circuit that anyone can train.
MOST_SPLITS = 500_000


@hinted
def rectangle_regions(shape: Sequence[int], split_interval: int | Sequence[int] = 4) -> Region:
    """Every box of grid cells, split along every grid line that crosses it.

    Args:
        shape: of the image; variable indices run row by row.
        split_interval: pixels between grid lines, one number or one an axis.

    Raises:
        OptionError: when no grid line crosses the image, or there are too many splits to build.
    """
    shape = tuple(whole(s, "each side of shape") for s in shape)
    lines = _grid_lines(shape, split_interval)
    intervals = [sorted(itertools.combinations(axis, 2), key=lambda i: i[1] - i[0]) for axis in lines]
    per_axis = [sum(axis.index(b) - axis.index(a) - 1 for a, b in found) for axis, found in zip(lines, intervals, strict=True)]
    boxes = math.prod(len(i) for i in intervals)
    splits = sum(boxes // len(i) * cuts for i, cuts in zip(intervals, per_axis, strict=True))
    if splits > MOST_SPLITS:
        raise OptionError(f"split_interval={split_interval} cuts {shape} in {splits:,} ways; a wider interval makes fewer")
    made: dict[Box, Region] = {}
    # Ordered by size along every axis, so that the parts of a box are made before the box.
    for box in itertools.product(*intervals):
        cuts = []
        for axis, (start, stop) in enumerate(box):
            for line in lines[axis]:
                if start < line < stop:
                    first = (*box[:axis], (start, line), *box[axis + 1 :])
                    second = (*box[:axis], (line, stop), *box[axis + 1 :])
                    cuts.append((made[first], made[second]))
        made[box] = Region(splits=tuple(cuts)) if cuts else Region(pixels(box, shape))
    return made[tuple((0, size) for size in shape)]


def _grid_lines(shape: tuple[int, ...], split_interval: int | Sequence[int]) -> list[list[int]]:
    steps = (split_interval,) * len(shape) if isinstance(split_interval, int) else tuple(split_interval)
    if len(steps) != len(shape):
        raise OptionError(f"split_interval={split_interval} needs one number for each of the {len(shape)} axes of {shape}")
    for step in steps:
        whole(step, "split_interval")
    lines = [[*range(0, size, step), size] for size, step in zip(shape, steps, strict=True)]
    if all(len(axis) == 2 for axis in lines):
        raise OptionError(f"split_interval={split_interval} leaves an image of {shape} in one piece")
    return lines


@hinted
def poon_domingos(
    latents: int = 16,
    shape: Sequence[int] | None = None,
    split_interval: int | Sequence[int] | None = None,
    max_splits: int | None = 8,
    variables: Variables | None = None,
    data: Data | None = None,
    distribution: Leaves = None,
    leaf_sums: LeafSums = "diagonal",
    seed: int = 0,
) -> Circuit:
    """A Poon-Domingos circuit over the pixels of an image.

    Args:
        latents: nodes of every region.
        shape: of the image (row by row); a square where left out.
        split_interval: pixels between grid lines, one number or one an axis; by default about a seventh of the longest side.
        max_splits: most splits that a tile of sum nodes mixes over; ``None``: all.
        variables, data: one of them; variables are inferred from the data where not given.
        distribution: leaf family; see :func:`~pcbench.structures.hclt.hclt`.
        leaf_sums: see :func:`~pcbench.structures.regions.from_regions`.
        seed: of the choice of splits where there are more than ``max_splits``.

    Raises:
        OptionError: for options that make no sense, such as a shape with another number of pixels.
        DataError: for data that does not fit the variables.
    """
    variables = variables_of(data, variables, "poon_domingos()")
    sizes = image_shape(shape, variables, "poon_domingos()")
    if split_interval is None:
        split_interval = max(1, -(-max(sizes) // 7))
    root = rectangle_regions(sizes, split_interval)
    return from_regions(root, latents, variables, distribution, leaf_sums, max_splits, seed=seed)
