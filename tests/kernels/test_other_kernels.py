"""Gathering, leaf lookups and counts, and the M step of sums, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcbench_kernels import SumPattern
from pcbench_kernels.cpu.em import row_totals, sum_update
from pcbench_kernels.cpu.gather import add_columns, load, pick_columns, take
from pcbench_kernels.cpu.leaf import counts, lookup, rows_of, sort_codes
from pcbench_kernels.cpu.rows import row_means
from pcbench_kernels.cpu.sum_dense import DenseSum
from pcbench_kernels.cpu.sum_edges import EdgeSum
from pcbench_kernels.cpu.sum_tiles import TileSum

from ..strategies import examples

pytestmark = pytest.mark.usefixtures("nan_filled")


def arena(rows: int = 9, batch: int = 3, width: int = 5) -> torch.Tensor:
    return torch.rand(rows, batch, width, generator=torch.Generator().manual_seed(0))


ROWS = [slice(2, 5), slice(0, 9, 4), torch.tensor([4, 4, 0]), torch.tensor([8])]


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_take_and_load(rows: slice | torch.Tensor) -> None:
    source = arena()
    expected = source.numpy()[rows if isinstance(rows, slice) else rows.numpy()]
    np.testing.assert_array_equal(take(source, rows), expected)
    out = torch.empty(expected.shape)
    load(source, rows, out)
    np.testing.assert_array_equal(out, expected)
    same = torch.cat((source, torch.empty(len(expected), 3, 5)))
    load(same, rows, same[9:])  # rows of one arena into other rows of it
    np.testing.assert_array_equal(same[9:], expected)
    wide = torch.full((len(expected), 3, 8), 7.0)
    load(source[:, :, 1:4], rows, wide[:, :, 2:5])  # pieces of rows
    np.testing.assert_array_equal(wide[:, :, 2:5], expected[:, :, 1:4])
    assert (wide[:, :, 5:] == 7).all()


@pytest.mark.parametrize("shared", [True, False])
def test_columns_and_their_transpose(shared: bool) -> None:
    values = arena(4, 3, 5)
    columns = torch.randint(5, (1 if shared else 4, 7), generator=torch.Generator().manual_seed(1))
    picked = pick_columns(values, columns)
    out = torch.zeros(4, 3, 5)
    weight = arena(4, 3, 7)
    add_columns(out, columns, weight)
    expected = np.zeros((4, 3, 5))
    for n in range(4):
        index = columns[0 if shared else n].numpy()
        np.testing.assert_array_equal(picked[n], values[n].numpy()[:, index])
        for e, column in enumerate(index):
            expected[n, :, column] += weight[n, :, e].numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_lookup() -> None:
    table = torch.rand(6, 4)
    codes = torch.tensor([5, 0, 0, 3])
    out = torch.empty(4, 4)
    lookup(table, codes, out)
    np.testing.assert_array_equal(out, table[codes])


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_rows_of_a_table(kind: torch.dtype) -> None:
    table = torch.rand(300, 5)
    codes = torch.randint(0, 300, (700,), dtype=kind)
    np.testing.assert_array_equal(rows_of(table, codes), table[codes.long()])


def test_means_of_rows() -> None:
    x = torch.rand(3, 10, 12, dtype=torch.float64)
    for part in (x, x[:, :, 4:9], x[:, :, :1], x[:, 2:7], x[1:, ::2]):
        np.testing.assert_allclose(row_means(part), part.numpy().mean(-1), rtol=1e-12)


def test_order_of_codes_shared_out_among_threads() -> None:
    """Enough codes for several threads, in uses that lie in any order; every run holds its samples in ascending order."""
    uses, batch, width = 300, 512, 7
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, width, (uses, batch)) + np.arange(uses)[:, None] * width)
    first = torch.randperm(uses, generator=torch.Generator().manual_seed(0)) * batch
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(sort_codes(codes, uses * width, True, first))
    finally:
        torch.set_num_threads(before)
    expected = np.argsort(codes.reshape(-1).numpy(), kind="stable")
    expected = first.numpy()[expected // batch] + expected % batch
    for order, start in found:
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(start[1:], np.bincount(codes.reshape(-1)).cumsum()[:-1])
    order, _ = sort_codes(codes, uses * width, False, first)
    np.testing.assert_array_equal(order, expected)


@examples(60)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 6), st.booleans(), st.integers(0, 1000))
def test_counts_of_codes(uses: int, batch: int, width: int, grouped: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    buckets = uses * width
    low = np.arange(uses)[:, None] * width if grouped else 0
    codes = torch.from_numpy(rng.integers(0, width if grouped else buckets, (uses, batch)) + low)
    flows = torch.from_numpy(rng.random((uses * batch, 3)))
    order, start = sort_codes(codes, buckets, grouped)
    got = counts(flows, order, start)
    expected = np.zeros((buckets, 3))
    np.add.at(expected, codes.numpy().reshape(-1), flows.numpy())
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert sorted(order.tolist()) == list(range(uses * batch))


@pytest.mark.parametrize("buckets", [1 << 16, (1 << 16) + 1, 3 * (1 << 16)])
def test_counts_with_more_buckets_than_sixteen_bits(buckets: int) -> None:
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, buckets, (2, 500)))
    codes[0, 0], codes[1, 3] = buckets - 1, 0
    flows = torch.from_numpy(rng.random((1000, 1)))
    got = counts(flows, *sort_codes(codes, buckets, False))
    np.testing.assert_allclose(got[:, 0], np.bincount(codes.reshape(-1), flows[:, 0], minlength=buckets), rtol=1e-12)


def _pattern(tile: int) -> SumPattern:
    return SumPattern(16, 24, tile, torch.arange(16 // tile).repeat(2), torch.arange(32 // tile) % (24 // tile))


KERNELS = {
    "dense": DenseSum(SumPattern(5, 7)),
    "dense with holes": DenseSum(_pattern(2)),
    "tiles": TileSum(_pattern(8)),
    "edges": EdgeSum(_pattern(1)),
    "edges of tiles": EdgeSum(_pattern(4)),
}


@pytest.mark.parametrize("step", [1.0, 0.25])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("name", KERNELS)
def test_update_of_sum_weights(name: str, alpha: float, step: float) -> None:
    kernel = KERNELS[name]
    made = kernel.pattern
    mask = made.mask().numpy()
    rng = np.random.default_rng(0)
    flow = rng.random((2, *mask.shape)) * mask * 10
    flow[1, 0] = 0  # a node without flow
    old = rng.random((2, *mask.shape)) * mask
    old /= old.sum(-1, keepdims=True)
    total = flow.sum(-1, keepdims=True)
    fresh = (flow + alpha / mask.sum(-1)[None, :, None]) * mask / np.where(total + alpha > 0, total + alpha, 1)
    expected = np.where(total + alpha > 0, (1 - step) * old + step * fresh, old)

    def stored(full: np.ndarray) -> torch.Tensor:
        every = torch.from_numpy(full)
        groups, nodes = (i.reshape(-1) for i in np.indices((2, made.nodes)))
        out = torch.zeros(2, *kernel.form(), dtype=torch.float64)
        kernel.add_rows(out, torch.from_numpy(groups), torch.from_numpy(nodes), every.reshape(-1, made.elements))
        return out

    index, support = kernel.row_index(), kernel.support()
    degree: float | torch.Tensor = float(made.elements)
    if support is not None:
        degree = support.sum(-1, keepdim=True).double()
    elif index is not None:
        per_row = torch.bincount(index)[index].double()
        degree = per_row if len(kernel.form()) == 1 else per_row[:, None, None] * made.tile
    weights, flows = stored(old), stored(flow)
    out = torch.empty_like(weights)
    sum_update(weights, flows, degree, index, made.nodes, step, alpha, support, out)
    np.testing.assert_allclose(out, stored(expected), rtol=1e-12, atol=1e-15)
    totals = row_totals(flows, index, made.nodes)
    np.testing.assert_allclose((totals * torch.ones_like(flows))[flows > 0], stored(total * mask)[flows > 0], rtol=1e-12)
