"""Buffers that outlive one evaluation, so that the next one does not ask the system for memory again.

On a CPU this is worth more than most kernel work: a fresh 50 MB tensor costs several times what filling it does, in page
faults. Contents never carry over: every pass writes what it reads.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Bytes that a chunk of a layer may take in each of its buffers, so that it stays in a core's cache from the gather of
#: its products to the logarithm of its sums.
CHUNK_BYTES = 1 << 20


class Workspace:
    """Named buffers that grow to the largest size asked for. Not to be shared between threads."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor; asking for the same name again hands out the same memory."""
        size = 1
        for extent in shape:
            size *= extent
        buffer = self._buffers.get((name, dtype))
        if buffer is None or buffer.numel() < size:
            buffer = torch.empty(size, dtype=dtype)
            self._buffers[name, dtype] = buffer
        return buffer[:size].view(shape)

    @property
    def num_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(b.numel() * b.element_size() for b in self._buffers.values())


def chunk_groups(batch: int, width: int, dtype: torch.dtype) -> int:
    """How many blocks of ``width`` nodes make a chunk."""
    return max(1, CHUNK_BYTES // (batch * width * dtype.itemsize))
