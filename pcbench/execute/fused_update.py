"""The M step on a GPU: one pass over each table, where there is a kernel for it."""

from __future__ import annotations

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass

from ..compile import LeafTable, Program
from ..distributions import Categorical
from ..errors import DataError


class FusedUpdate:
    """Updates tables by kernels."""

    def __init__(self, program: Program, step: float, pseudocount: float) -> None:
        self._program = program
        self._step, self._pseudocount, self._least = step, pseudocount, least_mass(program.dtype)
        self._wrong = torch.zeros(1, dtype=torch.int32, device=program.device)
        most = max(len(t.parameters) for t in program.leaf_tables)
        self._everything = torch.ones(most, dtype=torch.int32, device=program.device)

    def sums(self, old: Tensor, flows: Tensor, out: Tensor, operands: Tensor) -> None:
        """All weights, flat; ``operands`` may be ``out`` itself."""
        from pcbench_kernels.gpu import maximise_sums

        assert self._program.fused is not None  # and so every table is dense
        rounded = None if operands is out else operands
        for rows in self._program.fused.rows:
            maximise_sums(old, flows, rows, out, rounded, self._wrong, self._step, self._pseudocount, self._least)

    def leaves(self, table: LeafTable, old: Tensor, counts: Tensor, out: Tensor, lookup: Tensor) -> bool:
        """Categorical leaves and their log table; ``False``, and nothing is done, for other families."""
        from pcbench_kernels.gpu import maximise_categorical

        if not isinstance(table.distribution, Categorical):
            return False
        learns = self._learns(table)
        maximise_categorical(old, counts, learns, out, lookup, self._wrong, self._step, self._pseudocount, self._least)
        return True

    def require_finite(self) -> None:
        """Raise :class:`DataError` when some total was NaN or infinite."""
        if bool(self._wrong.item()):
            raise DataError("the expected counts of a layer hold NaN or infinity; the model was not changed")

    def _learns(self, table: LeafTable) -> Tensor:
        return self._everything if table.trainable is None else table.trainable.to(torch.int32)
