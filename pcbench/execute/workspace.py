"""Buffers that outlive one evaluation, so that the next one does not ask the system for memory again.

On a CPU this is worth more than most kernel work: a fresh 50 MB tensor costs several times what filling it does, in page
faults. Contents never carry over: every pass writes what it reads.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from .graphs import Graphs

CPU = torch.device("cpu")

#: Bytes that a chunk of a layer may take in each of its buffers: small enough to stay in cache from the gather of its
#: products to the division of its sums, large enough that the calls for it cost little.
CHUNK_BYTES = 1 << 21


class Workspace:
    """Named buffers that grow to the largest size asked for. Not to be shared between threads."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}
        # What was handed out last under a name: a step on a GPU asks for twenty tensors before it launches anything.
        self._last: dict[str, tuple[tuple[int, ...], torch.dtype, torch.device, Tensor]] = {}
        #: Counts how often a buffer moved: whoever remembers addresses (a captured graph) asks again when it changes.
        self.moves = 0
        self.graphs = Graphs()
        #: Steps of training that are laid out, by what and where they read and write.
        self.steps: dict[Hashable, Any] = {}
        #: Those that were launched and have not been waited for, in their order.
        self.under_way: list[Any] = []
        #: Memory of evidence that was laid out, by program and form, and how often buffers had moved by then.
        self.batches: dict[Hashable, Any] = {}
        #: Counts the fused passes whose batch the exact ones evaluated again.
        self.given_up = 0
        #: What buffers are known to hold, by whoever filled them.
        self.remembered: dict[str, Hashable] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
        """An uninitialised tensor; asking for the same name again hands out the same memory."""
        last = self._last.get(name)
        if last is not None and last[0] == shape and last[1] == dtype and last[2] == device:
            return last[3]
        size = 1
        for extent in shape:
            size *= extent
        buffer = self._buffers.get((name, dtype, device))
        if buffer is None or buffer.numel() < size:
            buffer = torch.empty(size, dtype=dtype, device=device)
            self._buffers[name, dtype, device] = buffer
            self.moves += 1
        found = buffer[:size].view(shape)
        self._last[name] = (shape, dtype, device, found)
        return found

    @property
    def held(self) -> dict[str, int]:
        """Bytes by the name of a buffer."""
        out: dict[str, int] = {}
        for (name, _, _), buffer in self._buffers.items():
            out[name] = out.get(name, 0) + buffer.numel() * buffer.element_size()
        return out

    @property
    def num_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(b.numel() * b.element_size() for b in self._buffers.values())


def chunk_groups(batch: int, width: int, dtype: torch.dtype, device: torch.device = CPU) -> int:
    """How many blocks of ``width`` nodes make a chunk."""
    return max(1, chunk_bytes(device) // (batch * width * dtype.itemsize))


def chunk_bytes(device: torch.device) -> int:
    """Bytes of a chunk; a GPU wants many blocks at once rather than few in its cache."""
    return CHUNK_BYTES if device.type == "cpu" else CHUNK_BYTES << 8
