"""Leaves over finite domains as table lookups, and their expected counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Array = npt.NDArray[np.signedinteger[Any]]

#: Codes that are worth a thread of their own.
LEAST_WORK = 1 << 16


def lookup(table: Tensor, codes: Tensor, out: Tensor) -> None:
    """``out[i] = table[codes[i]]``: table ``[rows, N]``, codes ``[M]`` → ``out [M, N]``."""
    torch.index_select(table, 0, codes, out=out)


def rows_of(table: Tensor, codes: Tensor) -> Tensor:
    """``table[codes]``: table ``[rows, N]``, codes ``[M]`` → ``[M, N]``.

    As bags of one row: PyTorch's sums over bags fetch rows ahead, which halves the time when the table is not in cache.
    """
    bags = torch.arange(len(codes), dtype=codes.dtype, device=codes.device)
    return F.embedding_bag(codes, table, bags, mode="sum")


def sort_codes(codes: Tensor, buckets: int, grouped: bool, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Where the codes ``[uses, B]`` lie in ascending order, and the start of each of ``buckets`` runs in that order.

    Sample ``b`` of use ``u`` lies at ``first[u] + b``, by default at ``u·B + b``. Ties keep their order, so that sums over a
    run are reproducible. ``grouped`` says that all codes of a row are smaller than those of the next and share no bucket
    with it; rows are then sorted one by one, on their low bits.
    """
    uses, size = codes.shape
    width = buckets // uses
    per_bucket = torch.bincount(codes.reshape(-1), minlength=buckets)
    start = per_bucket.cumsum(0) - per_bucket
    if first is None:
        first = torch.arange(0, uses * size, size, device=codes.device)
    # Sums over runs read half the index when it fits into 32 bits.
    kind = torch.int32 if max(int(first.max()) + size, codes.numel()) < 1 << 31 else torch.int64
    # numpy sorts 16-bit keys by radix, an order of magnitude faster than any other sort here.
    if codes.device.type == "cpu" and grouped and width <= 1 << 16:
        order = _sort_rows(codes.numpy(), width, first.numpy(), np.dtype(str(kind)[6:]))
        return torch.from_numpy(order.reshape(-1)), start.to(kind)
    if codes.device.type == "cpu":
        keys = codes.numpy().reshape(-1)
        found = torch.from_numpy(np.argsort(keys.astype(np.uint16) if buckets <= 1 << 16 else keys, kind="stable"))
    else:
        found = torch.sort(codes.reshape(-1), stable=True).indices
    shift = first - torch.arange(0, uses * size, size, device=codes.device)
    found += shift[torch.div(found, size, rounding_mode="floor")]
    return found.to(kind), start.to(kind)


def _sort_rows(codes: Array, width: int, first: Array, kind: np.dtype[np.signedinteger]) -> Array:
    """:func:`sort_codes` of rows that share no bucket, shared out among as many threads as PyTorch uses."""
    order = np.empty(codes.shape, kind)

    def sort(part: slice) -> None:
        local = (codes[part] - np.arange(part.start, part.stop)[:, None] * width).astype(np.uint16)
        np.add(np.argsort(local, axis=1, kind="stable"), first[part, None], out=order[part], casting="unsafe")

    threads = min(torch.get_num_threads(), codes.size // LEAST_WORK)
    if threads < 2:
        sort(slice(0, len(codes)))
        return order
    bounds = [len(codes) * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(sort, slice(a, b)) for a, b in pairwise(bounds[1:])]
        sort(slice(*bounds[:2]))
        for other in others:
            other.result()
    return order


def counts(flows: Tensor, order: Tensor, start: Tensor) -> Tensor:
    """Expected count of every table row: flows ``[M, N]`` summed over each run of ``order`` → ``[buckets, N]``.

    A sum over sorted runs instead of a scatter: no atomics, no dependence on thread timing.
    """
    return F.embedding_bag(order, flows, start, mode="sum")
