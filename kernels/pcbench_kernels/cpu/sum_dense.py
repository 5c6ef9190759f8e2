"""Sum layers as batched dense matrix products; missing edges are zero weights."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops import SumPattern
from ..variants import Variant

#: Below this many cells a dense product beats any bookkeeping about which of them are edges.
SMALL = 4096


class DenseSum:
    """Weights ``[N, E]``; a pattern with holes stores zeros there and never changes them."""

    def __init__(self, pattern: SumPattern) -> None:
        self.name = "dense"
        self.pattern = pattern
        self._support = None if pattern.rows is None else pattern.mask()
        self._cells = None if pattern.rows is None else _cells(pattern)

    def form(self) -> tuple[int, ...]:
        return (self.pattern.nodes, self.pattern.elements)

    def pack(self, weights: Tensor) -> Tensor:
        if self._cells is None:
            return weights
        stored = weights.new_zeros(self.pattern.nodes * self.pattern.elements)
        stored[self._cells.reshape(-1)] = weights.reshape(-1)
        return stored.view(self.form())

    def unpack(self, stored: Tensor) -> Tensor:
        if self._cells is None:
            return stored
        shape = self._cells.shape if self.pattern.tile > 1 else self._cells.shape[:1]
        return stored.reshape(-1)[self._cells.reshape(-1)].view(shape)

    def support(self) -> Tensor | None:
        return self._support

    def row_index(self) -> Tensor | None:
        return None

    def apply(self, x: Tensor, w: Tensor, out: Tensor) -> None:
        torch.bmm(x, w.transpose(1, 2), out=out)

    def apply_transposed(self, y: Tensor, w: Tensor, out: Tensor) -> None:
        torch.bmm(y, w, out=out)

    def outer(self, y: Tensor, x: Tensor, out: Tensor) -> None:
        torch.bmm(y.transpose(1, 2), x, out=out)

    def max_plus(self, x: Tensor, log_w: Tensor, out: Tensor) -> None:
        for n in range(self.pattern.nodes):
            torch.amax(x + log_w[:, None, n, :], -1, out=out[:, :, n])

    def rows(self, w: Tensor, g: Tensor, n: Tensor) -> Tensor:
        return w[g, n]

    def add_rows(self, out: Tensor, g: Tensor, n: Tensor, values: Tensor) -> None:
        out.index_put_((g, n), values, accumulate=True)


def _cells(pattern: SumPattern) -> Tensor:
    """Flat position in ``[N, E]`` of every weight in tile order: ``[tiles, tile, tile]``."""
    assert pattern.rows is not None and pattern.cols is not None
    inner = torch.arange(pattern.tile)
    node = pattern.rows[:, None, None] * pattern.tile + inner[None, :, None]
    element = pattern.cols[:, None, None] * pattern.tile + inner[None, None, :]
    return node * pattern.elements + element


def _rejects(pattern: SumPattern) -> str | None:
    cells = pattern.nodes * pattern.elements
    if cells <= SMALL or cells <= pattern.waste * pattern.edges:
        return None
    return f"only {pattern.density:.1%} of {cells:,} cells are edges"


def _why(pattern: SumPattern) -> str:
    if pattern.rows is None:
        return "every node sees every element: one matrix product"
    return f"{pattern.nodes}×{pattern.elements} is small or {pattern.density:.0%} full: zeros cost less than bookkeeping"


DENSE = Variant("dense", DenseSum, _rejects, _why)
