"""Every sum kernel against plain loops: odd sizes, every pattern, buffers full of NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from pcbench_kernels import SumKernel, SumPattern, choose_sum_kernel
from pcbench_kernels.cpu import SUM_VARIANTS

pytestmark = pytest.mark.usefixtures("nan_filled")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def pattern(nodes: int, elements: int, tile: int = 0, density: float = 0.4, seed: int = 0) -> SumPattern:
    """``tile = 0``: every edge. Otherwise random tiles in any order, at least one a row of tiles."""
    if not tile:
        return SumPattern(nodes, elements)
    rng = np.random.default_rng(seed)
    grid = rng.random((nodes // tile, elements // tile)) < density
    grid[np.arange(len(grid)), rng.integers(0, grid.shape[1], len(grid))] = True
    rows, cols = grid.nonzero()
    order = rng.permutation(len(rows))
    return SumPattern(nodes, elements, tile, torch.from_numpy(rows[order]), torch.from_numpy(cols[order]))


@dataclass(frozen=True)
class Shape:
    nodes: int
    elements: int
    tile: int
    groups: int
    batch: int

    def __str__(self) -> str:
        return f"{self.nodes}x{self.elements}-tile{self.tile}-groups{self.groups}-batch{self.batch}"


SHAPES = [
    Shape(1, 1, 0, 1, 1),
    Shape(3, 5, 0, 4, 7),
    Shape(33, 17, 0, 2, 31),
    Shape(1, 1, 1, 2, 3),
    Shape(5, 3, 1, 3, 2),
    Shape(7, 64, 1, 1, 33),
    Shape(6, 4, 2, 3, 5),
    Shape(24, 40, 8, 2, 9),
    Shape(96, 64, 16, 2, 33),
]
VARIANTS = {v.name: v for v in SUM_VARIANTS}
CASES = [(name, shape) for name in VARIANTS for shape in SHAPES if shape.tile or name == "dense"]
every = pytest.mark.parametrize(("name", "shape"), CASES, ids=[f"{n}-{s}" for n, s in CASES])


@dataclass
class Setup:
    """A kernel, dense weights ``[G, N, E]`` (zero where no edge is), stored weights, and inputs."""

    kernel: SumKernel
    mask: np.ndarray
    full: Tensor
    stored: Tensor
    x: Tensor
    y: Tensor


def setup(name: str, shape: Shape, dtype: torch.dtype = torch.float64) -> Setup:
    made = pattern(shape.nodes, shape.elements, shape.tile)
    kernel = VARIANTS[name].make(made)
    mask = made.mask()
    generator = torch.Generator().manual_seed(1)

    def rand(*sizes: int) -> Tensor:
        return torch.rand(*sizes, generator=generator, dtype=torch.float64).to(dtype)

    full = rand(shape.groups, shape.nodes, shape.elements) * mask
    stored = torch.stack([kernel.pack(as_circuit(f, made)) for f in full])
    x, y = rand(shape.groups, shape.batch, shape.elements), rand(shape.groups, shape.batch, shape.nodes)
    return Setup(kernel, mask.numpy(), full, stored, x, y)


def as_circuit(full: Tensor, made: SumPattern) -> Tensor:
    """Dense weights → as the circuit stores them."""
    if made.rows is None or made.cols is None:
        return full
    t = made.tile
    tiles = [
        full[r * t : (r + 1) * t, c * t : (c + 1) * t] for r, c in zip(made.rows.tolist(), made.cols.tolist(), strict=True)
    ]
    return torch.stack(tiles)


def close(got: Tensor, expected: object, dtype: torch.dtype) -> None:
    np.testing.assert_allclose(got, np.asarray(expected), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every
def test_pack_and_unpack(name: str, shape: Shape) -> None:
    s = setup(name, shape)
    made = pattern(shape.nodes, shape.elements, shape.tile)
    assert tuple(s.stored.shape[1:]) == s.kernel.form()
    for stored, full in zip(s.stored, s.full, strict=True):
        back = s.kernel.unpack(stored)
        np.testing.assert_array_equal(back.reshape(-1), as_circuit(full, made).reshape(-1))
        np.testing.assert_array_equal(s.kernel.pack(back), stored)
    support = s.kernel.support()
    cells = s.stored[0].numel() if support is None else int(support.sum())
    assert cells == made.edges


@DTYPES
@every
def test_products(name: str, shape: Shape, dtype: torch.dtype) -> None:
    s = setup(name, shape, dtype)
    full, x, y = s.full.double().numpy(), s.x.double().numpy(), s.y.double().numpy()
    up, down = torch.empty_like(s.y), torch.empty_like(s.x)
    s.kernel.apply(s.x, s.stored, up)
    close(up, np.einsum("gbe,gne->gbn", x, full), dtype)
    s.kernel.apply_transposed(s.y, s.stored, down)
    close(down, np.einsum("gbn,gne->gbe", y, full), dtype)
    counts = torch.empty_like(s.stored)
    s.kernel.outer(s.y, s.x, counts)
    if (support := s.kernel.support()) is not None:
        counts *= support
    made = pattern(shape.nodes, shape.elements, shape.tile)
    for g in range(shape.groups):
        expected = torch.from_numpy(np.einsum("bn,be->ne", y[g], x[g]) * s.mask)
        close(s.kernel.unpack(counts[g]).reshape(-1), as_circuit(expected, made).reshape(-1), dtype)


@every
def test_strided_outputs_are_filled(name: str, shape: Shape) -> None:
    """A kernel may be given a piece of a wider buffer; what lies beside it stays."""
    s = setup(name, shape)
    wide = torch.full((shape.groups + 2, shape.batch, shape.nodes), 7.0, dtype=torch.float64)
    s.kernel.apply(s.x, s.stored, wide[1:-1])
    close(wide[1:-1], np.einsum("gbe,gne->gbn", s.x, s.full), torch.float64)
    assert (wide[[0, -1]] == 7).all()


@every
def test_max_plus(name: str, shape: Shape) -> None:
    s = setup(name, shape)
    x = s.x.log()
    x[:, :, 0] = -torch.inf
    out = torch.empty_like(s.y)
    s.kernel.max_plus(x, s.stored.log(), out)
    with np.errstate(divide="ignore"):
        logs = np.log(s.full.numpy())
    expected = (x.numpy()[:, :, None, :] + logs[:, None]).max(-1)
    np.testing.assert_allclose(out, expected, rtol=1e-12)


@every
def test_single_rows(name: str, shape: Shape) -> None:
    s = setup(name, shape)
    rng = np.random.default_rng(2)
    g, n = (torch.from_numpy(rng.integers(0, size, 11)) for size in (shape.groups, shape.nodes))
    close(s.kernel.rows(s.stored, g, n), s.full[g, n], torch.float64)
    values = torch.from_numpy(rng.random((11, shape.elements)))
    out = torch.zeros_like(s.stored)
    s.kernel.add_rows(out, g, n, values)
    if (support := s.kernel.support()) is not None:
        out *= support
    expected = np.zeros(s.full.shape)
    np.add.at(expected, (g.numpy(), n.numpy()), values.numpy())
    made = pattern(shape.nodes, shape.elements, shape.tile)
    for k in range(shape.groups):
        wanted = as_circuit(torch.from_numpy(expected[k] * s.mask), made)
        close(s.kernel.unpack(out[k]).reshape(-1), wanted.reshape(-1), torch.float64)
    nothing = s.kernel.rows(s.stored, g[:0], n[:0])
    assert nothing.shape == (0, shape.elements)


@every
def test_results_are_the_same_bits_again(name: str, shape: Shape) -> None:
    s = setup(name, shape, torch.float32)
    outs = [torch.empty_like(s.stored) for _ in range(2)]
    for out in outs:
        s.kernel.outer(s.y, s.x, out)
    assert torch.equal(*outs)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (pattern(512, 512), "dense"),
        (pattern(8, 8, 1), "dense"),
        (pattern(256, 256, 16, 0.05), "tiles"),
        (pattern(256, 256, 1, 0.01), "edges"),
        (pattern(256, 256, 4, 0.02), "edges"),
        (pattern(256, 256, 16, 0.7), "dense"),
    ],
)
def test_choice_says_why_and_why_not(made: SumPattern, name: str) -> None:
    choice = choose_sum_kernel(made)
    assert choice.kernel.name == name
    assert choice.why
    assert {n for n, _ in choice.rejected} == set(VARIANTS) - {name}
    assert all(reason for _, reason in choice.rejected)
    assert isinstance(choice.kernel, SumKernel)


def test_pattern_counts() -> None:
    made = pattern(24, 40, 8)
    assert made.mask().sum() == made.edges
    assert made.density == pytest.approx(made.edges / (24 * 40))
    assert pattern(3, 4).density == 1
