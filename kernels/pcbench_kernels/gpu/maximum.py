"""The sums of a max-product pass."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def best_sum(x, w, y, B, NODES, ELEMENTS, w_group, y_group, y_row, BN: tl.constexpr, BM: tl.constexpr, UNROLLED: tl.constexpr):
    """``y[g,b,n] = max_e x[g,e,b] + w[g,e,n]``; elements come first, so that a row of either is read at once."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    left = x + g * ELEMENTS * B + b
    right = w + g * w_group + n
    best = tl.full((BN, BM), float("-inf"), tl.float32)
    for e in range(0, ELEMENTS, UNROLLED):
        for i in tl.static_range(UNROLLED):
            # Past the last element that one again: a maximum does not mind.
            at = tl.minimum(e + i, ELEMENTS - 1)
            own = tl.load(left + at.to(tl.int64) * B, mask=b_in, other=float("-inf"))
            weight = tl.load(right + at.to(tl.int64) * NODES, mask=n_in, other=float("-inf"))
            best = tl.maximum(best, own[:, None] + weight[None, :])
    tl.store(y + g * y_group + b[:, None] * y_row + n[None, :], best, mask=b_in[:, None] & n_in[None, :])
