"""What a GPU would launch for a circuit, on a machine without one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..circuit import Circuit
from .fuse import Fused, fuse, why_not_fused
from .group import Grouping
from .layers import Layer
from .lower import lower


@dataclass(frozen=True, eq=False)
class GpuPlan:
    """Layers as a GPU's compilation has them (numbered as any other's), and their launches, or why there are none."""

    layers: tuple[Layer, ...]
    fused: Fused | None
    reason: str


def gpu_plan(circuit: Circuit, precision: str) -> GpuPlan:
    """The plan of a float32 program; its address tables lie in main memory."""
    grouping = Grouping(circuit, lower(circuit), "cuda")
    tables = (grouping.layers, grouping.sum_tables, grouping.leaf_tables)
    if (reason := why_not_fused(*tables[:2])) is not None:
        return GpuPlan(grouping.layers, None, reason)
    seen = {v for t in grouping.leaf_tables for v in t.variables.tolist()}
    columns = len(circuit.variables) if len(seen) == len(circuit.variables) else -1
    return GpuPlan(grouping.layers, fuse(*tables, grouping.num_units, precision, torch.device("cpu"), columns), "")
