"""Sum layers over an arbitrary list of edges: gather, weigh, add up by node."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import SumPattern
from ..variants import Variant


class EdgeSum:
    """Weights ``[edges]``. Works sample-last, so that every edge moves one contiguous row of samples.

    ``embedding_bag`` with weights is exactly « for each node, the weighted sum of some rows ».
    """

    def __init__(self, pattern: SumPattern) -> None:
        assert pattern.rows is not None and pattern.cols is not None
        self.name = "edges"
        self.pattern = pattern
        inner = torch.arange(pattern.tile)
        shape = (len(pattern.rows), pattern.tile, pattern.tile)
        self._rows = (pattern.rows[:, None, None] * pattern.tile + inner[None, :, None]).expand(shape).reshape(-1)
        self._cols = (pattern.cols[:, None, None] * pattern.tile + inner[None, None, :]).expand(shape).reshape(-1)
        self._by_row, self._row_start = _sorted(self._rows, pattern.nodes)
        self._by_col, self._col_start = _sorted(self._cols, pattern.elements)

    def form(self) -> tuple[int, ...]:
        return (len(self._rows),)

    def pack(self, weights: Tensor) -> Tensor:
        return weights.reshape(-1)

    def unpack(self, stored: Tensor) -> Tensor:
        tile = self.pattern.tile
        return stored if tile == 1 else stored.view(-1, tile, tile)

    def support(self) -> Tensor | None:
        return None

    def row_index(self) -> Tensor | None:
        return self._rows

    def apply(self, x: Tensor, w: Tensor, out: Tensor) -> None:
        index, order = self._cols[self._by_row], self._by_row
        for g in range(len(x)):
            out[g].copy_(_bags(x[g].T.contiguous(), index, self._row_start, w[g][order]).T)

    def apply_transposed(self, y: Tensor, w: Tensor, out: Tensor) -> None:
        index, order = self._rows[self._by_col], self._by_col
        for g in range(len(y)):
            out[g].copy_(_bags(y[g].T.contiguous(), index, self._col_start, w[g][order]).T)

    def outer(self, y: Tensor, x: Tensor, out: Tensor) -> None:
        for g in range(len(x)):
            yt, xt = y[g].T.contiguous(), x[g].T.contiguous()
            step = max(1, (1 << 22) // max(1, yt.shape[1]))
            for a in range(0, len(self._rows), step):
                part = yt[self._rows[a : a + step]].mul_(xt[self._cols[a : a + step]])
                torch.sum(part, 1, out=out[g, a : a + step])

    def max_plus(self, x: Tensor, log_w: Tensor, out: Tensor) -> None:
        for g in range(len(x)):
            terms = x[g].T[self._cols] + log_w[g][:, None]
            best = torch.full((self.pattern.nodes, x.shape[1]), -torch.inf, dtype=x.dtype)
            best.scatter_reduce_(0, self._rows[:, None].expand_as(terms), terms, "amax")
            out[g].copy_(best.T)

    def _hits(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """For nodes ``n [M]``: (position in ``n``, edge) of each of their edges."""
        start = self._row_start[n]
        ends = torch.cat((self._row_start[1:], self._row_start.new_tensor([len(self._rows)])))
        count = ends[n] - start
        owner = torch.repeat_interleave(torch.arange(len(n)), count)
        first = torch.repeat_interleave(start - (count.cumsum(0) - count), count)
        return owner, self._by_row[first + torch.arange(len(owner))]

    def rows(self, w: Tensor, g: Tensor, n: Tensor) -> Tensor:
        owner, edge = self._hits(n)
        dense = w.new_zeros(len(n), self.pattern.elements)
        dense[owner, self._cols[edge]] = w[g[owner], edge]
        return dense

    def add_rows(self, out: Tensor, g: Tensor, n: Tensor, values: Tensor) -> None:
        owner, edge = self._hits(n)
        out.index_put_((g[owner], edge), values[owner, self._cols[edge]], accumulate=True)


def _sorted(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    order = torch.argsort(keys, stable=True)
    per_key = torch.bincount(keys, minlength=count)
    return order, per_key.cumsum(0) - per_key


def _bags(rows: Tensor, index: Tensor, start: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(index, rows, start, mode="sum", per_sample_weights=weights)


def _rejects(pattern: SumPattern) -> str | None:
    return "every node sees every element" if pattern.rows is None else None


def _why(pattern: SumPattern) -> str:
    return f"{pattern.edges:,} edges, {pattern.density:.2%} of the cells: each edge is visited once"


EDGES = Variant("edges", EdgeSum, _rejects, _why)
