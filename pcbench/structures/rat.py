"""RAT-SPN: random and tensorised region graphs.

R. Peharz et al., Random sum-product networks: a simple and effective approach to probabilistic deep learning, 2019.
"""

from __future__ import annotations

import torch

from ..circuit import Circuit
from ..errors import OptionError, hinted
from ..scope import Variables
from .common import Data, Leaves, variables_of, whole
from .regions import LeafSums, Region, from_regions


@hinted
def random_regions(count: int, depth: int, repetitions: int = 1, seed: int = 0) -> Region:
    """Variables 0…count−1, shuffled and halved ``depth`` times, anew in each repetition; a repetition is a split of the root.

    Raises:
        OptionError: when there are too few variables to halve so often.
    """
    whole(count, "count")
    whole(depth, "depth", 0)
    whole(repetitions, "repetitions")
    if 2**depth > count:
        raise OptionError(f"depth={depth} makes {2**depth} parts, but there are only {count} variables; depth may be at most "
                          f"{count.bit_length() - 1}")  # fmt: skip
    if depth == 0 and repetitions > 1:
        raise OptionError(f"repetitions={repetitions} of depth 0 would all be alike; give a depth of at least 1")
    generator = torch.Generator().manual_seed(seed)
    if depth == 0:
        return Region(tuple(range(count)))
    splits = []
    for _ in range(repetitions):
        parts = [tuple(torch.randperm(count, generator=generator).tolist())]
        for _ in range(depth):
            parts = [half for p in parts for half in (p[: (len(p) + 1) // 2], p[(len(p) + 1) // 2 :])]
        level = [Region(p) for p in parts]
        while len(level) > 2:
            level = [Region(splits=((a, b),)) for a, b in zip(level[::2], level[1::2], strict=True)]
        splits.append(tuple(level))
    return Region(splits=tuple(splits))


@hinted
def rat(
    latents: int = 16,
    depth: int | None = None,
    repetitions: int = 2,
    variables: Variables | None = None,
    data: Data | None = None,
    distribution: Leaves = None,
    leaf_sums: LeafSums = "dense",
    seed: int = 0,
) -> Circuit:
    """A RAT-SPN: random binary splits of the variables.

    Args:
        latents: nodes of every region.
        depth: how often the variables are halved; by default 5, or as often as there are variables for it.
        repetitions: independent random splits, mixed at the root; they share their leaves.
        variables, data: one of them; variables are inferred from the data where not given.
        distribution: leaf family; see :func:`~pcbench.structures.hclt.hclt`.
        leaf_sums: see :func:`~pcbench.structures.regions.from_regions`.
        seed: of the random splits.

    Raises:
        OptionError: for options that make no sense, such as a depth for which there are too few variables.
        DataError: for data that does not fit the variables.
    """
    variables = variables_of(data, variables, "rat()")
    if depth is None:
        depth = min(5, len(variables).bit_length() - 1)
        repetitions = repetitions if depth else 1
    root = random_regions(len(variables), depth, repetitions, seed)
    return from_regions(root, latents, variables, distribution, leaf_sums)
