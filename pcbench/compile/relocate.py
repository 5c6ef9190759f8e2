"""Moving the index tensors of layers and tables to another device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from pcbench_kernels import Choice, SumPattern, choose_sum_kernel

from ..circuit import Block, Parameter

T = TypeVar("T")


def relocate(part: T, device: torch.device) -> T:
    """A copy of ``part`` (layers, tables, and what they hold) whose tensors lie on ``device``. What users own stays."""
    return _moved(part, device)  # type: ignore[no-any-return]  # the same type comes back


def _moved(part: Any, device: torch.device) -> Any:
    if isinstance(part, Tensor):
        return part.to(device)
    if isinstance(part, tuple):
        return tuple(_moved(x, device) for x in part) if part and not isinstance(part[0], Block | Parameter | int) else part
    if isinstance(part, SumPattern):
        rows, cols = (None if t is None else t.to(device) for t in (part.rows, part.cols))
        return replace(part, rows=rows, cols=cols)
    if isinstance(part, Choice):
        # Kernels derive their own index tensors from the pattern, where it lies.
        return choose_sum_kernel(_moved(part.kernel.pattern, device))  # type: ignore[attr-defined]
    if is_dataclass(part) and not isinstance(part, type) and type(part).__module__.startswith("pcbench.compile"):
        changed = {f.name: _moved(getattr(part, f.name), device) for f in fields(part)}
        return replace(part, **changed)
    return part
