"""The M step on a GPU: one pass over each table, where there is a kernel for it."""

from __future__ import annotations

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass

from ..compile import LeafTable, Program, SumTable
from ..distributions import Categorical
from ..errors import DataError


class FusedUpdate:
    """Updates tables by kernels; a method returns ``False``, and has done nothing, where there is none for a table."""

    def __init__(self, program: Program, step: float, pseudocount: float) -> None:
        self._step, self._pseudocount, self._least = step, pseudocount, least_mass(program.dtype)
        self._wrong = torch.zeros(1, dtype=torch.int32, device=program.device)
        most = max(len(t.parameters) for tables in (program.sum_tables, program.leaf_tables) for t in tables)
        self._everything = torch.ones(most, dtype=torch.int32, device=program.device)

    def sums(self, table: SumTable, old: Tensor, flows: Tensor, out: Tensor) -> bool:
        """Dense weights, with or without holes."""
        from pcbench_kernels.gpu import maximise_sums

        kernel = table.choice.kernel
        if kernel.name != "dense":
            return False
        maximise_sums(
            old,
            flows,
            kernel.support(),
            self._learns(table),
            out,
            self._wrong,
            self._step,
            self._pseudocount,
            self._least,
        )
        return True

    def leaves(self, table: LeafTable, old: Tensor, counts: Tensor, out: Tensor, lookup: Tensor) -> bool:
        """Categorical leaves and their log table."""
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

    def _learns(self, table: SumTable | LeafTable) -> Tensor:
        return self._everything if table.trainable is None else table.trainable.to(torch.int32)
