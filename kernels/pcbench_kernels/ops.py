"""The contract between the executor and a sum kernel, and the facts a kernel is chosen by.

A sum layer is ``G`` blocks of one shape: ``B`` samples, ``E`` elements in, ``N`` nodes out. In the linear domain (each
row of elements divided by its maximum) a sum layer is a batch of matrix products; a kernel says how that product is
laid out. What surrounds it (gathering products, maxima, logarithms, exact fallback) is the same for all kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SumPattern:
    """Which of ``nodes × elements`` edges exist: all (``rows`` is ``None``) or square tiles at ``(rows, cols)``.

    ``tile = 1`` is an arbitrary list of edges. Indices count tiles, not nodes. ``waste``: how many multiplications a dense
    matrix product may do for one that counts before a sparse layout wins; a matter of the device.
    """

    nodes: int
    elements: int
    tile: int = 1
    rows: Tensor | None = None
    cols: Tensor | None = None
    waste: int = 4

    @property
    def edges(self) -> int:
        """Number of edges of one block."""
        return self.nodes * self.elements if self.rows is None else len(self.rows) * self.tile**2

    @property
    def density(self) -> float:
        """Share of ``nodes × elements`` that exists."""
        return self.edges / (self.nodes * self.elements)

    def mask(self) -> Tensor:
        """Dense ``[N, E]`` booleans."""
        if self.rows is None or self.cols is None:
            return torch.ones(self.nodes, self.elements, dtype=torch.bool)
        grid = torch.zeros(self.nodes // self.tile, self.elements // self.tile, dtype=torch.bool)
        grid[self.rows, self.cols] = True
        return grid.repeat_interleave(self.tile, 0).repeat_interleave(self.tile, 1)


@runtime_checkable
class SumKernel(Protocol):
    """How one layout of weights is applied. ``P`` indexes parameter sets; a layer uses one of them for each block.

    Shapes: elements ``x [G, B, E]``, nodes ``y [G, B, N]``, stored weights ``w [G, *form]``.
    """

    name: str

    def form(self) -> tuple[int, ...]:
        """Shape of one block's stored weights."""

    def pack(self, weights: Tensor) -> Tensor:
        """Weights as the circuit stores them → stored form."""

    def unpack(self, stored: Tensor) -> Tensor:
        """The inverse of :meth:`pack`."""

    def support(self) -> Tensor | None:
        """Booleans of the stored form's shape where an edge exists; ``None``: everywhere."""

    def row_index(self) -> Tensor | None:
        """Node of each stored weight, when the last axis is not simply a node's elements; see :func:`row_totals`."""

    def apply(self, x: Tensor, w: Tensor, out: Tensor) -> None:
        """``out[g,b,n] = Σ_e x[g,b,e] w[g,n,e]``."""

    def apply_transposed(self, y: Tensor, w: Tensor, out: Tensor) -> None:
        """``out[g,b,e] = Σ_n y[g,b,n] w[g,n,e]``."""

    def outer(self, y: Tensor, x: Tensor, out: Tensor) -> None:
        """``out[g, (n,e)] = Σ_b y[g,b,n] x[g,b,e]`` in stored form."""

    def max_plus(self, x: Tensor, log_w: Tensor, out: Tensor) -> None:
        """``out[g,b,n] = max_e (x[g,b,e] + log_w[g,n,e])`` over existing edges."""

    def rows(self, w: Tensor, g: Tensor, n: Tensor) -> Tensor:
        """Dense weight rows of nodes ``n`` of blocks ``g``: ``[M, E]``, zero where there is no edge."""

    def add_rows(self, out: Tensor, g: Tensor, n: Tensor, values: Tensor) -> None:
        """Add ``values [M, E]`` to rows of ``out`` (stored form); entries without an edge are ignored."""
