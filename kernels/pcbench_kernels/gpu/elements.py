"""What several kernels read: log elements of a product, scales, and the flow that parents send.

A factor is one number, the count of nodes laid out before it, since every node takes ``B`` values: its row of sample ``b``
starts at ``node·B + b·width``. The first is an address of 64 bits, the second fits into 32: a batch whose rows of a block
do not is not for these kernels.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def follow(EARLY: tl.constexpr):
    """Waits for the launch before. Where ``EARLY``, a launch starts while the one before still runs, and what stands before
    this line (addresses, weights, leaves: nothing that a launch of the same pass writes) overlaps with it."""
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN: tl.constexpr, BK: tl.constexpr):
    """``[BN, BK]``: Σ leaves' log probabilities."""
    total = tl.zeros((BN, BK), tl.float32)
    for u in range(u0, u1):
        code = tl.load(codes + tl.load(uses + u) * B + b, mask=b_in, other=0)
        total += tl.load(lookup + code[:, None] * WIDTH + k[None, :], mask=mask, other=0.0).to(tl.float32)
    return total


@triton.jit
def log_factors(
    values, scales, factors, units, factor, unit, f0, f1, b, b_in, k, mask, B, WIDTH, BN: tl.constexpr, BK: tl.constexpr
):
    """``[BN, BK]`` and float64 ``[BN]``: Σ factors' log values, and Σ of their scales.

    ``factor`` and ``unit`` are those of the first, loaded early; each next one is loaded while the one before is added.
    """
    total = tl.zeros((BN, BK), tl.float32)
    shift = tl.zeros((BN,), tl.float64)
    for f in range(f0, f1):
        row = values + factor * B
        scale = tl.load(scales + unit * B + b, mask=b_in, other=0.0)
        value = tl.load(row + b[:, None] * WIDTH + k[None, :], mask=mask, other=0.0).to(tl.float32)
        factor = tl.load(factors + f + 1, mask=f + 1 < f1, other=0)
        unit = tl.load(units + f + 1, mask=f + 1 < f1, other=0)
        total += value
        shift += scale
    return total, shift


@triton.jit
def relative_scale(scales, part, whole, b, b_in, B):
    """``[BN]``: e to the difference of two rows of scales."""
    low = tl.load(scales + part * B + b, mask=b_in, other=0.0)
    high = tl.load(scales + whole * B + b, mask=b_in, other=0.0)
    return tl.exp((low - high).to(tl.float32))


@triton.jit
def node_flow(
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    p0,
    p1,
    column,
    b,
    n,
    mask,
    B,
    OUTPUTS,
    R: tl.constexpr,
    C: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """``[R, C]``: what all parents send to nodes ``n`` of a block, and the seed of a root."""
    total = tl.zeros((R, C), tl.float32)
    for p in range(p0, p1):
        offset = tl.load(pull_offsets + p)
        width = tl.load(pull_widths + p).to(tl.int32)
        if ALIGNED:
            offset = tl.multiple_of(offset, 16)
            width = tl.multiple_of(width, 16)
        row = flows + tl.load(pull_rows + p) * B + offset
        total += tl.load(row + b[:, None] * width + n[None, :], mask=mask, other=0.0).to(tl.float32)
    if column >= 0:
        total += tl.load(seeds + b[:, None] * OUTPUTS + column + n[None, :], mask=mask, other=0.0)
    return total


@triton.jit
def per_value(flow, y):
    """``F / y``, zero where no flow arrives."""
    return tl.where((y > float("-inf")) & (flow > 0), flow * tl.exp(-y), 0.0)


@triton.jit
def weight_rows(weights_at, g, ALIGNED: tl.constexpr):
    """First weight of a block; loads are wide where it is known to start at a multiple of 16."""
    at = tl.load(weights_at + g)
    if ALIGNED:
        at = tl.multiple_of(at, 16)
    return at
