"""Maps of weights: every pixel of every level against the dense matrix, however the kernel stores it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import pcbench
from pcbench import BlockSparse, Dense, InputBlock, Sparse, SumBlock
from pcbench.errors import OptionError
from pcbench.execute import Model, WeightMap, expectation
from pcbench.execute.weight_map import SIDE


def one_sum(nodes: int, elements: int, edges: Dense | BlockSparse | Sparse) -> Model:
    """A sum of ``nodes`` over ``elements``, beneath a root; its layer is number 0."""
    names = pcbench.Variables.binary(1)
    leaf = InputBlock(names[0], pcbench.Bernoulli(), elements)
    root = SumBlock([SumBlock([leaf], nodes, edges=edges, name="wide")], 1)
    return Model.create(pcbench.compile(pcbench.Circuit([root], variables=names)))


def dense(model: Model, edges: Dense | BlockSparse | Sparse, nodes: int, elements: int) -> tuple[np.ndarray, np.ndarray]:
    """Where an edge is, and its weight: straight from the circuit's parameter."""
    block = next(b for b in model.circuit.blocks if b.name == "wide")
    value = model.values()[block.parameter].double().numpy()  # type: ignore[union-attr]
    mask, weight = np.zeros((nodes, elements)), np.zeros((nodes, elements))
    if isinstance(edges, Dense):
        return np.ones_like(mask), value
    t = edges.tile if isinstance(edges, BlockSparse) else 1
    for k, (r, c) in enumerate(zip(edges.rows.tolist(), edges.cols.tolist(), strict=True)):
        at = (slice(r * t, r * t + t), slice(c * t, c * t + t))
        mask[at], weight[at] = 1, value[k]
    return mask, weight


def band(tile: int, count: int, width: int) -> BlockSparse:
    rows = torch.arange(count).repeat_interleave(width)
    return BlockSparse(tile, rows, (rows * 3 + torch.arange(width).repeat(count)) % count)


def shapes() -> Sequence[tuple[int, int, Dense | BlockSparse | Sparse]]:
    generator = torch.Generator().manual_seed(5)
    flat = torch.cat((torch.arange(300) * 700, torch.randperm(300 * 700, generator=generator)[:900])).unique()
    scattered = Sparse(flat // 700, flat % 700)
    return [(300, 700, Dense()), (1200, 1200, band(12, 100, 2)), (1024, 1024, band(32, 32, 3)), (300, 700, scattered)]


@pytest.mark.parametrize(("nodes", "elements", "edges"), shapes())
def test_every_pixel_of_every_level(nodes: int, elements: int, edges: Dense | BlockSparse | Sparse) -> None:
    model = one_sum(nodes, elements, edges)
    layer = next(d["index"] for d in model.program.describe()["layers"] if d["nodes"] == nodes and d["kind"] == "sum")
    found = WeightMap(model.program, layer, parameters=model.parameters)
    mask, weight = dense(model, edges, nodes, elements)
    for level in range(found.levels):
        step = 1 << level
        for row, col in np.ndindex(found.grid(level)):
            tile = found.tile(level, row, col)
            assert tile.weight is not None
            for y, x in np.ndindex(tile.edges.shape) if level > 1 else [(0, 0), tuple(n - 1 for n in tile.edges.shape)]:
                top, left = (row * SIDE + y) * step, (col * SIDE + x) * step
                at = (slice(top, top + step), slice(left, left + step))
                assert tile.area[y, x] == mask[at].size
                assert tile.edges[y, x] == mask[at].sum()
                assert tile.weight[y, x] == pytest.approx(weight[at].sum(), rel=1e-6, abs=1e-12)
    for row, col in torch.randint(0, min(nodes, elements), (50, 2)).tolist():
        value = found.cell(row, col)
        assert value == pytest.approx(weight[row, col]) if mask[row, col] else value is None
    tiles = [found.tile(0, *at) for at in np.ndindex(found.grid(0))]
    assert sum(t.area.sum() for t in tiles) == nodes * elements, "no pixel outside the matrix"
    assert sum(t.edges.sum() for t in tiles) == mask.sum()
    assert found.largest == pytest.approx(weight.max())
    for level, row, col, height, width in [(0, 3, 5, 20, 30), (3, 1, 2, 4, 7), (11, 0, 0, 1, 1)]:
        part = found.region(level, row, col, height, width)
        step = 1 << level
        inside = mask[row * step : (row + height) * step, col * step : (col + width) * step]
        assert part.edges.sum() == inside.sum()
        assert part.area.sum() == inside.size
    sparse = not isinstance(edges, Dense)
    kernel = model.program.describe()["layers"][layer]["kernel"]
    assert found.stores_all == (kernel == "dense")
    assert sparse or found.stores_all


def test_flows_are_mapped_as_weights_are() -> None:
    model = one_sum(64, 64, band(8, 8, 3))
    data = torch.tensor([[0], [1], [1]])
    statistics, _ = expectation(model, data)
    found = WeightMap(model.program, 0, parameters=statistics)
    whole = found.region(6, 0, 0, 1, 1)
    assert whole.weight is not None
    assert whole.weight[0, 0] == pytest.approx(3.0, rel=1e-5), "each row passes the sum once"
    assert whole.edges[0, 0] == 8 * 3 * 64


def test_sixteen_thousand_by_sixteen_thousand() -> None:
    edges = band(32, 512, 23)
    model = one_sum(16384, 16384, edges)
    layer = next(d["index"] for d in model.program.describe()["layers"] if d["nodes"] == 16384 and d["kind"] == "sum")
    found = WeightMap(model.program, layer, parameters=model.parameters)
    assert (found.levels, found.grid(0), found.grid(6)) == (7, (64, 64), (1, 1))
    top = found.tile(6, 0, 0)
    assert top.edges.sum() == 512 * 23 * 32 * 32
    assert top.weight is not None
    assert top.weight.sum() == pytest.approx(16384, rel=1e-5), "each node's weights sum to one"


def test_mistakes_are_named() -> None:
    model = one_sum(8, 8, Dense())
    kinds = {d["kind"]: d["index"] for d in model.program.describe()["layers"] if d["kind"] == "sum" and d["nodes"] == 8}
    found = WeightMap(model.program, kinds["sum"])
    assert found.cell(0, 0) is None, "without parameters no weight is known"
    assert found.tile(0, 0, 0).mean is None
    with pytest.raises(OptionError, match=r"tile \(1, 0\) lies outside level 0, which has 1 × 1 tiles"):
        found.tile(0, 1, 0)
    with pytest.raises(OptionError, match=r"pixels \(0, 7\) and 1 × 2 from there: level 0 has 8 × 8 pixels"):
        found.region(0, 0, 7, 1, 2)
    with pytest.raises(OptionError, match=r"level must lie in 0…0, got 1"):
        found.grid(1)
    with pytest.raises(OptionError, match=r"cell \(8, 0\) lies outside the 8 × 8 matrix"):
        found.cell(8, 0)
    with pytest.raises(OptionError, match="layer must lie in 0…"):
        WeightMap(model.program, 99)
    with pytest.raises(OptionError, match=r"block must lie in 0…0, got 1"):
        WeightMap(model.program, kinds["sum"], 1)
