"""Block-sparse sum layers: one small matrix product for each tile that exists."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops import SumPattern
from ..variants import Variant

#: Smallest tile whose matrix product outweighs its own overhead.
MIN_TILE = 8


class TileSum:
    """Weights ``[T, t, t]`` (tile, node, element)."""

    def __init__(self, pattern: SumPattern) -> None:
        assert pattern.rows is not None and pattern.cols is not None
        self.name = "tiles"
        self.pattern = pattern
        self._rows, self._cols = pattern.rows, pattern.cols

    def form(self) -> tuple[int, ...]:
        return (len(self._rows), self.pattern.tile, self.pattern.tile)

    def pack(self, weights: Tensor) -> Tensor:
        return weights

    def unpack(self, stored: Tensor) -> Tensor:
        return stored

    def support(self) -> Tensor | None:
        return None

    def row_index(self) -> Tensor | None:
        return self._rows

    def _split(self, v: Tensor, index: Tensor) -> Tensor:
        """``[B, n·t]`` → the tiles' inputs ``[T, B, t]``."""
        return v.view(v.shape[0], -1, self.pattern.tile).transpose(0, 1).index_select(0, index)

    def _gather(self, parts: Tensor, index: Tensor, out: Tensor) -> None:
        """Add the tiles' outputs ``[T, B, t]`` up into ``out [B, n·t]``."""
        total = out.new_zeros(out.shape[1] // self.pattern.tile, out.shape[0], self.pattern.tile)
        total.index_add_(0, index, parts)
        out.view(out.shape[0], -1, self.pattern.tile).copy_(total.transpose(0, 1))

    def apply(self, x: Tensor, w: Tensor, out: Tensor) -> None:
        for g in range(len(x)):
            self._gather(torch.bmm(self._split(x[g], self._cols), w[g].transpose(1, 2)), self._rows, out[g])

    def apply_transposed(self, y: Tensor, w: Tensor, out: Tensor) -> None:
        for g in range(len(y)):
            self._gather(torch.bmm(self._split(y[g], self._rows), w[g]), self._cols, out[g])

    def outer(self, y: Tensor, x: Tensor, out: Tensor) -> None:
        for g in range(len(x)):
            left = self._split(y[g], self._rows).transpose(1, 2)
            torch.bmm(left, self._split(x[g], self._cols), out=out[g])

    def max_plus(self, x: Tensor, log_w: Tensor, out: Tensor) -> None:
        tile = self.pattern.tile
        out.fill_(-torch.inf)
        for g in range(len(x)):
            grid = out[g].view(out.shape[1], -1, tile)
            for t, (row, col) in enumerate(zip(self._rows.tolist(), self._cols.tolist(), strict=True)):
                part = x[g, :, None, col * tile : (col + 1) * tile] + log_w[g, t][None]
                target = grid[:, row]
                torch.maximum(target, part.amax(-1), out=target)

    def rows(self, w: Tensor, g: Tensor, n: Tensor) -> Tensor:
        tile = self.pattern.tile
        dense = w.new_zeros(len(g), self.pattern.elements // tile, tile)
        hit, which = (self._rows[None, :] == (n // tile)[:, None]).nonzero(as_tuple=True)
        dense[hit, self._cols[which]] = w[g[hit], which, n[hit] % tile]
        return dense.view(len(g), self.pattern.elements)

    def add_rows(self, out: Tensor, g: Tensor, n: Tensor, values: Tensor) -> None:
        tile = self.pattern.tile
        hit, which = (self._rows[None, :] == (n // tile)[:, None]).nonzero(as_tuple=True)
        parts = values.view(len(g), -1, tile)[hit, self._cols[which]]
        out.index_put_((g[hit], which, n[hit] % tile), parts, accumulate=True)


def _rejects(pattern: SumPattern) -> str | None:
    if pattern.rows is None:
        return "there are no empty tiles to skip"
    if pattern.tile < MIN_TILE:
        return f"tiles of {pattern.tile} are smaller than {MIN_TILE}: their matrix products are all overhead"
    return None


def _why(pattern: SumPattern) -> str:
    return f"tiles of {pattern.tile}, {pattern.density:.1%} of the cells: only those that exist are multiplied"


TILES = Variant("tiles", TileSum, _rejects, _why)
