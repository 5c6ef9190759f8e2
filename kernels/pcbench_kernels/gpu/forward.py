"""Upward kernels: products and leaves become elements, elements become sums."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import column_of, four_factors, log_factors, log_leaves, take, term_of, weight_rows, within
from .logs import exp_of, linear, log_of, peak_of
from .order import follow, links, needed_by, share_of, tell_readers, wait_for


@triton.jit
def log_product(
    values, scales, lookup, codes, slots, factors, units, t, n0, u0, n1, u1, n2, u2, n3, u3,
    b, k, mask, B, WIDTH, BN: tl.constexpr, BK: tl.constexpr, USES: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """``[BN, BK]``: log values of some nodes of product ``t``, relative to the scales of its factors."""
    leaves = log_leaves(lookup, codes, slots, t, b, k, mask, B, WIDTH, BN, BK, USES)
    nodes, _ = log_factors(values, scales, factors, units, t, n0, u0, n1, u1, n2, u2, n3, u3, b, k, mask, B, WIDTH, FACTORS)
    return leaves + nodes


@triton.jit
def product_forward(
    values,
    scales,
    elements,
    lookup,
    codes,
    slots,
    factors,
    units,
    group_of,
    term_start,
    term_units,
    out_at,
    B,
    WIDTH,
    BN: tl.constexpr,
    BK: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    PARTS: tl.constexpr,
    MANY: tl.constexpr,
    LINEAR: tl.constexpr,
    WHOLE: tl.constexpr,
    FULL: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Products relative to their largest node, whose logarithm is their scale.

    Linear, as elements of a sum, or (units that several parents share) as log values. ``WHOLE``: a row fits into a tile;
    longer ones are gathered twice. ``FULL``: it fills the tile.
    """
    if FULL:
        WIDTH = BK
    blocks = tl.cdiv(B, BN)
    t = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    b_in = b < B
    g, first, stride = term_of(t, group_of, term_start, WIDTH, MANY)
    unit = tl.load(term_units + t)
    whole = t // PARTS
    ROW = WIDTH * PARTS
    n0, u0, n1, u1, n2, u2, n3, u3 = four_factors(factors, units, whole, FACTORS)
    out = tl.load(out_at + g) * B + (t - first) * WIDTH
    k = tl.arange(0, BK)
    mask = within(b_in, k < WIDTH, FULL)
    column = column_of(t, k, WIDTH, PARTS)
    v = log_leaves(lookup, codes, slots, whole, b, column, mask, B, ROW, BN, BK, USES)
    follow(EARLY)
    more, shift = log_factors(
        values, scales, factors, units, whole, n0, u0, n1, u1, n2, u2, n3, u3, b, column, mask, B, ROW, FACTORS
    )  # fmt: skip
    v = more if USES == 0 else v + more
    peak = peak_of(v, k < WIDTH, FULL)
    if not WHOLE:
        for k0 in range(BK, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            mask = b_in[:, None] & (k < WIDTH)[None, :]
            v = log_product(
                values, scales, lookup, codes, slots, factors, units, whole, n0, u0, n1, u1, n2, u2, n3, u3,
                b, column_of(t, k, WIDTH, PARTS), mask, B, ROW, BN, BK, USES, FACTORS,
            )  # fmt: skip
            peak = tl.maximum(peak, peak_of(v, k < WIDTH, FULL))
        for k0 in range(0, WIDTH, BK):
            k = k0 + tl.arange(0, BK)
            mask = b_in[:, None] & (k < WIDTH)[None, :]
            v = log_product(
                values, scales, lookup, codes, slots, factors, units, whole, n0, u0, n1, u1, n2, u2, n3, u3,
                b, column_of(t, k, WIDTH, PARTS), mask, B, ROW, BN, BK, USES, FACTORS,
            )  # fmt: skip
            store_product(values, elements, out, b, k, stride, v, peak, mask, LINEAR)
    else:
        store_product(values, elements, out, b, k, stride, v, peak, mask, LINEAR)
    tl.store(scales + unit * B + b, shift + peak.to(tl.float64), mask=b_in)


@triton.jit
def store_product(values, elements, out, b, k, stride, v, peak, mask, LINEAR: tl.constexpr):
    """Log values relative to ``peak``, or their exponentials."""
    where = b[:, None] * stride + k[None, :]
    if LINEAR:
        tl.store(elements + out + where, exp_of(v - peak[:, None]).to(elements.dtype.element_ty), mask=mask)
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
    slots,
    factors,
    units,
    weights_at,
    nodes_at,
    units_at,
    elements_at,
    children,
    parents,
    done,
    suspect,
    B,
    NODES,
    WIDTH,
    least,
    SPAN: tl.constexpr,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
    FULL: tl.constexpr,
    ALIGNED: tl.constexpr,
    WAITS: tl.constexpr,
    TELLS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """``y = log Σ_e w[n,e]·x[e]`` of blocks of one term, whose elements ``x`` stay on the chip; ``KEEP`` stores them as well.

    A program evaluates ``SPAN`` nodes of a block for its samples (known when it is compiled: one tile is no loop, which halves
    the registers). ``FULL``: elements fill a tile. Addresses, leaves and weights are fetched before it waits for the launch
    ahead of it and, in a chain, for ``children`` in its own (columns: ``WAITS``); then it tells ``parents`` (``TELLS``). Nodes
    are the rows of the matrix product, which want to be 64.
    A node whose linear sum falls below ``least`` raises the ``suspect`` flag: the caller evaluates again in the exact path.
    """
    if FULL:
        WIDTH = BK
    tiles = tl.cdiv(B, BN)
    programs = tl.cdiv(NODES, SPAN)
    g, tile_of, share = share_of(tl.program_id(0), programs, tiles)
    b = tile_of * BN + tl.arange(0, BN)
    n = share * SPAN + tl.arange(0, BM)
    k = tl.arange(0, BK)
    b_in = b < B
    k_in = k < WIDTH
    mask = within(b_in, k_in, FULL)
    corner = n[:, None] * WIDTH + k[None, :]
    w = weights + weight_rows(weights_at, g, ALIGNED)
    n0, u0, n1, u1, n2, u2, n3, u3 = four_factors(factors, units, g, FACTORS)
    node = tl.load(nodes_at + g)
    unit = tl.load(units_at + g)
    element = tl.load(elements_at + g)
    tile = tl.load(w + corner, mask=(n < NODES)[:, None] & k_in[None, :], other=0.0)
    v = log_leaves(lookup, codes, slots, g, b, k, mask, B, WIDTH, BN, BK, USES)
    worst = tl.full((BM, BN), 1.0, tl.float32)
    if WAITS > 0:
        needed = needed_by(children, g, programs, WAITS)
        readers = links(parents, g, TELLS)
    follow(EARLY)
    if WAITS > 0:
        wait_for(done, needed, g, tile_of, tiles)
    more, shift = log_factors(values, scales, factors, units, g, n0, u0, n1, u1, n2, u2, n3, u3, b, k, mask, B, WIDTH, FACTORS)
    v = more if USES == 0 else v + more
    peak = peak_of(v, k_in, FULL)
    x = linear(v, peak, k_in, FULL).to(elements.dtype.element_ty)
    row = values + node * B
    for at in range(0, SPAN, BM):
        total = tl.dot(tile, tl.trans(x), input_precision=PRECISION)
        m = n + at
        if at + BM < SPAN:
            more_in = (m + BM < NODES)[:, None] & k_in[None, :]
            tile = tl.load(w + (corner + (at + BM) * WIDTH), mask=more_in, other=0.0)
        inside = (m < NODES)[:, None] & b_in[None, :]
        worst = tl.minimum(worst, tl.where(inside, total, 1.0))
        log = tl.trans(log_of(total).to(values.dtype.element_ty))
        tl.store(row + (b[:, None] * NODES + m[None, :]), log, mask=b_in[:, None] & (m < NODES)[None, :])
    if share == 0:  # not sooner: a matrix product waits for stores before it
        tl.store(scales + unit * B + b, shift + peak.to(tl.float64), mask=b_in)
    if WAITS > 0:
        tell_readers(done, readers, tile_of, tiles)
    if KEEP and share == 0:
        tl.store(elements + element * B + (b[:, None] * WIDTH + k[None, :]), x, mask=mask)
    low = tl.sum(tl.where(worst < least, 1, 0))  # of one axis after the other Triton 3.6 makes nothing on Blackwell
    if low > 0:
        tl.atomic_max(suspect, 1)


@triton.jit
def term_product(
    x, w, stride, b, b_in, n, n_in, WIDTH,
    BN: tl.constexpr, BM: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr, FULL: tl.constexpr,
):  # fmt: skip
    """``[BN, BM]``: ``Σ_e x[b,e]·w[n,e]`` over the elements of one term."""
    total = tl.zeros((BN, BM), tl.float32)
    for k0 in range(0, WIDTH, BK):
        k = k0 + tl.arange(0, BK)
        k_in = k < WIDTH
        left = tl.load(x + b[:, None] * stride + k[None, :], mask=within(b_in, k_in, FULL), other=0.0)
        right = take(w + n[:, None] * stride + k[None, :], n_in[:, None] & k_in[None, :], FULL)
        total = tl.dot(left, tl.trans(right), total, input_precision=PRECISION)
    return total


@triton.jit
def highest(scales, terms, b, b_in, B, BN: tl.constexpr):
    """``[BN]``: the highest scale of each sample, of so many terms that follow each other; some at a time are under way."""
    peak = tl.full((BN,), -1e300, tl.float64)
    for t0 in range(0, terms, 4):
        t = t0 + tl.arange(0, 4)
        mask = (t < terms)[:, None] & b_in[None, :]
        peak = tl.maximum(peak, tl.max(tl.load(scales + t[:, None] * B + b[None, :], mask=mask, other=-1e300), 0))
    return tl.where(b_in, peak, 0.0)


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
    seen,
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
    ONE: tl.constexpr,
    HOLES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """The same from elements in memory, of any number of terms.

    Terms meet at the highest of their scales, in float64. ``HOLES``: a node sees some of the terms only, and its sum is
    relative to the highest of those; ``top`` lies between. ``FULL``: nodes and elements fill their tiles. ``ONE``: the
    elements of a term are one tile.
    """
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    stride = WIDTH
    if MANY:
        t0 = tl.load(term_start + g)
        t1 = tl.load(term_start + g + 1)
        stride = ((t1 - t0) * WIDTH).to(tl.int32)
    w = weights + weight_rows(weights_at, g, ALIGNED)
    x = elements + tl.load(elements_at + g) * B
    unit = tl.load(units_at + g)
    node = tl.load(nodes_at + g)
    follow(EARLY)
    if MANY:
        total = tl.zeros((BN, BM), tl.float32)
        own = scales + tl.load(term_units + t0) * B  # the scales of a block's terms follow each other
        peak = highest(own, (t1 - t0).to(tl.int32), b, b_in, B, BN)
        k = tl.arange(0, BK)
        scale = tl.load(own + b, mask=b_in, other=0.0)
        if HOLES:
            top = tl.full((BN, BM), -1e30, tl.float32)
            sees = tl.load(seen + t0 * NODES + n, mask=n_in, other=0)
        for t in range(t0, t1):
            at = ((t - t0) * WIDTH).to(tl.int32)
            rise = (scale - peak).to(tl.float32)[:, None]
            after = tl.minimum(t + 1, t1 - 1)
            scale = tl.load(own + (after - t0) * B + b, mask=b_in, other=0.0)
            if ONE:  # no loop within the loop: so the tiles of the next terms are loaded ahead
                k_in = k < WIDTH
                left = tl.load(x + b[:, None] * stride + (at + k)[None, :], mask=within(b_in, k_in, FULL), other=0.0)
                right = take(w + n[:, None] * stride + (at + k)[None, :], n_in[:, None] & k_in[None, :], FULL)
                part = tl.dot(left, tl.trans(right), input_precision=PRECISION)
            else:
                part = term_product(x + at, w + at, stride, b, b_in, n, n_in, WIDTH, BN, BM, BK, PRECISION, FULL)
            if HOLES:
                rise = tl.where((sees != 0)[None, :], rise, float("-inf"))
                sees = tl.load(seen + after * NODES + n, mask=n_in, other=0)
                higher = tl.maximum(top, rise)
                total = total * exp_of(top - higher) + part * exp_of(rise - higher)
                top = higher
            else:
                total += part * exp_of(rise)
    else:
        total = term_product(x, w, stride, b, b_in, n, n_in, WIDTH, BN, BM, BK, PRECISION, FULL)
    mask = within(b_in, n_in, FULL)
    row = values + node * B + b[:, None] * NODES + n[None, :]
    log = log_of(total)
    if HOLES:
        log += top
    tl.store(row, log.to(values.dtype.element_ty), mask=mask)
    if MANY and tl.program_id(1) == 0:
        tl.store(scales + unit * B + b, peak, mask=b_in)
    low = tl.sum(tl.where(mask & (total < least), 1, 0))
    if low > 0:
        tl.atomic_max(suspect, 1)
