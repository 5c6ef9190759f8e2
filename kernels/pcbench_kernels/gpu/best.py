"""Max-product kernels: log values of the best tree below each node, and the walk down the best one.

Log values are float32 relative to a float64 scale of their block and sample. Here samples are beside each other in memory,
and not the nodes of a sample: a program reads what all of its samples have at one element at once.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .choose import hand_down
from .elements import column_of, log_leaves, only_if, weight_rows
from .order import follow


@triton.jit
def factor_scale(scales, units, t, j, b, B, FACTORS: tl.constexpr):
    """Float64 ``[BN]``: the scale of factor ``j`` of product ``t``; 0 where there is none."""
    unit = tl.load(units + t * FACTORS + j)
    return tl.load(scales + unit * B + b, mask=only_if(unit >= 0, b, B), other=0.0)


@triton.jit
def shift_of(scales, units, t, b, B, BN: tl.constexpr, FACTORS: tl.constexpr):
    """Float64 ``[BN]``: Σ of the scales of the factors of product ``t``."""
    total = tl.zeros((BN,), tl.float64)
    if FACTORS <= 4:
        for j in tl.static_range(FACTORS):
            total += factor_scale(scales, units, t, j, b, B, FACTORS)
    else:
        for j in range(FACTORS):
            total += factor_scale(scales, units, t, j, b, B, FACTORS)
    return total


@triton.jit
def factor_logs(values, factors, t, j, b, k, mask, B, FACTORS: tl.constexpr):
    """``[BN, BK]``: log values of factor ``j`` of product ``t``; 0 where there is none."""
    node = tl.load(factors + t * FACTORS + j)
    there = mask & only_if(node >= 0, b, B)[:, None]
    return tl.load(values + node * B + (k[None, :] * B + b[:, None]), mask=there, other=0.0)


@triton.jit
def log_elements(
    values, lookup, codes, slots, factors, t, b, k, mask, B, WIDTH,
    BN: tl.constexpr, BK: tl.constexpr, USES: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """``[BN, BK]``: Σ logs of leaves and of factors of nodes ``k`` of product ``t``."""
    total = log_leaves(lookup, codes, slots, t, b, k, mask, B, WIDTH, BN, BK, USES)
    if FACTORS <= 4:
        for j in tl.static_range(FACTORS):
            total += factor_logs(values, factors, t, j, b, k, mask, B, FACTORS)
    else:
        for j in range(FACTORS):
            total += factor_logs(values, factors, t, j, b, k, mask, B, FACTORS)
    return total


@triton.jit
def best_product(
    values,
    scales,
    lookup,
    codes,
    slots,
    factors,
    units,
    nodes_at,
    units_at,
    B,
    WIDTH,
    BN: tl.constexpr,
    BK: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Products, and leaves, that several parents share, relative to the scales of their factors."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    out = values + tl.load(nodes_at + g) * B
    unit = tl.load(units_at + g)
    follow(EARLY)
    for k0 in range(0, WIDTH, BK):
        k = k0 + tl.arange(0, BK)
        mask = (b < B)[:, None] & (k < WIDTH)[None, :]
        v = log_elements(values, lookup, codes, slots, factors, g, b, k, mask, B, WIDTH, BN, BK, USES, FACTORS)
        tl.store(out + (k[None, :] * B + b[:, None]), v, mask=mask)
    tl.store(scales + unit * B + b, shift_of(scales, units, g, b, B, BN, FACTORS), mask=b < B)


@triton.jit
def best_forward(
    values,
    scales,
    elements,
    peaks,
    logs,
    lookup,
    codes,
    slots,
    factors,
    units,
    term_start,
    weights_at,
    nodes_at,
    units_at,
    elements_at,
    B,
    NODES,
    WIDTH,
    SPAN: tl.constexpr,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    BE: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    PARTS: tl.constexpr,
    MANY: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """``y[n] = max_e (x[e] − peak) + log w[n,e]``; elements ``x`` and their peak are kept for the walk down.

    A program writes the elements of its samples, and reads them again, ``BE`` at a time, for ``SPAN`` nodes. Programs for
    other nodes of the block write the same numbers there.
    """
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    b_in = b < B
    t0 = tl.load(term_start + g)
    t1 = tl.load(term_start + g + 1)
    x = elements + tl.load(elements_at + g) * B
    w = logs + weight_rows(weights_at, g, ALIGNED)
    y = values + tl.load(nodes_at + g) * B
    unit = tl.load(units_at + g)
    follow(EARLY)
    height = shift_of(scales, units, t0 // PARTS, b, B, BN, FACTORS)
    if MANY:  # terms meet at the highest of their scales
        for t in range(t0 + 1, t1):
            height = tl.maximum(height, shift_of(scales, units, t // PARTS, b, B, BN, FACTORS))
        height = tl.maximum(height, -1e30)
    peak = tl.full((BN,), -1e30, tl.float32)  # not −∞: what is impossible stays so, and does not become NaN
    for t in range(t0, t1):
        product = t // PARTS
        for k0 in range(0, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            mask = b_in[:, None] & (k < WIDTH)[None, :]
            column = column_of(t, k, WIDTH, PARTS)
            v = log_elements(
                values, lookup, codes, slots, factors, product, b, column, mask, B, WIDTH * PARTS, BN, BK, USES, FACTORS
            )
            if MANY:
                v += (shift_of(scales, units, product, b, B, BN, FACTORS) - height).to(tl.float32)[:, None]
            at = ((t - t0) * WIDTH + k0).to(tl.int32) + tl.arange(0, BK)
            tl.store(x + (at[None, :] * B + b[:, None]), v, mask=mask)
            peak = tl.maximum(peak, tl.max(tl.where(mask, v, float("-inf")), 1))
    if tl.program_id(1) == 0:
        tl.store(scales + unit * B + b, height + peak.to(tl.float64), mask=b_in)
        tl.store(peaks + unit * B + b, peak, mask=b_in)
    tl.debug_barrier()
    E = ((t1 - t0) * WIDTH).to(tl.int32)
    i = tl.arange(0, BE)
    for done in range(0, SPAN, BM):
        n = tl.program_id(1) * SPAN + done + tl.arange(0, BM)
        best = tl.full((BN, BM), float("-inf"), tl.float32)
        for e0 in tl.range(0, E, BE, num_stages=3):
            e = e0 + i
            e_in = e < E
            own = tl.load(x + (e[:, None] * B + b[None, :]), mask=e_in[:, None] & b_in[None, :], other=float("-inf"))
            own -= peak[None, :]
            weight = tl.load(w + (e[:, None] * NODES + n[None, :]), mask=e_in[:, None] & (n < NODES)[None, :], other=0.0)
            best = tl.maximum(best, tl.max(own[:, :, None] + weight[:, None, :], 0))
        tl.store(y + (n[None, :] * B + b[:, None]), best, mask=b_in[:, None] & (n < NODES)[None, :])


@triton.jit
def follow_best(
    active,
    chosen,
    weights,
    elements,
    peaks,
    weights_at,
    units_at,
    elements_at,
    term_start,
    slots,
    units,
    B,
    WIDTH,
    BN: tl.constexpr,
    BK: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    STEP: tl.constexpr,
    PARTS: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """The first of the best elements of the node that each sample reaches; its children are reached then."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    s = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    unit = tl.load(units_at + g)
    first = tl.load(term_start + g)
    E = ((tl.load(term_start + g + 1) - first) * WIDTH).to(tl.int32)
    w = weights + weight_rows(weights_at, g, ALIGNED)
    x = elements + tl.load(elements_at + g) * B
    follow(EARLY)
    node = tl.load(active + unit * B + s, mask=s < B, other=-1)
    if tl.max(node, 0) >= 0:
        live = node >= 0
        peak = tl.load(peaks + unit * B + s, mask=live, other=0.0)
        top = tl.full((BN,), float("-inf"), tl.float32)
        e = tl.zeros((BN,), tl.int32)
        for done in range(0, E, BK):
            k = done + tl.arange(0, BK)
            there = live[:, None] & (k < E)[None, :]
            weight = tl.load(w + (node[:, None] * E + k[None, :]), mask=there, other=0.0)
            own = tl.load(x + (k[None, :] * B + s[:, None]), mask=there, other=float("-inf"))
            score = tl.log(weight) + (own - peak[:, None])
            best = tl.max(score, 1)
            at = tl.min(tl.where(score == best[:, None], k[None, :], 2147483647), 1)
            e = tl.where(best > top, at, e)
            top = tl.maximum(top, best)
        row_width = WIDTH * PARTS  # parts of a product are terms in a row, whose children are those of the product
        product = first // PARTS + e // row_width
        hand_down(active, chosen, slots, units, product, e % row_width, s, live, B, USES, FACTORS, STEP)


@triton.jit
def best_category(
    chosen,
    codes,
    modes,
    variables,
    owners,
    out,
    B,
    NODES,
    CATEGORIES,
    COLUMNS,
    BN: tl.constexpr,
):
    """``out[b, v]`` for each slot that a sample reaches: the observed category, or the leaf's likeliest."""
    blocks = tl.cdiv(B, BN)
    slot = (tl.program_id(0) // blocks).to(tl.int64)
    s = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    node = tl.load(chosen + slot * B + s, mask=s < B, other=-1)
    if tl.max(node, 0) >= 0:
        live = node >= 0
        owner = tl.load(owners + slot)
        value = tl.load(codes + slot * B + s, mask=live, other=0) - (owner * (CATEGORIES + 1)).to(tl.int32)
        missing = live & (value == CATEGORIES)
        value = tl.where(missing, tl.load(modes + owner * NODES + node, mask=missing, other=0), value)
        at = out + s.to(tl.int64) * COLUMNS + tl.load(variables + slot)
        tl.store(at, value.to(out.dtype.element_ty), mask=live)
