"""What a pass is given, and the tiles of its launches: by rule, so that a program compiles a handful of kernels and nothing is
tuned at run time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from ..fused import FusedLayer


class Tile(NamedTuple):
    """Most rows, columns and inner extent of a kernel's tile, its warps, and how many tiles are loaded ahead."""

    rows: int
    columns: int
    inner: int
    warps: int
    stages: int


#: Precision → how float32 operands are multiplied; those of the fast path are bfloat16.
PRECISIONS: dict[str, str] = {"fast": "tf32", "exact": "tf32x3"}
#: Precision → kernel → its tile; found by trying others (tests/bench/gpu_speed.py --vary).
TILES: dict[str, dict[str, Tile]] = {
    "fast": {
        "wide forward": Tile(64, 128, 64, 4, 3),
        "wide flow": Tile(64, 128, 64, 4, 4),
        "edges": Tile(128, 128, 64, 8, 4),
        "edge em": Tile(128, 512, 64, 16, 3),
    },
    "exact": {
        "wide forward": Tile(64, 64, 32, 4, 2),
        "wide flow": Tile(64, 64, 32, 4, 2),
        "edges": Tile(64, 64, 32, 8, 2),
        "edge em": Tile(32, 512, 32, 8, 2),
    },
}
#: Rows of a narrow kernel's tile of weights (what one instruction of a group of warps takes), numbers of its tile of elements.
WEIGHT_ROWS, ELEMENTS = 64, 8192
#: Elements that a program of a product computes at once.
PRODUCT_CELLS = 4096
#: A program that keeps elements on the chip reads all weights of a block for its few samples. Elements of blocks with so many
#: weights, in launches with so many multiplications, had better pass through memory.
LARGE_BLOCK, LARGE_LAUNCH = 1 << 16, 1 << 28
#: Length of a row of a narrow kernel's tile of weights → most registers of a thread, so that programs share a multiprocessor.
REGISTERS = {64: 64, 256: 128}
#: Most registers of a thread that multiplies elements in memory: three programs share a multiprocessor.
WIDE_REGISTERS = 168
#: Accumulators of a tile that counts and updates whole rows of weights, and how many more where groups of warps multiply; and
#: the longest row for which it loads all samples at once.
EDGE_CELLS, EDGE_GROUPS, EDGE_ROW = 16384, 2, 256
#: Bytes of shared memory that programs need beside their operands.
SCRATCH = 2048
#: Programs that keep the largest GPUs busy: two for each of some 130 multiprocessors.
FILL = 264
#: Below this a linear sum may have lost addends to underflow.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Pass:
    """Buffers of one evaluation of ``size`` samples.

    Attributes:
        size: samples ``B``.
        values, ratios: flat, node-major: ``[nodes·B]``, log values of units, and flows by value of sum nodes; on the way down
            each may take the place of its value.
        tickets: int32, :data:`FILL` of each launch, zeros between passes; see :func:`narrow_sum_flow`.
        done: int32, :data:`FILL` of each launch on the way up, then as many on the way down; zeros before a pass.
        elements, flows: flat: what sums multiply their weights with, and its flows.
        scales: float64 ``[units, B]``.
        seeds: ``[B, outputs]``.
        weights: flat, float32: all weight tables one after the other.
        operands: the weights as matrix products read them.
        lookups: log tables ``[P, C+1, N]``; codes: their flat rows ``[slots, B]`` int32.
        suspect: int32 flag, raised by a layer that lost mass to underflow.
        downward: whether a downward pass follows.
        precision: a key of :data:`PRECISIONS`.
    """

    size: int
    values: Tensor
    ratios: Tensor
    tickets: Tensor
    done: Tensor
    elements: Tensor
    flows: Tensor
    scales: Tensor
    seeds: Tensor
    weights: Tensor
    operands: Tensor
    lookups: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    suspect: Tensor
    downward: bool
    precision: str


@dataclass(frozen=True, eq=False)
class Update:
    """What a launch of the M step needs beside parameters and counts.

    Attributes:
        rates: float32 ``[2]``: step size and pseudocount.
        wrong: int32 flag, raised where a total is not finite.
        hold: int32 flag; where it is up, no parameter changes.
        least: mass below which a node keeps its parameters.
    """

    rates: Tensor
    wrong: Tensor
    hold: Tensor
    least: float


def power(extent: int) -> int:
    """The next power of two."""
    return 1 << max(0, extent - 1).bit_length()


def side(extent: int, most: int) -> int:
    """A side of a tile: matrix products take powers of two from 16."""
    return max(16, min(most, power(extent)))


