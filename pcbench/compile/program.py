"""The compiled circuit: layers, tables, and the size of every buffer an evaluation needs. Frozen, and without state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..circuit import Block, Circuit, InputBlock
from .fuse import Fused
from .layers import Layer, LeafTable, SumTable


@dataclass(frozen=True, eq=False)
class Program:
    """A circuit compiled for one device and precision.

    Attributes:
        circuit: what was compiled; nothing is written on it.
        device, dtype: where and in which precision values are kept.
        tile: block size in which views and block-sparse kernels count occupancy.
        layers: in order of evaluation.
        sum_tables, leaf_tables: layouts of the parameters.
        value_rows, element_rows: rows of each arena, by width.
        num_units: blocks with a value (and a scale per sample) of their own.
        address: unit block → (row in ``values[nodes]``, unit number).
        element_of: block → (arena, row, offset) where the downward pass leaves its flow.
        leaf_use: input block → (leaf table, use).
        fused: address tables of the fused GPU kernels, when they take the whole program.
        unfused: why they do not; empty when they do, and on the CPU.
    """

    circuit: Circuit
    device: torch.device
    dtype: torch.dtype
    tile: int
    layers: tuple[Layer, ...]
    sum_tables: tuple[SumTable, ...]
    leaf_tables: tuple[LeafTable, ...]
    value_rows: dict[int, int]
    element_rows: dict[int, int]
    num_units: int
    address: dict[Block, tuple[int, int]]
    element_of: dict[Block, tuple[int, int, int]]
    leaf_use: dict[InputBlock, tuple[int, int]]
    fused: Fused | None = None
    unfused: str = ""

    def describe(self) -> dict[str, Any]:
        """Layers, memory and totals as plain data (JSON types); see :mod:`pcbench.compile.describe`."""
        from .describe import describe_program

        return describe_program(self)

    def explain(self) -> str:
        """The compiled layout in words: layers, kernels and why, padding, work and memory."""
        from .describe import explain_program

        return explain_program(self)

    def __repr__(self) -> str:
        return f"Program({len(self.layers)} layers, {self.num_units:,} units, {self.device}, {str(self.dtype)[6:]})"
