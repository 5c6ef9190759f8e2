"""The rows of a run, where its program reads them fastest."""

from __future__ import annotations

import torch
from torch import Tensor

from ..compile import Program
from ..execute import Evidence
from ..scope import Finite

#: Rows are kept on a GPU as long as they take less than this share of its free memory.
SHARE = 8


class Rows:
    """Checked evidence, of which batches are taken. A fused program's lies on its GPU, in the smallest integers that hold it,
    if there is room.

    Args:
        evidence: that fits the program's variables.
        program: what the batches are for.
    """

    def __init__(self, evidence: Evidence, program: Program) -> None:
        self.evidence = evidence
        self._device: torch.device | None = None
        self._order: tuple[Tensor, Tensor] | None = None
        if program.device.type != "cuda" or program.fused is None or evidence.soft or evidence.values.is_cuda:
            return
        kind = smallest(evidence.values.dtype, program)
        masks = 0 if evidence.observed is None else evidence.observed.numel()
        if (evidence.values.numel() * kind.itemsize + masks) * SHARE > torch.cuda.mem_get_info(program.device)[0]:
            return
        self._device = program.device
        seen = None if evidence.observed is None else evidence.observed.to(program.device)
        self.evidence = Evidence(evidence.values.to(kind).to(program.device), seen)

    def __len__(self) -> int:
        return len(self.evidence)

    def batch(self, start: int, stop: int, order: Tensor | None = None) -> tuple[Evidence, Tensor]:
        """Rows from the ``start``-th to before the ``stop``-th of an order (``None``: their own), and the number of each."""
        if order is None:
            return self.evidence[start:stop], torch.arange(start, stop)
        numbers = order[start:stop]
        if self._device is None:
            return self.evidence[numbers], numbers
        if self._order is None or self._order[0] is not order:
            self._order = order, order.to(self._device)  # once an epoch: a copy waits for the GPU
        return self.evidence[self._order[1][start:stop]], numbers


def smallest(dtype: torch.dtype, program: Program) -> torch.dtype:
    """The smallest integers that hold all values of finite variables; any other data stays as it is."""
    sizes = [v.domain.size for v in program.circuit.variables if isinstance(v.domain, Finite)]
    if dtype.is_floating_point or len(sizes) < len(program.circuit.variables):
        return dtype
    fitting = [k for k in (torch.uint8, torch.int16, torch.int32) if max(sizes, default=1) - 1 <= torch.iinfo(k).max]
    return min((dtype, *fitting[:1]), key=lambda k: k.itemsize)
