"""Downward kernels: flows from parents, through the weights, to elements, edges and leaves."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import factor_scale, flow_per_value, log_elements, node_flow


@triton.jit
def product_flow(
    flows,
    seeds,
    pull_start,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    counts,
    codes,
    use_start,
    uses,
    elements_at,
    B,
    NODES,
    OUTPUTS,
    BN: tl.constexpr,
    BM: tl.constexpr,
):
    """Flow of a product or a vector of leaves, added up from all parents; added to the counts of its leaves."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    mask = b_in[:, None] & (n < NODES)[None, :]
    b = b.to(tl.int64)
    p0 = tl.load(pull_start + g)
    p1 = tl.load(pull_start + g + 1)
    column = tl.load(seed_columns + g)
    flow = node_flow(flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, b, n, mask, B, OUTPUTS, BN, BM)
    for u in range(tl.load(use_start + g), tl.load(use_start + g + 1)):
        code = tl.load(codes + tl.load(uses + u) * B + b, mask=b_in, other=0)
        tl.atomic_add(counts + code[:, None] * NODES + n[None, :], flow, mask=mask, sem="relaxed")
    tl.store(flows + tl.load(elements_at + g) * B + b[:, None] * NODES + n[None, :], flow, mask=mask)


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
    flows,
    seeds,
    pull_start,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    nodes_at,
    units_at,
    counts,
    elements_at,
    B,
    NODES,
    ELEMENTS,
    WIDTH,
    TERMS,
    OUTPUTS,
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
    at = g * TERMS + t
    f0 = tl.load(factor_start + at)
    f1 = tl.load(factor_start + at + 1)
    u0 = tl.load(use_start + at)
    u1 = tl.load(use_start + at + 1)
    p0 = tl.load(pull_start + g)
    p1 = tl.load(pull_start + g + 1)
    column = tl.load(seed_columns + g)
    node = tl.load(nodes_at + g)
    scale = tl.load(scales + tl.load(units_at + g) * B + b, mask=b_in, other=0.0)
    w = weights + tl.load(sets + g) * NODES * ELEMENTS + t * WIDTH
    v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BN, BE)
    shift = (factor_scale(scales, units, f0, f1, b, b_in, B, BN) - scale).to(tl.float32)
    x = tl.exp(v + shift[:, None])
    total = tl.zeros((BN, BE), tl.float32)
    for n0 in range(0, NODES, BK):
        n = n0 + tl.arange(0, BK)
        n_in = n < NODES
        tile = tl.load(w + n[:, None] * ELEMENTS + k[None, :], mask=n_in[:, None] & k_in[None, :], other=0.0)
        r = flow_per_value(
            values, flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, node, b, n,
            b_in[:, None] & n_in[None, :], B, NODES, OUTPUTS, BN, BK,
        )  # fmt: skip
        total = tl.dot(r.to(OPERAND), tile.to(OPERAND), total, input_precision=PRECISION)
    total *= x
    mask = b_in[:, None] & k_in[None, :]
    if KEEP:
        where = flows + tl.load(elements_at + g) * B + b[:, None] * ELEMENTS + t * WIDTH + k[None, :]
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
    flows,
    seeds,
    pull_start,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    nodes_at,
    units_at,
    run_start,
    out,
    B,
    NODES,
    ELEMENTS,
    WIDTH,
    TERMS,
    OUTPUTS,
    BM: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    ADD: tl.constexpr,
):
    """``w[n,e]·Σ_g Σ_b (F/y)[g,b,n]·x[g,b,e]`` over a run of blocks that share weights; written, or added."""
    tiles = tl.cdiv(WIDTH, BE)
    run = tl.program_id(0) // (TERMS * tiles)
    t = (tl.program_id(0) // tiles) % TERMS
    k = (tl.program_id(0) % tiles) * BE + tl.arange(0, BE)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    k_in = k < WIDTH
    n_in = n < NODES
    first = tl.load(run_start + run)
    total = tl.zeros((BM, BE), tl.float32)
    for g in range(first, tl.load(run_start + run + 1)):
        at = g * TERMS + t
        f0 = tl.load(factor_start + at)
        f1 = tl.load(factor_start + at + 1)
        u0 = tl.load(use_start + at)
        u1 = tl.load(use_start + at + 1)
        p0 = tl.load(pull_start + g)
        p1 = tl.load(pull_start + g + 1)
        column = tl.load(seed_columns + g)
        node = tl.load(nodes_at + g)
        unit = tl.load(units_at + g)
        for b0 in range(0, B, BK):
            b = (b0 + tl.arange(0, BK)).to(tl.int64)
            b_in = b < B
            v = log_elements(values, lookup, codes, factors, uses, f0, f1, u0, u1, b, b_in, k, k_in, B, WIDTH, BK, BE)
            scale = tl.load(scales + unit * B + b, mask=b_in, other=0.0)
            shift = (factor_scale(scales, units, f0, f1, b, b_in, B, BK) - scale).to(tl.float32)
            x = tl.exp(v + shift[:, None])
            r = flow_per_value(
                values, flows, seeds, pull_rows, pull_widths, pull_offsets, p0, p1, column, node, b, n,
                b_in[:, None] & n_in[None, :], B, NODES, OUTPUTS, BK, BM,
            )  # fmt: skip
            total = tl.dot(tl.trans(r).to(OPERAND), x.to(OPERAND), total, input_precision=PRECISION)
    where = tl.load(sets + first) * NODES * ELEMENTS + n[:, None] * ELEMENTS + t * WIDTH + k[None, :]
    mask = n_in[:, None] & k_in[None, :]
    total *= tl.load(weights + where, mask=mask, other=0.0)
    if ADD:
        tl.atomic_add(out + where, total, mask=mask, sem="relaxed")
    else:
        tl.store(out + where, total, mask=mask)
