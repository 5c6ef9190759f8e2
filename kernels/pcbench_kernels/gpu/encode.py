"""Data → rows of lookup tables, checked on the way."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def encode(
    data,
    observed,
    variables,
    sets,
    codes,
    outside,
    row_stride,
    column_stride,
    seen_row,
    seen_column,
    B,
    SIZE,
    BN: tl.constexpr,
    PARTIAL: tl.constexpr,
):
    """``codes[u, b] = set[u]·(C+1) + data[b, variable[u]]``; raises ``outside`` for a value that is no category.

    ``PARTIAL``: where ``observed`` is 0, the value is not looked at, and « missing » takes its place.
    """
    use = tl.program_id(0).to(tl.int64)
    b = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)
    b_in = b < B
    v = tl.load(variables + use)
    given = tl.load(data + b * row_stride + v * column_stride, mask=b_in, other=0)
    value = given.to(tl.int64)
    wrong = (value < 0) | (value >= SIZE) | (value.to(given.dtype) != given)
    if PARTIAL:
        seen = tl.load(observed + b * seen_row + v * seen_column, mask=b_in, other=0) != 0
        value = tl.where(seen, value, SIZE)
        wrong = seen & wrong
    if tl.sum(tl.where(wrong, 1, 0)) > 0:
        tl.atomic_max(outside, 1)
    # A wrong value reads the row of missing values until the caller has seen the flag.
    tl.store(codes + use * B + b, tl.load(sets + use) * (SIZE + 1) + tl.where(wrong, SIZE, value), mask=b_in)
