"""Upward kernels: products, leaves and sums of one layer in one launch."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import factor_scale, log_elements


@triton.jit
def sum_forward(
    values,
    scales,
    weights,
    lookup,
    codes,
    factor_start,
    factors,
    units,
    use_start,
    uses,
    sets,
    suspect,
    nodes_at,
    units_at,
    B,
    NODES,
    ELEMENTS,
    WIDTH,
    TERMS,
    least,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """``y = log Σ_e w[n,e]·exp(element[e] − m) `` and ``scale = m``, the running maximum over all elements (one exp each).

    The maximum is float64 and absolute, so that terms of very different scale meet without loss. A node whose linear sum
    falls below ``least`` raises the ``suspect`` flag: the caller evaluates again in the exact path.
    """
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    b = b.to(tl.int64)
    w = weights + tl.load(sets + g) * NODES * ELEMENTS
    peak = tl.full((BN,), -1e30, tl.float64)
    total = tl.zeros((BN, BM), tl.float32)
    for t in range(TERMS):
        at = g * TERMS + t
        f0 = tl.load(factor_start + at)
        f1 = tl.load(factor_start + at + 1)
        u0 = tl.load(use_start + at)
        u1 = tl.load(use_start + at + 1)
        shift = factor_scale(scales, units, f0, f1, b, b_in, B, BN)
        for k0 in range(0, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            k_in = k < WIDTH
            v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BN, BK)
            higher = tl.maximum(peak, shift + tl.max(v, 1).to(tl.float64))
            x = tl.exp(v + (shift - higher).to(tl.float32)[:, None])
            tile = tl.load(w + n[:, None] * ELEMENTS + (t * WIDTH + k)[None, :], mask=n_in[:, None] & k_in[None, :], other=0.0)
            total = total * tl.exp((peak - higher).to(tl.float32))[:, None]
            total = tl.dot(x.to(OPERAND), tl.trans(tile).to(OPERAND), total, input_precision=PRECISION)
            peak = higher
    mask = b_in[:, None] & n_in[None, :]
    tl.store(values + tl.load(nodes_at + g) * B + b[:, None] * NODES + n[None, :], tl.log(total), mask=mask)
    if tl.program_id(1) == 0:
        tl.store(scales + tl.load(units_at + g) * B + b, peak, mask=b_in)
    low = tl.sum(tl.where(mask & (total < least), 1, 0))
    if low > 0:
        tl.atomic_max(suspect, 1)


@triton.jit
def product_forward(
    values,
    scales,
    lookup,
    codes,
    factor_start,
    factors,
    units,
    use_start,
    uses,
    nodes_at,
    units_at,
    B,
    WIDTH,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """``y = Σ factors + Σ leaves − m`` and ``scale = m``, the maximum over the nodes."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    b_in = b < B
    b = b.to(tl.int64)
    f0 = tl.load(factor_start + g)
    f1 = tl.load(factor_start + g + 1)
    u0 = tl.load(use_start + g)
    u1 = tl.load(use_start + g + 1)
    peak = tl.full((BN,), -1e30, tl.float32)
    for k0 in range(0, WIDTH, BK):
        k = k0 + tl.arange(0, BK)
        v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k < WIDTH, B, WIDTH, BN, BK)
        peak = tl.maximum(peak, tl.max(v, 1))
    for k0 in range(0, WIDTH, BK):
        k = k0 + tl.arange(0, BK)
        k_in = k < WIDTH
        v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BN, BK)
        where = values + tl.load(nodes_at + g) * B + b[:, None] * WIDTH + k[None, :]
        tl.store(where, v - peak[:, None], mask=b_in[:, None] & k_in[None, :])
    shift = factor_scale(scales, units, f0, f1, b, b_in, B, BN)
    tl.store(scales + tl.load(units_at + g) * B + b, shift + peak.to(tl.float64), mask=b_in)
