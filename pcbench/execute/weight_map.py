"""The weights of one block of a sum layer as a map: square tiles of pixels over a pyramid, each made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..compile import Program, SumLayer
from ..errors import OptionError
from .model import Parameters
from .statistics import Statistics

SIDE = 256
"""Pixels of a tile's side."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of the map; at its right and lower edge the matrix may end before ``SIDE`` pixels.

    Attributes:
        edges: ``[H, W]``, edges beneath each pixel.
        area: ``[H, W]``, cells of the matrix beneath each pixel, never 0.
        weight: ``[H, W]``, sum of the weights beneath each pixel; ``None`` without parameters.
    """

    edges: Floats
    area: Floats
    weight: Floats | None

    @property
    def density(self) -> Floats:
        """Share of the cells beneath each pixel that hold an edge, 0…1."""
        return self.edges / self.area

    @property
    def mean(self) -> Floats | None:
        """Mean weight of the edges beneath each pixel, 0 where there is none; ``None`` without parameters."""
        return None if self.weight is None else self.weight / np.maximum(self.edges, 1)


class WeightMap:
    """Nodes downward, elements to the right. A pixel of level ``k`` covers ``2^k × 2^k`` cells; level 0 shows cells.

    Args:
        program: whose layer it is.
        layer: number of a sum layer.
        block: which of the layer's blocks, from 0.
        parameters: of the program, for weights; or statistics, and then « weight » is the flow through an edge, summed over
            rows (and over the blocks that share the weights). Without them only edges are known.

    Raises:
        OptionError: for a layer without weights, or a block that is not in it.
    """

    def __init__(self, program: Program, layer: int, block: int = 0, parameters: Parameters | Statistics | None = None) -> None:
        if not 0 <= layer < len(program.layers):
            raise OptionError(f"layer must lie in 0…{len(program.layers) - 1}, got {layer}")
        found = program.layers[layer]
        if not isinstance(found, SumLayer):
            raise OptionError(f"layer {layer} is of {found.kind} blocks; only sum layers have weights")
        if not 0 <= block < len(found.blocks):
            raise OptionError(f"layer {layer}: block must lie in 0…{len(found.blocks) - 1}, got {block}")
        table = program.sum_tables[found.table]
        pattern = table.pattern
        self.rows, self.cols = pattern.nodes, pattern.elements
        self.levels = 1 + max(0, (max(self.rows, self.cols) - 1).bit_length() - (SIDE - 1).bit_length())
        sparse = pattern.rows is not None and pattern.cols is not None
        self.stores_all = _size(table.choice.kernel.form()) == self.rows * self.cols
        """Whether the kernel multiplies every cell of the matrix, so that those without an edge are padding."""
        self._side = pattern.tile if sparse else 0
        self._at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
        self._order: npt.NDArray[np.int64] | None = None
        if pattern.rows is not None and pattern.cols is not None:
            at = pattern.rows.cpu().numpy(), pattern.cols.cpu().numpy()
            if np.any(at[0][1:] < at[0][:-1]):  # sorted by rows, so that a tile looks at its own rows only
                self._order = np.argsort(at[0], kind="stable")
                at = at[0][self._order], at[1][self._order]
            self._at = at
        self._weights: npt.NDArray[np.floating] | None = None
        if parameters is not None:
            row = table.parameters.index(found.blocks[block].parameter)
            stored = parameters.weights[found.table][row].detach().cpu()
            shape = (-1, self._side, self._side) if sparse else (self.rows, self.cols)
            weights = table.choice.kernel.unpack(stored).reshape(shape).numpy()
            self._weights = weights if self._order is None else weights[self._order]

    def grid(self, level: int) -> tuple[int, int]:
        """Tiles downward and to the right at one level."""
        if not 0 <= level < self.levels:
            raise OptionError(f"level must lie in 0…{self.levels - 1}, got {level}")
        return (-(-self.rows // (SIDE << level)), -(-self.cols // (SIDE << level)))

    def tile(self, level: int, row: int, col: int) -> Tile:
        """Tile number (``row``, ``col``) of a level.

        Raises:
            OptionError: when it lies outside the matrix.
        """
        high, wide = self.grid(level)
        if not (0 <= row < high and 0 <= col < wide):
            raise OptionError(f"tile ({row}, {col}) lies outside level {level}, which has {high} × {wide} tiles")
        size = min(SIDE, -(-self.rows // (1 << level)) - row * SIDE), min(SIDE, -(-self.cols // (1 << level)) - col * SIDE)
        return self.region(level, row * SIDE, col * SIDE, *size)

    def region(self, level: int, row: int, col: int, height: int, width: int) -> Tile:
        """``height × width`` pixels of a level from pixel (``row``, ``col``) on; the level may be above the last one.

        Raises:
            OptionError: when some of them lie outside the matrix.
        """
        high, wide = -(-self.rows // (1 << level)), -(-self.cols // (1 << level))
        if not (0 <= row < row + height <= high and 0 <= col < col + width <= wide):
            raise OptionError(
                f"pixels ({row}, {col}) and {height} × {width} from there: level {level} has {high} × {wide} pixels"
            )
        step = 1 << level
        top, left = row * step, col * step
        bottom, right = min(self.rows, top + height * step), min(self.cols, left + width * step)
        area = np.outer(_lengths(bottom - top, step), _lengths(right - left, step))
        if self._at is None:
            inside = None if self._weights is None else self._weights[top:bottom, left:right]
            return Tile(area.copy(), area, None if inside is None else _pooled(inside, step))
        return self._sparse(level, top, left, bottom, right, area)

    def cell(self, row: int, col: int) -> float | None:
        """Weight of the edge from element ``col`` to node ``row``; ``None`` where there is none, or no parameters."""
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise OptionError(f"cell ({row}, {col}) lies outside the {self.rows} × {self.cols} matrix")
        if self._weights is None:
            return None
        if self._at is None:
            return float(self._weights[row, col])
        first, last = np.searchsorted(self._at[0], [row // self._side, row // self._side + 1])
        hit = first + np.flatnonzero(self._at[1][first:last] == col // self._side)
        return float(self._weights[hit[0], row % self._side, col % self._side]) if len(hit) else None

    @cached_property
    def largest(self) -> float:
        """The largest weight of the block, against which shades are measured; 0 without parameters."""
        return 0.0 if self._weights is None else float(self._weights.max())

    @cached_property
    def _sums(self) -> Floats | None:
        return None if self._weights is None else self._weights.sum((1, 2), dtype=np.float64)

    def _sparse(self, level: int, top: int, left: int, bottom: int, right: int, area: Floats) -> Tile:
        assert self._at is not None
        (rows, cols), side, step = self._at, self._side, 1 << level
        first, last = np.searchsorted(rows, [top // side, (bottom - 1) // side + 1])
        near = cols[first:last]
        hit = first + np.flatnonzero((near * side < right) & ((near + 1) * side > left))
        y, x = rows[hit] * side, cols[hit] * side
        if step % side == 0:  # no block straddles two pixels: its sum is all that is needed
            edges = np.full(len(hit), float(side * side))
            weight: npt.NDArray[np.floating] | None = None if self._sums is None else self._sums[hit]
        else:
            inner = np.arange(side)
            shape = (len(hit), side, side)
            y = np.broadcast_to(y[:, None, None] + inner[:, None], shape).reshape(-1)
            x = np.broadcast_to(x[:, None, None] + inner[None, :], shape).reshape(-1)
            keep = (y >= top) & (y < bottom) & (x >= left) & (x < right)
            y, x = y[keep], x[keep]
            edges = np.ones(len(y))
            weight = None if self._weights is None else self._weights[hit].reshape(-1)[keep]
        pixel = ((y - top) >> level) * area.shape[1] + ((x - left) >> level)

        def total(values: npt.NDArray[np.floating]) -> Floats:
            # Of no edges at all NumPy counts in integers.
            counted: Floats = np.bincount(pixel, values, area.size).reshape(area.shape).astype(np.float64, copy=False)
            return counted

        return Tile(total(edges), area, None if weight is None else total(weight))


def _lengths(extent: int, step: int) -> Floats:
    """Cells beneath each pixel of an axis: ``step``, and what is left beneath the last."""
    starts = np.arange(0, extent, step)
    return np.minimum(step, extent - starts).astype(np.float64)


def _pooled(values: npt.NDArray[np.floating], step: int) -> Floats:
    """Sums of squares of ``step × step``; those at the edges are smaller."""
    down: Floats = np.add.reduceat(values, np.arange(0, values.shape[0], step), axis=0, dtype=np.float64)
    pooled: Floats = np.add.reduceat(down, np.arange(0, values.shape[1], step), axis=1, dtype=np.float64)
    return pooled


def _size(form: tuple[int, ...]) -> int:
    return int(np.prod(form, dtype=np.int64))
