"""The circuits that are measured, by name: ``rat-64``, ``hclt-256``, ``blocks-10``, …"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from ..circuit import Block, BlockSparse, Circuit, InputBlock, ProductBlock, Sparse, SumBlock
from ..distributions import Categorical
from ..errors import OptionError
from ..scope import Finite, Variables
from ..structures import hclt, hmm, poon_domingos, rat
from .names import CHOICES

PIXELS, LEVELS, WORDS = 784, 256, 33279
#: Of the sparse circuits: variables, share of the edges of ``sparse-N``, nodes of a block and side of a tile of ``blocks-…``.
TREE_VARIABLES, SPARSE_SHARE, BLOCK_NODES, TILE = 64, 0.1, 512, 32


def parsed(case: str) -> tuple[str, int]:
    """Kind and number of a case.

    Raises:
        OptionError: for a name that is no case.
    """
    found = re.fullmatch(r"(rat|hclt|normal|hmm|pd|sparse|blocks)-([1-9]\d*)", case)
    if found is None or (found[1] == "blocks" and found[2] not in ("10", "50")):
        raise OptionError(f"there is no case {case!r}; cases are {', '.join(CHOICES)} (K and N: any whole number from 1)")
    return found[1], int(found[2])


def build(case: str) -> Circuit:
    """The circuit of a case."""
    kind, number = parsed(case)
    pixels = Variables.finite(PIXELS, LEVELS)
    if kind == "rat":
        return rat(number, depth=5, repetitions=2, variables=pixels)
    if kind == "hclt":
        return hclt(smooth_images(1000), number, variables=pixels, bins=16)
    if kind == "normal":
        return hclt(smooth_images(1000).double(), number, variables=Variables.real(PIXELS), bins=16)
    if kind == "hmm":
        return hmm(number, Variables.finite(32, WORDS))
    if kind == "pd":
        return poon_domingos(number, (28, 28), split_interval=4, max_splits=8, variables=pixels)
    return sparse_tree(number) if kind == "sparse" else block_tree(number / 100)


def smooth_images(rows: int) -> Tensor:
    """``[rows, 784]``: blurred noise, so that neighbours depend on each other and a Chow-Liu tree is no star."""
    noise = torch.randn(rows, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    blurred = avg_pool2d(pad(noise, (2, 2, 2, 2), mode="circular"), 5, 1)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * (LEVELS - 1)).long().reshape(rows, -1)


def rows(circuit: Circuit, count: int, seed: int = 0) -> Tensor:
    """``[count, V]``: uniformly random values; standard normal ones of real variables."""
    domain, shape = circuit.variables[0].domain, (count, len(circuit.variables))
    generator = torch.Generator().manual_seed(seed)
    if isinstance(domain, Finite):
        return torch.randint(0, domain.size, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def sparse_tree(nodes: int) -> Circuit:
    """A balanced tree whose sums see a tenth of the elements each, at random; at least one."""
    generator = torch.Generator().manual_seed(0)
    degree = max(1, round(SPARSE_SHARE * nodes))

    def edges() -> Sparse:
        cols = torch.rand(nodes, nodes, generator=generator).topk(degree).indices
        return Sparse(torch.arange(nodes).repeat_interleave(degree), cols.reshape(-1))

    return _tree(nodes, edges)


def block_tree(share: float) -> Circuit:
    """The same tree with whole tiles kept: the given share of those of every row of tiles, at random."""
    generator = torch.Generator().manual_seed(0)
    side = BLOCK_NODES // TILE
    kept = max(1, round(share * side))

    def edges() -> BlockSparse:
        cols = torch.rand(side, side, generator=generator).topk(kept).indices
        return BlockSparse(TILE, torch.arange(side).repeat_interleave(kept), cols.reshape(-1))

    return _tree(BLOCK_NODES, edges)


def _tree(nodes: int, edges: Callable[[], Sparse | BlockSparse]) -> Circuit:
    variables = Variables.finite(TREE_VARIABLES, LEVELS)
    level: list[Block] = [InputBlock(v, Categorical(LEVELS), nodes) for v in variables]
    while len(level) > 2:
        pairs = [ProductBlock([a, b]) for a, b in zip(level[::2], level[1::2], strict=True)]
        level = [SumBlock([pair], nodes, edges()) for pair in pairs]
    return Circuit(SumBlock([ProductBlock(level)]), variables)
