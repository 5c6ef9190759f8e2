"""Which bytes of the memory plan belong to which block: what the ruler lights when a block is pointed at, and back.

Follows the order of `Program.describe()["memory"]`: weights, leaves and their lookup tables, values, elements, scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pcbench import InputBlock, Program, SumBlock
from pcbench.compile import SumLayer

MOST_BLOCKS = 30_000
"""Beyond that the table would take longer to send than anyone looks at the ruler."""
_SCALE = 8
Span = tuple[int, int, int]


def spans(program: Program) -> NDArray[np.float64]:
    """``[spans, 3]``: position of a block in `circuit.blocks`, first byte of the plan, and how many; ascending by byte.

    Tied blocks hold the same bytes. Products and leaves that are fused into a sum lie in that sum's elements. Empty for
    circuits of more than `MOST_BLOCKS` blocks.
    """
    if len(program.circuit.blocks) > MOST_BLOCKS:
        return np.empty((0, 3))
    found = sorted(_Plan(program).spans(), key=lambda span: span[1:])
    return np.array(found, dtype="<f8").reshape(-1, 3)


class _Plan:
    """Where each buffer of the plan begins."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.size = program.dtype.itemsize
        self._end = 0
        self.sums = [self._next(prod(table.shape) * self.size) for table in program.sum_tables]
        self.leaves: list[tuple[int, int]] = []
        for table in program.leaf_tables:
            lookup = 0 if table.categories is None else len(table.parameters) * (table.categories + 1) * table.nodes
            self.leaves.append((self._next(prod(table.shape) * self.size), self._next(lookup * self.size)))
        self.values = {width: self._next(rows * width * self.size) for width, rows in program.value_rows.items()}
        self.elements = {width: self._next(rows * width * self.size) for width, rows in program.element_rows.items()}
        self.scales = self._next(program.num_units * _SCALE)

    def _next(self, count: int) -> int:
        start, self._end = self._end, self._end + count
        return start

    def spans(self) -> Iterator[Span]:
        program, index, size = self.program, self.program.circuit.index, self.size
        yield from self._weights()
        for leaf in program.leaf_use:
            yield from self._leaf(leaf)
        for block, (row, unit) in program.address.items():
            yield index[block], self.values[block.nodes] + row * block.nodes * size, block.nodes * size
            yield index[block], self.scales + unit * _SCALE, _SCALE
        for block, (width, row, offset) in program.element_of.items():
            nodes = width if isinstance(block, SumBlock) else block.nodes
            yield index[block], self.elements[width] + (row * width + offset) * size, nodes * size

    def _weights(self) -> Iterator[Span]:
        index = self.program.circuit.index
        for layer in self.program.layers:
            if isinstance(layer, SumLayer):
                each = prod(self.program.sum_tables[layer.table].shape[1:]) * self.size
                rows = layer.parameters
                places = rows.tolist() if isinstance(rows, Tensor) else range(rows.stop)[rows]
                for block, place in zip(layer.blocks, places, strict=True):
                    yield index[block], self.sums[layer.table] + place * each, each

    def _leaf(self, leaf: InputBlock) -> Iterator[Span]:
        number, use = self.program.leaf_use[leaf]
        table, (parameters, lookup) = self.program.leaf_tables[number], self.leaves[number]
        place, id = int(table.rows[use]), self.program.circuit.index[leaf]
        each = prod(table.shape[1:]) * self.size
        yield id, parameters + place * each, each
        if table.categories is not None:
            each = (table.categories + 1) * table.nodes * self.size
            yield id, lookup + place * each, each
