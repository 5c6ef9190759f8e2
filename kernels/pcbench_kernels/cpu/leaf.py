"""Leaves over finite domains as table lookups, and their expected counts."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def lookup(table: Tensor, codes: Tensor, out: Tensor) -> None:
    """``out[i] = table[codes[i]]``: table ``[rows, N]``, codes ``[M]`` → ``out [M, N]``."""
    torch.index_select(table, 0, codes, out=out)


def sort_codes(codes: Tensor, buckets: int, grouped: bool) -> tuple[Tensor, Tensor]:
    """Order that sorts ``codes [uses, B]`` (flattened) and the start of each of ``buckets`` runs in it.

    Ties keep their order, so that sums over a run are reproducible. ``grouped`` says that all codes of a row are smaller
    than those of the next and share no bucket with it; rows are then sorted one by one, on their low bits.
    """
    per_bucket = torch.bincount(codes.reshape(-1), minlength=buckets)
    start = per_bucket.cumsum(0) - per_bucket
    if codes.device.type != "cpu":
        return torch.sort(codes.reshape(-1), stable=True).indices, start
    keys = codes.numpy()
    uses, size = codes.shape
    width = buckets // uses
    # numpy sorts 16-bit keys by radix, an order of magnitude faster than any other sort here.
    if grouped and width <= 1 << 16:
        local = (keys - np.arange(uses)[:, None] * width).astype(np.uint16)
        order = np.argsort(local, axis=1, kind="stable") + np.arange(uses)[:, None] * size
    else:
        flat = keys.reshape(-1)
        order = np.argsort(flat.astype(np.uint16) if buckets <= 1 << 16 else flat, kind="stable")
    return torch.from_numpy(order.reshape(-1)), start


def counts(flows: Tensor, order: Tensor, start: Tensor) -> Tensor:
    """Expected count of every table row: flows ``[M, N]`` summed over each run of ``order`` → ``[buckets, N]``.

    A sum over sorted runs instead of a scatter: no atomics, no dependence on thread timing.
    """
    return F.embedding_bag(order, flows, start, mode="sum")