def on_chip(size: int, layer: FusedLayer) -> bool:
    """Whether the elements of a launch's blocks, and ratios on the way down, stay in the programs that make them."""
    weights = layer.nodes * layer.width
    large = weights >= LARGE_BLOCK and layer.terms * weights * size >= LARGE_LAUNCH
    return layer.narrow and (not large or layer.chain is not None)


def limited(p: Pass, row: int, lavish: bool) -> dict[str, int]:
    """Options of a narrow launch: a limit on registers, unless many are needed (``lavish``, or tiles of float32)."""
    limit = next((registers for longest, registers in REGISTERS.items() if row <= longest), None)
    return {} if limit is None or lavish or p.precision == "exact" else {"maxnreg": limit}


def early(p: Pass) -> dict[str, bool]:
    """Options of a launch that waits, inside, for the one before it."""
    return early_on(p.values.device)


def early_on(device: torch.device) -> dict[str, bool]:
    """The same for a device: a launch may begin before the one before it has ended from compute capability 9.0 on."""
    starts = _capability(device) >= (9, 0)
    return {"EARLY": starts, "launch_pdl": True} if starts else {"EARLY": False}


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    """Compute capability; of a CPU, none."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)


def by_groups(device: torch.device) -> bool:
    """Whether groups of warps multiply, which keep no operands in registers: tiles may be larger, or limited."""
    return _capability(device)[0] == 9


def edge_cells(device: torch.device) -> int:
    """Most accumulators of a tile that counts and updates whole rows of weights."""
    return EDGE_CELLS * (EDGE_GROUPS if by_groups(device) else 1)


@cache
def _shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program may ask for."""
    if device.type != "cuda":
        return 227 << 10
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)  # type: ignore[attr-defined]


def stages(p: Pass, rows: int, columns: int, inner: int, most: int) -> int:
    """How many tiles of both operands are loaded ahead: at most so many, or fewer where the GPU has less shared memory."""
    held = (rows + columns) * inner * p.operands.element_size()
    return max(1, min(most, (_shared_memory(p.values.device) - SCRATCH) // held))


def warps(cells: int, most: int = 8) -> int:
    """Warps for a tile of so many elements (of accumulators, a thread takes four times as many)."""
    return min(most, 4 if cells < 2048 else 8)


def span_of(extent: int, tile: int, programs: int) -> int:
    """How much of a block's ``extent`` one of its ``programs`` takes, in whole tiles: all of it, or less where they are few."""
    span: int = triton.cdiv(extent, tile) * tile
    while span > tile and programs * triton.cdiv(extent, span) < FILL:
        span = triton.cdiv(span // 2, tile) * tile
    return span


def rows_of_samples(samples: int, blocks: int, most: int) -> int:
    """Samples of a program: as many as fit, or fewer where that keeps more of the chip busy; at least 16."""
    rows = side(samples, most)
    while rows > 16 and blocks * triton.cdiv(samples, rows) < FILL:
        rows //= 2
    return rows


def links_of(layer: FusedLayer, down: bool) -> tuple[tuple[Tensor, Tensor], dict[str, int]]:
    """Blocks of a launch that each waits for, and that wait for it, and the columns of both tables: none out of a chain."""
    if layer.chain is None:
        return (layer.nodes_at, layer.nodes_at), {"WAITS": 0, "TELLS": 0}
    waits, tells = layer.chain.children, layer.chain.parents
    if down:
        waits, tells = tells, waits
    return (waits, tells), {"WAITS": waits.shape[1], "TELLS": tells.shape[1]}


def narrow_tiles(p: Pass, layer: FusedLayer, width: int, extent: int) -> tuple[int, int]:
    """Samples of a narrow program whose tiles have rows of ``width``, and how much of a block's ``extent`` it takes.

    In a chain it takes one tile, so that programs of the next level are there already. It takes as many samples as fit where a
    chain's programs all gather the same elements, and where blocks are so large that their weights are read by fewer programs;
    but only where groups of warps multiply: others would keep all of that in registers.
    """
    most, tile = min(32, ELEMENTS // width), side(extent, WEIGHT_ROWS)
    blocks = layer.groups if layer.chain is None else layer.chain.widest
    rows = rows_of_samples(p.size, blocks, most)
    if by_groups(p.values.device):
        if layer.chain is not None and extent > tile:
            rows = side(p.size, most)
        elif layer.chain is None and extent * width > LARGE_BLOCK:
            rows = side(p.size, 32)
    span = span_of(extent, tile, blocks * triton.cdiv(p.size, rows)) if layer.chain is None else tile
    return rows, span
