"""What a node of PyJuice holds, as tensors, and its weights in the layouts of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..circuit import BlockSparse, Sparse
from ..errors import ParameterError

#: How far PyJuice's float32 probabilities may sum from one before they are taken for a mistake; they are then rescaled.
SLACK = 1e-3


def source_of(node: Any) -> Any:
    """Where a node's parameters are."""
    while node.is_tied():
        node = node.get_source_ns()
    return node


def values_of(source: Any) -> Tensor | None:
    """A source's parameters on the CPU; ``None`` where they are not initialised."""
    found = source.get_params()
    if found is None:
        return None
    values: Tensor = torch.as_tensor(found).detach().cpu()
    return values if values.dtype == torch.float64 else values.float()


def mask_of(source: Any) -> Tensor | None:
    """Which of a source's weights are no edges: masked, and zero (PyJuice computes with masked weights that are not)."""
    found = getattr(source, "_zero_param_mask", None)
    if found is None:
        return None
    mask, weights = torch.as_tensor(found).detach().bool().cpu(), values_of(source)
    if weights is not None:
        mask = mask & (weights == 0)
    return mask if bool(mask.any()) else None


def integers(values: Any) -> Tensor:
    """Indices on the CPU."""
    return torch.as_tensor(values).detach().long().cpu()


def normalised(values: Tensor, total: Tensor, spread: Callable[[Tensor], Tensor], where: str) -> Tensor:
    """Values divided by their totals, which must nearly be one already."""
    off = (total - 1).abs()
    if not bool((off <= SLACK).all()):
        worst = float(total.reshape(-1)[int(off.nan_to_num(math.inf).argmax())])
        raise ParameterError(f"{where}: the probabilities of a node sum to {worst:.6g}, expected 1")
    return (values.double() / spread(total)).to(values.dtype)


def matrix(weights: Tensor, ids: Tensor, blocks: int, elements: int) -> Tensor:
    """Weights ``[edges, block, child's block]`` → ``[N, E]``."""
    tall, wide = weights.shape[1:]
    out = weights.new_zeros(blocks, elements, tall, wide)
    out[ids[0], ids[1]] = weights
    return out.permute(0, 2, 1, 3).reshape(blocks * tall, elements * wide)


def tiles(ids: Tensor, tall: int, wide: int, weights: Tensor | None) -> tuple[BlockSparse, Tensor | None]:
    """The same → square tiles; oblong blocks are cut."""
    tile = math.gcd(tall, wide)
    down, across = tall // tile, wide // tile
    rows = (ids[0][:, None, None] * down + torch.arange(down)[:, None]).expand(-1, down, across).reshape(-1)
    cols = (ids[1][:, None, None] * across + torch.arange(across)).expand(-1, down, across).reshape(-1)
    if weights is not None:
        weights = weights.reshape(-1, down, tile, across, tile).permute(0, 1, 3, 2, 4).reshape(-1, tile, tile)
    return BlockSparse(tile, rows, cols), weights


def singles(ids: Tensor, tall: int, wide: int, weights: Tensor | None, mask: Tensor | None) -> tuple[Sparse, Tensor | None]:
    """The same → one weight an edge, those under the mask left out."""
    keep = torch.ones(ids.shape[1], tall, wide, dtype=torch.bool) if mask is None else ~mask
    edge, i, j = keep.nonzero(as_tuple=True)
    return Sparse(ids[0][edge] * tall + i, ids[1][edge] * wide + j), None if weights is None else weights[keep]
