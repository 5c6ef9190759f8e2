"""What every pass recomputes instead of storing: log elements of a sum from its children, flows of a node from its parents.

An element is a product: the sum of its factors' log values and of the log probabilities of the leaves fused into it. A
factor is one number, the count of nodes laid out before it, since every node takes ``B`` values: its row of sample ``b``
starts at ``node·B + b·width``.

``FACTORS``, ``USES`` and ``PULLS`` are how many a block of the layer has at most. Up to a few they are unrolled, so that all
of their loads are under way at once: a narrow layer's time is the sum of its waits for memory. −1 means a loop.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def log_elements(
    values,
    lookup,
    codes,
    factors,
    uses,
    f0,
    f1,
    u0,
    u1,
    b,
    b_in,
    k,
    k_in,
    B,
    WIDTH,
    FACTORS: tl.constexpr,
    USES: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """``[BN, BK]``: Σ factors' log values + Σ leaves' log probabilities; −∞ outside the term."""
    mask = b_in[:, None] & k_in[None, :]
    total = tl.zeros((BN, BK), tl.float32)
    if FACTORS >= 0:
        for i in tl.static_range(FACTORS):
            live = f0 + i < f1
            node = tl.load(factors + tl.where(live, f0 + i, 0))
            total += tl.load(values + node * B + b[:, None] * WIDTH + k[None, :], mask=mask & live, other=0.0)
    else:
        for f in range(f0, f1):
            node = tl.load(factors + f)
            total += tl.load(values + node * B + b[:, None] * WIDTH + k[None, :], mask=mask, other=0.0)
    if USES >= 0:
        for i in tl.static_range(USES):
            live = u0 + i < u1
            use = tl.load(uses + tl.where(live, u0 + i, 0))
            code = tl.load(codes + use * B + b, mask=b_in & live, other=0)
            total += tl.load(lookup + code[:, None] * WIDTH + k[None, :], mask=mask & live, other=0.0)
    else:
        for u in range(u0, u1):
            code = tl.load(codes + tl.load(uses + u) * B + b, mask=b_in, other=0)
            total += tl.load(lookup + code[:, None] * WIDTH + k[None, :], mask=mask, other=0.0)
    return tl.where(mask, total, float("-inf"))


@triton.jit
def factor_scale(scales, units, f0, f1, b, b_in, B, FACTORS: tl.constexpr, BN: tl.constexpr):
    """``[BN]`` float64: Σ of the factors' scales."""
    total = tl.zeros((BN,), tl.float64)
    if FACTORS >= 0:
        for i in tl.static_range(FACTORS):
            live = f0 + i < f1
            unit = tl.load(units + tl.where(live, f0 + i, 0))
            total += tl.load(scales + unit * B + b, mask=b_in & live, other=0.0)
    else:
        for f in range(f0, f1):
            total += tl.load(scales + tl.load(units + f) * B + b, mask=b_in, other=0.0)
    return total


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
    PULLS: tl.constexpr,
    R: tl.constexpr,
    C: tl.constexpr,
):
    """``[R, C]``: what all parents send to nodes ``n`` of a block, and the seed of a root."""
    total = tl.zeros((R, C), tl.float32)
    if PULLS >= 0:
        for i in tl.static_range(PULLS):
            live = p0 + i < p1
            p = tl.where(live, p0 + i, 0)
            row = tl.load(pull_rows + p) * B + tl.load(pull_offsets + p)
            width = tl.load(pull_widths + p)
            total += tl.load(flows + row + b[:, None] * width + n[None, :], mask=mask & live, other=0.0)
    else:
        for p in range(p0, p1):
            row = flows + tl.load(pull_rows + p) * B + tl.load(pull_offsets + p)
            total += tl.load(row + b[:, None] * tl.load(pull_widths + p) + n[None, :], mask=mask, other=0.0)
    total += tl.load(seeds + b[:, None] * OUTPUTS + column + n[None, :], mask=mask & (column >= 0), other=0.0)
    return total


@triton.jit
def flow_per_value(
    values,
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    p0,
    p1,
    column,
    node,
    b,
    n,
    mask,
    B,
    NODES,
    OUTPUTS,
    PULLS: tl.constexpr,
    R: tl.constexpr,
    C: tl.constexpr,
):
    """``[R, C]``: ``F / y``, zero where no flow arrives."""
    flow = node_flow(flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, b, n, mask, B, OUTPUTS, PULLS, R, C)
    y = tl.load(values + node * B + b[:, None] * NODES + n[None, :], mask=mask, other=0.0)
    return tl.where((y > float("-inf")) & (flow > 0), flow * tl.exp(-y), 0.0)
