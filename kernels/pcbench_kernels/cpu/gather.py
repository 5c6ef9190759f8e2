"""Gathering rows: the one operation that products (sums of child logs) and flows (sums of parents' flows) share."""

from __future__ import annotations

import torch
from torch import Tensor

#: Rows of an arena: a slice when they are evenly spaced, so that no copy is made.
Rows = slice | Tensor


def take(arena: Tensor, rows: Rows) -> Tensor:
    """``arena[rows]``; a view for a slice."""
    return arena[rows] if isinstance(rows, slice) else arena.index_select(0, rows)


def load(arena: Tensor, rows: Rows, out: Tensor) -> None:
    """``out = arena[rows]``."""
    if isinstance(rows, slice):
        out.copy_(arena[rows])
    elif arena.is_contiguous() and out.is_contiguous() and not _same_memory(arena, out):
        torch.index_select(arena, 0, rows, out=out)
    else:
        out.copy_(arena.index_select(0, rows))


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Rows of one arena may be gathered into other rows of it; PyTorch refuses to do so without a copy."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def pick_columns(values: Tensor, columns: Tensor) -> Tensor:
    """``values [n, B, W]`` at node indices ``columns [n or 1, E]`` → ``[n, B, E]``."""
    if len(columns) == 1:
        return values.index_select(2, columns[0])
    index = columns[:, None, :].expand(len(values), values.shape[1], columns.shape[1])
    return torch.gather(values, 2, index)


def add_columns(out: Tensor, columns: Tensor, values: Tensor) -> None:
    """The transpose of :func:`pick_columns`: ``out[n, b, columns[n, e]] += values[n, b, e]``."""
    if len(columns) == 1:
        out.index_add_(2, columns[0], values)
    else:
        out.scatter_add_(2, columns[:, None, :].expand_as(values), values)
