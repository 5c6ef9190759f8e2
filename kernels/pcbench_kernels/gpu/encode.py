"""Data → rows of lookup tables, checked on the way."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def encode(data, variables, sets, codes, outside, row_stride, column_stride, B, SIZE, BN: tl.constexpr):
    """``codes[u, b] = set[u]·(C+1) + data[b, variable[u]]``; raises ``outside`` for a value that is no category."""
    use = tl.program_id(0).to(tl.int64)
    b = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)
    b_in = b < B
    at = data + b * row_stride + tl.load(variables + use) * column_stride
    value = tl.load(at, mask=b_in, other=0).to(tl.int64)
    wrong = (value < 0) | (value >= SIZE)
    if tl.sum(tl.where(wrong, 1, 0)) > 0:
        tl.atomic_max(outside, 1)
    # A wrong value reads the row of missing values until the caller has seen the flag.
    tl.store(codes + use * B + b, tl.load(sets + use) * (SIZE + 1) + tl.where(wrong, SIZE, value), mask=b_in)
