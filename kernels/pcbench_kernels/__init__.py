"""Kernels of pcbench: tensors in, tensors out. They know layouts, not circuits."""

from .ops import SumKernel, SumPattern
from .select import Choice, choose_sum_kernel
from .variants import Variant

__all__ = ["Choice", "SumKernel", "SumPattern", "Variant", "choose_sum_kernel"]
