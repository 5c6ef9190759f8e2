"""Memory by purpose, in bytes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ..compile import Program
from ..execute import Model, Statistics, Workspace

#: Buffers of the fused passes that belong to flows, by a part of their name; all others hold values.
_OF_FLOWS = ("flow", "ratio", "element", "seed", "count", "places", "bounds", "masses")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes by purpose.

    Attributes:
        parameters: of every model that is held (the newest, the best, the one whose memory the next will take).
        values: values and scales of the units, for the rows of a batch.
        flows: elements and flows, for the rows of a batch, and expected counts.
        other: everything else: the data, Python, libraries (resident size minus the rest; on CUDA, allocated minus the rest).
        peak: the most the process (on CUDA: PyTorch's allocator) ever held.
    """

    parameters: int
    values: int
    flows: int
    other: int
    peak: int

    def metrics(self) -> dict[str, float]:
        """As the metrics of an event."""
        return {
            "memory_parameters": float(self.parameters),
            "memory_values": float(self.values),
            "memory_flows": float(self.flows),
            "memory_other": float(self.other),
            "memory_peak": float(self.peak),
        }


class MemoryMeter:
    """Reads the memory of a training run, asking the system at most once every ``interval`` seconds.

    Args:
        program: what is evaluated.
        batch_size: rows of a batch.
        interval: seconds during which a reading stays good; asking takes the system some 50 µs.
    """

    def __init__(self, program: Program, batch_size: int, interval: float = 0.25) -> None:
        self._device = program.device
        self._fused = program.fused is not None
        size = program.dtype.itemsize
        self._values = batch_size * (_count(program.value_rows) * size + program.num_units * 8)
        self._flows = batch_size * _count(program.element_rows) * size
        self._interval = interval
        self._read_at = -float("inf")
        self._last = MemoryUse(0, 0, 0, 0, 0)

    def read(
        self, models: Iterable[Model | None], statistics: Statistics | None = None, workspace: Workspace | None = None
    ) -> MemoryUse:
        """Memory now, or a reading less than ``interval`` old; models that are the same object count once.

        Values and flows are what the program needs for a batch, or what the workspace really holds where the passes are
        fused: those choose their own precisions, and keep what they need.
        """
        now = time.monotonic()
        if now - self._read_at < self._interval:
            return self._last
        distinct = {id(m): m for m in models if m is not None}
        parameters = sum(m.parameters.num_bytes for m in distinct.values())
        values, flows = (self._values, self._flows) if workspace is None or not self._fused else _by_purpose(workspace)
        flows += 0 if statistics is None else statistics.num_bytes
        held, peak = allocated(self._device)
        other = max(0, held - parameters - values - flows)
        self._last = MemoryUse(parameters, values, flows, other, peak)
        self._read_at = now
        return self._last


def _by_purpose(workspace: Workspace) -> tuple[int, int]:
    """Bytes of values, and of flows."""
    held = workspace.held
    flows = sum(size for name, size in held.items() if any(part in name for part in _OF_FLOWS))
    return sum(held.values()) - flows, flows


def allocated(device: torch.device) -> tuple[int, int]:
    """Bytes held now, and at most so far: PyTorch's allocator on CUDA, otherwise the process's resident size."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file)
        return int(fields[b"VmRSS"].split()[0]) * 1024, int(fields[b"VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        import resource  # missing on Windows, so not at the top

        # Not Linux: only the peak is known. macOS counts it in bytes, the other systems in KiB.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak


def _count(rows: dict[int, int]) -> int:
    return sum(width * n for width, n in rows.items())
