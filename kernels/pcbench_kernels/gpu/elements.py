"""What every pass recomputes instead of storing: the log elements of a sum, gathered from its children.

An element is a product: the sum of its factors' log values and of the log probabilities of the leaves fused into it. A
factor is one number, the count of nodes laid out before it, since every node takes ``B`` values: its row of sample ``b``
starts at ``node·B + b·width``.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def log_elements(
    values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BN: tl.constexpr, BK: tl.constexpr
):
    """``[BN, BK]``: Σ factors' log values + Σ leaves' log probabilities; −∞ outside the term."""
    mask = b_in[:, None] & k_in[None, :]
    total = tl.zeros((BN, BK), tl.float32)
    for f in range(f0, f1):
        node = tl.load(factors + f)
        total += tl.load(values + node * B + b[:, None] * WIDTH + k[None, :], mask=mask, other=0.0)
    for u in range(u0, u1):
        use = tl.load(uses + u)
        code = tl.load(codes + use * B + b, mask=b_in, other=0)
        total += tl.load(lookup + code[:, None] * WIDTH + k[None, :], mask=mask, other=0.0)
    return tl.where(mask, total, float("-inf"))


@triton.jit
def factor_scale(scales, units, f0, f1, b, b_in, B, BN: tl.constexpr):
    """``[BN]`` float64: Σ of the factors' scales."""
    total = tl.zeros((BN,), tl.float64)
    for f in range(f0, f1):
        total += tl.load(scales + tl.load(units + f) * B + b, mask=b_in, other=0.0)
    return total


@triton.jit
def node_flow(
    flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, b, n, mask, B, OUTPUTS, R: tl.constexpr, C: tl.constexpr
):
    """``[R, C]``: what all parents send to nodes ``n`` of a block, and the seed of a root."""
    total = tl.zeros((R, C), tl.float32)
    for p in range(p0, p1):
        row = flows + tl.load(pull_rows + p) * B + tl.load(pull_offsets + p)
        total += tl.load(row + b[:, None] * tl.load(pull_widths + p) + n[None, :], mask=mask, other=0.0)
    if column >= 0:
        total += tl.load(seeds + b[:, None] * OUTPUTS + column + n[None, :], mask=mask, other=0.0)
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
    R: tl.constexpr,
    C: tl.constexpr,
):
    """``[R, C]``: ``F / y``, zero where no flow arrives."""
    flow = node_flow(flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, b, n, mask, B, OUTPUTS, R, C)
    y = tl.load(values + node * B + b[:, None] * NODES + n[None, :], mask=mask, other=0.0)
    return tl.where((y > float("-inf")) & (flow > 0), flow * tl.exp(-y), 0.0)
