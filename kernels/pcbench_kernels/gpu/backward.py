"""Downward kernels: flows from parents, through the weights, to elements, edges and leaves."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import factor_scale, log_elements


@triton.jit
def collect(
    values,
    flows,
    seeds,
    counts,
    codes,
    pull_start,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    use_start,
    uses,
    out,
    first_node,
    first_out,
    B,
    NODES,
    OUTPUTS,
    RATIO: tl.constexpr,
    BN: tl.constexpr,
    BM: tl.constexpr,
):
    """Flow of a layer's nodes, added up from all parents and the seeds; ``F / y`` for sums, ``F`` for products and leaves."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    b = b.to(tl.int64)
    mask = b_in[:, None] & n_in[None, :]
    total = tl.zeros((BN, BM), tl.float32)
    for p in range(tl.load(pull_start + g), tl.load(pull_start + g + 1)):
        row = flows + tl.load(pull_rows + p) * B + tl.load(pull_offsets + p)
        total += tl.load(row + b[:, None] * tl.load(pull_widths + p) + n[None, :], mask=mask, other=0.0)
    column = tl.load(seed_columns + g)
    if column >= 0:
        total += tl.load(seeds + b[:, None] * OUTPUTS + column + n[None, :], mask=mask, other=0.0)
    if RATIO:
        y = tl.load(values + (first_node + g * NODES) * B + b[:, None] * NODES + n[None, :], mask=mask, other=0.0)
        total = tl.where((y > float("-inf")) & (total > 0), total * tl.exp(-y), 0.0)
    else:
        for u in range(tl.load(use_start + g), tl.load(use_start + g + 1)):
            code = tl.load(codes + tl.load(uses + u) * B + b, mask=b_in, other=0)
            tl.atomic_add(counts + code[:, None] * NODES + n[None, :], total, mask=mask, sem="relaxed")
    where = out + (first_out + g * NODES) * B + b[:, None] * NODES + n[None, :]
    tl.store(where, total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def element_flow(
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
    ratio,
    flows,
    counts,
    first_unit,
    first_element,
    B,
    NODES,
    ELEMENTS,
    WIDTH,
    TERMS,
    BN: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
):
    """``f[e] = x[e]·Σ_n w[n,e]·F[n]/y[n]``, stored for the children that pull it, and added to the counts of fused leaves."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    tiles = tl.cdiv(WIDTH, BE)
    t = tl.program_id(1) // tiles
    k = (tl.program_id(1) % tiles) * BE + tl.arange(0, BE)
    b_in = b < B
    k_in = k < WIDTH
    b = b.to(tl.int64)
    w = weights + tl.load(sets + g) * NODES * ELEMENTS + t * WIDTH
    above = ratio + (g * B + b[:, None]) * NODES
    total = tl.zeros((BN, BE), tl.float32)
    for n0 in range(0, NODES, BK):
        n = n0 + tl.arange(0, BK)
        n_in = n < NODES
        r = tl.load(above + n[None, :], mask=b_in[:, None] & n_in[None, :], other=0.0)
        tile = tl.load(w + n[:, None] * ELEMENTS + k[None, :], mask=n_in[:, None] & k_in[None, :], other=0.0)
        total = tl.dot(r.to(OPERAND), tile.to(OPERAND), total, input_precision=PRECISION)
    at = g * TERMS + t
    f0 = tl.load(factor_start + at)
    f1 = tl.load(factor_start + at + 1)
    u0 = tl.load(use_start + at)
    u1 = tl.load(use_start + at + 1)
    v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BN, BE)
    scale = tl.load(scales + (first_unit + g) * B + b, mask=b_in, other=0.0)
    shift = (factor_scale(scales, units, f0, f1, b, b_in, B, BN) - scale).to(tl.float32)
    total *= tl.exp(v + shift[:, None])
    mask = b_in[:, None] & k_in[None, :]
    if KEEP:
        where = flows + (first_element + g * ELEMENTS) * B + b[:, None] * ELEMENTS + t * WIDTH + k[None, :]
        tl.store(where, total, mask=mask)
    for u in range(u0, u1):
        code = tl.load(codes + tl.load(uses + u) * B + b, mask=b_in, other=0)
        tl.atomic_add(counts + code[:, None] * WIDTH + k[None, :], total, mask=mask, sem="relaxed")


@triton.jit
def edge_flow(
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
    ratio,
    out,
    first_unit,
    B,
    NODES,
    ELEMENTS,
    WIDTH,
    TERMS,
    BM: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    ADD: tl.constexpr,
):
    """``w[n,e]·Σ_b (F/y)[b,n]·x[b,e]``: the flow through every edge; written, or added where blocks share weights."""
    tiles = tl.cdiv(WIDTH, BE)
    g = (tl.program_id(0) // (TERMS * tiles)).to(tl.int64)
    t = (tl.program_id(0) // tiles) % TERMS
    k = (tl.program_id(0) % tiles) * BE + tl.arange(0, BE)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    k_in = k < WIDTH
    n_in = n < NODES
    at = g * TERMS + t
    f0 = tl.load(factor_start + at)
    f1 = tl.load(factor_start + at + 1)
    u0 = tl.load(use_start + at)
    u1 = tl.load(use_start + at + 1)
    total = tl.zeros((BM, BE), tl.float32)
    for b0 in range(0, B, BK):
        b = (b0 + tl.arange(0, BK)).to(tl.int64)
        b_in = b < B
        v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BK, BE)
        scale = tl.load(scales + (first_unit + g) * B + b, mask=b_in, other=0.0)
        shift = (factor_scale(scales, units, f0, f1, b, b_in, B, BK) - scale).to(tl.float32)
        x = tl.exp(v + shift[:, None])
        above = ratio + (g * B + b[:, None]) * NODES + n[None, :]
        r = tl.load(above, mask=b_in[:, None] & n_in[None, :], other=0.0)
        total = tl.dot(tl.trans(r).to(OPERAND), x.to(OPERAND), total, input_precision=PRECISION)
    where = tl.load(sets + g) * NODES * ELEMENTS + n[:, None] * ELEMENTS + t * WIDTH + k[None, :]
    mask = n_in[:, None] & k_in[None, :]
    total *= tl.load(weights + where, mask=mask, other=0.0)
    if ADD:
        tl.atomic_add(out + where, total, mask=mask, sem="relaxed")
    else:
        tl.store(out + where, total, mask=mask)
