"""Upward kernels: products and leaves become elements, elements become sums."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import follow, log_factors, log_leaves, weight_rows


@triton.jit
def product_forward(
    values,
    scales,
    elements,
    lookup,
    codes,
    factor_start,
    factors,
    units,
    use_start,
    uses,
    group_of,
    term_start,
    term_units,
    out_at,
    B,
    WIDTH,
    BN: tl.constexpr,
    BK: tl.constexpr,
    LINEAR: tl.constexpr,
    WHOLE: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Products relative to their largest node, whose logarithm is their scale.

    Linear, as elements of a sum, or (units that several parents share) as log values. ``WHOLE``: a row fits into a tile;
    longer ones are gathered twice.
    """
    blocks = tl.cdiv(B, BN)
    t = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    b_in = b < B
    f0 = tl.load(factor_start + t)
    f1 = tl.load(factor_start + t + 1)
    u0 = tl.load(use_start + t)
    u1 = tl.load(use_start + t + 1)
    g = tl.load(group_of + t)
    first = tl.load(term_start + g)
    stride = ((tl.load(term_start + g + 1) - first) * WIDTH).to(tl.int32)
    out = tl.load(out_at + g) * B + (t - first) * WIDTH
    unit = tl.load(term_units + t)
    factor = tl.load(factors + f0, mask=f0 < f1, other=0)
    below = tl.load(units + f0, mask=f0 < f1, other=0)
    k = tl.arange(0, BK)
    mask = b_in[:, None] & (k < WIDTH)[None, :]
    v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
    follow(EARLY)
    more, shift = log_factors(values, scales, factors, units, factor, below, f0, f1, b, b_in, k, mask, B, WIDTH, BN, BK)
    v += more
    peak = tl.maximum(tl.max(tl.where(mask, v, float("-inf")), 1), -1e30)
    if not WHOLE:
        for k0 in range(BK, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            mask = b_in[:, None] & (k < WIDTH)[None, :]
            v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
            more, _ = log_factors(values, scales, factors, units, factor, below, f0, f1, b, b_in, k, mask, B, WIDTH, BN, BK)
            v += more
            peak = tl.maximum(peak, tl.max(tl.where(mask, v, float("-inf")), 1))
        for k0 in range(0, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            mask = b_in[:, None] & (k < WIDTH)[None, :]
            v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
            more, _ = log_factors(values, scales, factors, units, factor, below, f0, f1, b, b_in, k, mask, B, WIDTH, BN, BK)
            store_product(values, elements, out, b, k, stride, v + more, peak, mask, LINEAR)
    else:
        store_product(values, elements, out, b, k, stride, v, peak, mask, LINEAR)
    tl.store(scales + unit * B + b, shift + peak.to(tl.float64), mask=b_in)


@triton.jit
def store_product(values, elements, out, b, k, stride, v, peak, mask, LINEAR: tl.constexpr):
    """Log values relative to ``peak``, or their exponentials."""
    where = b[:, None] * stride + k[None, :]
    if LINEAR:
        tl.store(elements + out + where, tl.exp(v - peak[:, None]).to(elements.dtype.element_ty), mask=mask)
    else:
        tl.store(values + out + where, (v - peak[:, None]).to(values.dtype.element_ty), mask=mask)


@triton.jit
def narrow_sum_forward(
    values,
    scales,
    elements,
    weights,
    lookup,
    codes,
    chain_start,
    factor_start,
    factors,
    units,
    use_start,
    uses,
    weights_at,
    nodes_at,
    units_at,
    elements_at,
    suspect,
    B,
    NODES,
    WIDTH,
    SPAN,
    least,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
    CHAIN: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """``y = log Σ_e w[n,e]·x[e]`` of blocks of one term, whose elements ``x`` stay in registers; ``KEEP`` stores them as well.

    A program evaluates the blocks of a chain for its samples, one after the other, ``SPAN`` nodes of each. Leaves and
    weights are fetched before it waits for values: of its first block before the launch ahead of it has ended, of a later
    one while the block before is still being stored.
    A node whose linear sum falls below ``least`` raises the ``suspect`` flag: the caller evaluates again in the exact path.
    """
    blocks = tl.cdiv(B, BN)
    chain = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * SPAN + tl.arange(0, BM)
    k = tl.arange(0, BK)
    b_in = b < B
    k_in = k < WIDTH
    mask = b_in[:, None] & k_in[None, :]
    first = chain
    last = chain + 1
    if CHAIN:
        first = tl.load(chain_start + chain)
        last = tl.load(chain_start + chain + 1)
    corner = n[:, None] * WIDTH + k[None, :]
    w = weights + weight_rows(weights_at, first, ALIGNED)
    tile = tl.load(w + corner, mask=(n < NODES)[:, None] & k_in[None, :], other=0.0)
    u0 = tl.load(use_start + first)
    u1 = tl.load(use_start + first + 1)
    v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
    lost = 0
    follow(EARLY)
    for g in range(first, last):
        f0 = tl.load(factor_start + g)
        f1 = tl.load(factor_start + g + 1)
        factor = tl.load(factors + f0, mask=f0 < f1, other=0)
        below = tl.load(units + f0, mask=f0 < f1, other=0)
        node = tl.load(nodes_at + g)
        more, shift = log_factors(values, scales, factors, units, factor, below, f0, f1, b, b_in, k, mask, B, WIDTH, BN, BK)
        v += more
        peak = tl.maximum(tl.max(tl.where(mask, v, float("-inf")), 1), -1e30)
        x = tl.where(mask, tl.exp(v - peak[:, None]), 0.0).to(elements.dtype.element_ty)
        if tl.program_id(1) == 0:
            tl.store(scales + tl.load(units_at + g) * B + b, shift + peak.to(tl.float64), mask=b_in)
            if KEEP:
                at = tl.load(elements_at + g)
                tl.store(elements + at * B + b[:, None] * WIDTH + k[None, :], x, mask=mask)
        for done in range(0, SPAN, BM):
            total = tl.dot(x, tl.trans(tile), input_precision=PRECISION)
            m = n + done
            if done + BM < SPAN:
                more_in = (m + BM < NODES)[:, None] & k_in[None, :]
                tile = tl.load(w + (corner + (done + BM) * WIDTH), mask=more_in, other=0.0)
            inside = b_in[:, None] & (m < NODES)[None, :]
            row = values + node * B + b[:, None] * NODES + m[None, :]
            tl.store(row, tl.log(total).to(values.dtype.element_ty), mask=inside)
            lost += tl.sum(tl.where(inside & (total < least), 1, 0))
        if CHAIN:
            after = tl.minimum(g + 1, last - 1)
            w = weights + weight_rows(weights_at, after, ALIGNED)
            tile = tl.load(w + corner, mask=(n < NODES)[:, None] & k_in[None, :], other=0.0)
            u0 = tl.load(use_start + after)
            u1 = tl.load(use_start + after + 1)
            v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
            tl.debug_barrier()  # other threads of this program have stored what the next block reads
    if lost > 0:
        tl.atomic_max(suspect, 1)


@triton.jit
def many_sum_forward(
    values,
    scales,
    elements,
    weights,
    lookup,
    codes,
    term_start,
    term_units,
    factor_start,
    factors,
    units,
    use_start,
    uses,
    weights_at,
    nodes_at,
    units_at,
    elements_at,
    suspect,
    B,
    NODES,
    WIDTH,
    least,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """The same for blocks of several terms, which meet at the highest of their scales so far, in float64."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.arange(0, BM)
    k = tl.arange(0, BK)
    b_in = b < B
    n_in = n < NODES
    k_in = k < WIDTH
    mask = b_in[:, None] & k_in[None, :]
    t0 = tl.load(term_start + g)
    t1 = tl.load(term_start + g + 1)
    stride = ((t1 - t0) * WIDTH).to(tl.int32)
    w = weights + weight_rows(weights_at, g, ALIGNED)
    out = elements + tl.load(elements_at + g) * B
    follow(EARLY)
    total = tl.zeros((BN, BM), tl.float32)
    height = tl.full((BN,), -1e300, tl.float64)
    for t in range(t0, t1):
        at = ((t - t0) * WIDTH).to(tl.int32)
        tile = tl.load(w + n[:, None] * stride + (at + k)[None, :], mask=n_in[:, None] & k_in[None, :], other=0.0)
        f0 = tl.load(factor_start + t)
        f1 = tl.load(factor_start + t + 1)
        factor = tl.load(factors + f0, mask=f0 < f1, other=0)
        below = tl.load(units + f0, mask=f0 < f1, other=0)
        u0 = tl.load(use_start + t)
        u1 = tl.load(use_start + t + 1)
        v = log_leaves(lookup, codes, uses, u0, u1, b, b_in, k, mask, B, WIDTH, BN, BK)
        more, shift = log_factors(values, scales, factors, units, factor, below, f0, f1, b, b_in, k, mask, B, WIDTH, BN, BK)
        v += more
        peak = tl.maximum(tl.max(tl.where(mask, v, float("-inf")), 1), -1e30)
        x = tl.where(mask, tl.exp(v - peak[:, None]), 0.0).to(elements.dtype.element_ty)
        scale = shift + peak.to(tl.float64)
        tl.store(scales + tl.load(term_units + t) * B + b, scale, mask=b_in)
        tl.store(out + b[:, None] * stride + (at + k)[None, :], x, mask=mask)
        part = tl.dot(x, tl.trans(tile), input_precision=PRECISION)
        higher = tl.maximum(height, scale)
        total = total * tl.exp((height - higher).to(tl.float32))[:, None]
        total += part * tl.exp((scale - higher).to(tl.float32))[:, None]
        height = higher
    tl.store(scales + tl.load(units_at + g) * B + b, height, mask=b_in)
    inside = b_in[:, None] & n_in[None, :]
    row = values + tl.load(nodes_at + g) * B + b[:, None] * NODES + n[None, :]
    tl.store(row, tl.log(total).to(values.dtype.element_ty), mask=inside)
    if tl.sum(tl.where(inside & (total < least), 1, 0)) > 0:
        tl.atomic_max(suspect, 1)


@triton.jit
def wide_sum_forward(
    values,
    scales,
    elements,
    weights,
    weights_at,
    nodes_at,
    units_at,
    elements_at,
    term_start,
    term_units,
    suspect,
    B,
    NODES,
    WIDTH,
    least,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
    MANY: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """The same from elements in memory, of any number of terms."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    t0 = tl.load(term_start + g)
    t1 = tl.load(term_start + g + 1)
    stride = ((t1 - t0) * WIDTH).to(tl.int32)
    w = weights + weight_rows(weights_at, g, ALIGNED)
    x = elements + tl.load(elements_at + g) * B
    unit = tl.load(units_at + g)
    node = tl.load(nodes_at + g)
    follow(EARLY)
    total = tl.zeros((BN, BM), tl.float32)
    peak = tl.zeros((BN,), tl.float64)
    if MANY:
        peak += -1e300
        for t in range(t0, t1):
            peak = tl.maximum(peak, tl.load(scales + tl.load(term_units + t) * B + b, mask=b_in, other=0.0))
    for t in range(t0, t1):
        part = tl.zeros((BN, BM), tl.float32)
        at = ((t - t0) * WIDTH).to(tl.int32)
        for k0 in range(0, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            k_in = k < WIDTH
            left = tl.load(x + b[:, None] * stride + (at + k)[None, :], mask=b_in[:, None] & k_in[None, :], other=0.0)
            right = tl.load(w + n[:, None] * stride + (at + k)[None, :], mask=n_in[:, None] & k_in[None, :], other=0.0)
            part = tl.dot(left, tl.trans(right), part, input_precision=PRECISION)
        if MANY:
            scale = tl.load(scales + tl.load(term_units + t) * B + b, mask=b_in, other=0.0)
            part *= tl.exp((scale - peak).to(tl.float32))[:, None]
        total += part
    mask = b_in[:, None] & n_in[None, :]
    row = values + node * B + b[:, None] * NODES + n[None, :]
    tl.store(row, tl.log(total).to(values.dtype.element_ty), mask=mask)
    if MANY and tl.program_id(1) == 0:
        tl.store(scales + unit * B + b, peak, mask=b_in)
    low = tl.sum(tl.where(mask & (total < least), 1, 0))
    if low > 0:
        tl.atomic_max(suspect, 1)
