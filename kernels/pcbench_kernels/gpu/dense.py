"""Dense sums of a program on a GPU: as everywhere, but for maxima, which would be a launch a node."""

from __future__ import annotations

from torch import Tensor

from ..cpu.sum_dense import DenseSum
from .topdown import max_plus


class DenseSumOnGpu(DenseSum):
    """Takes maxima in one launch. In float32."""

    def max_plus(self, x: Tensor, log_w: Tensor, out: Tensor) -> None:
        # The kernel reads a weight of all nodes at once.
        max_plus(x, log_w.transpose(1, 2).contiguous(), out)
