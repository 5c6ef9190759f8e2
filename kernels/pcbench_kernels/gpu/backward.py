"""Downward kernels: flows from parents, through the weights, to elements and edges."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import four_parents, node_flow, only_if, only_seen, rise_of, take, term_of, weight_rows, within
from .logs import exp_of, per_value
from .order import follow, links, needed_by, share_of, tell_readers, wait_for


@triton.jit
def product_flow(
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    elements_at,
    B,
    NODES,
    OUTPUTS,
    BN: tl.constexpr,
    BM: tl.constexpr,
    PARENTS: tl.constexpr,
    ROOTS: tl.constexpr,
    PULLS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Flow of a product or a vector of leaves, added up from all parents."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    mask = (b < B)[:, None] & (n < NODES)[None, :]
    element = tl.load(elements_at + g) * B
    r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3 = four_parents(
        pull_rows, pull_widths, pull_offsets, g * PARENTS, PARENTS, PULLS
    )  # fmt: skip
    follow(EARLY)
    flow = node_flow(
        flows, seeds, pull_rows, pull_widths, pull_offsets, seed_columns, g, r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3,
        b, n, mask, B, OUTPUTS, PARENTS, ROOTS, PULLS,
    )  # fmt: skip
    tl.store(flows + element + (b[:, None] * NODES + n[None, :]), flow.to(flows.dtype.element_ty), mask=mask)


@triton.jit
def narrow_sum_flow(
    values,
    ratios,
    tickets,
    elements,
    weights,
    weights_at,
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    nodes_at,
    elements_at,
    parents,
    children,
    done,
    B,
    NODES,
    WIDTH,
    OUTPUTS,
    SPAN: tl.constexpr,
    BN: tl.constexpr,
    BM: tl.constexpr,
    BE: tl.constexpr,
    PARENTS: tl.constexpr,
    ROOTS: tl.constexpr,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
    ALIGNED: tl.constexpr,
    PULLS: tl.constexpr,
    SHARED: tl.constexpr,
    WAITS: tl.constexpr,
    TELLS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """``f[e] = x[e]·Σ_n w[n,e]·r[n]`` of blocks of one term, whose ratios ``r = F/y`` stay on the chip, and may replace ``y``.

    A program does so for ``SPAN`` elements of a block; where several share a block's values (``SHARED``), the last one that has
    read them stores the ratios: each draws one of the ``tickets``, which are 0 before and after. Flows are stored for whoever
    reads them again (``KEEP``). In a chain, programs wait for those of ``parents`` in their own launch (columns: ``WAITS``),
    and tell those of ``children`` (``TELLS``). Elements are the rows of the matrix product, which want to be 64.
    """
    tiles = tl.cdiv(B, BN)
    programs = tl.cdiv(WIDTH, SPAN)
    program = tl.program_id(0)
    if WAITS > 0:  # from the highest level on
        program = tl.num_programs(0) - 1 - program
    g, tile_of, share = share_of(program, programs, tiles)
    b = tile_of * BN + tl.arange(0, BN)
    n = tl.arange(0, BM)
    k = share * SPAN + tl.arange(0, BE)
    b_in = b < B
    n_in = n < NODES
    mask = b_in[:, None] & n_in[None, :]
    corner = n[:, None] * WIDTH + k[None, :]
    rows = b[:, None] * NODES + n[None, :]
    w = weights + weight_rows(weights_at, g, ALIGNED)
    node = tl.load(nodes_at + g) * B
    element = tl.load(elements_at + g) * B
    tile = tl.load(w + corner, mask=n_in[:, None] & (k < WIDTH)[None, :], other=0.0)
    y = tl.load(values + node + rows, mask=mask, other=0.0).to(tl.float32)
    r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3 = four_parents(
        pull_rows, pull_widths, pull_offsets, g * PARENTS, PARENTS, PULLS
    )  # fmt: skip
    ours = b_in
    if SHARED:
        tl.debug_barrier()  # all threads have read their values
        ticket = tickets + g * tiles + tile_of
        last = tl.atomic_add(ticket, 1) == programs - 1
        ours = only_if(last, b, B)
        if last:
            tl.store(ticket, 0)
    if WAITS > 0:
        needed = needed_by(parents, g, programs, WAITS)
        readers = links(children, g, TELLS)
    follow(EARLY)
    if WAITS > 0:
        wait_for(done, needed, g, tile_of, tiles)
    flow = node_flow(
        flows, seeds, pull_rows, pull_widths, pull_offsets, seed_columns, g, r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3,
        b, n, mask, B, OUTPUTS, PARENTS, ROOTS, PULLS,
    )  # fmt: skip
    r = per_value(flow, y).to(ratios.dtype.element_ty)
    for so_far in range(0, SPAN, BE):
        e = k + so_far
        inside = b_in[:, None] & (e < WIDTH)[None, :]
        where = b[:, None] * WIDTH + e[None, :]
        x = tl.load(elements + element + where, mask=inside, other=0.0)
        total = tl.dot(tl.trans(tile), tl.trans(r), input_precision=PRECISION)
        if so_far + BE < SPAN:
            tile = tl.load(w + (corner + (so_far + BE)), mask=n_in[:, None] & (e + BE < WIDTH)[None, :], other=0.0)
        if KEEP:
            tl.store(flows + element + where, (tl.trans(total) * x).to(flows.dtype.element_ty), mask=inside)
    if WAITS > 0:
        tell_readers(done, readers, tile_of, tiles)
    mask = ours[:, None] & n_in[None, :]
    tl.store(ratios + node + rows, r, mask=mask)  # not sooner: a matrix product waits for stores before it


@triton.jit
def flow_ratio(
    values,
    ratios,
    scales,
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    nodes_at,
    ratios_at,
    units_at,
    term_start,
    term_units,
    seen,
    B,
    NODES,
    OUTPUTS,
    BN: tl.constexpr,
    BM: tl.constexpr,
    PARENTS: tl.constexpr,
    ROOTS: tl.constexpr,
    HOLES: tl.constexpr,
    PULLS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """``r = F/y`` of a layer's nodes; ``HOLES``: on the scale of each term that they see, one after the other."""
    blocks = tl.cdiv(B, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    b_in = b < B
    n_in = n < NODES
    mask = b_in[:, None] & n_in[None, :]
    rows = b[:, None] * NODES + n[None, :]
    node = tl.load(nodes_at + g) * B
    out = ratios + tl.load(ratios_at + g) * B + rows
    y = tl.load(values + node + rows, mask=mask, other=0.0).to(tl.float32)
    r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3 = four_parents(
        pull_rows, pull_widths, pull_offsets, g * PARENTS, PARENTS, PULLS
    )  # fmt: skip
    follow(EARLY)
    flow = node_flow(
        flows, seeds, pull_rows, pull_widths, pull_offsets, seed_columns, g, r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3,
        b, n, mask, B, OUTPUTS, PARENTS, ROOTS, PULLS,
    )  # fmt: skip
    if HOLES:
        height = tl.load(scales + tl.load(units_at + g) * B + b, mask=b_in, other=0.0)
        t0 = tl.load(term_start + g)
        for t in range(t0, tl.load(term_start + g + 1)):
            rise = only_seen(seen, t, n, n_in, NODES, rise_of(scales, term_units, t, height, b, b_in, B))
            tl.store(out + (t - t0) * NODES * B, per_value(flow, y - rise).to(ratios.dtype.element_ty), mask=mask)
    else:
        tl.store(out, per_value(flow, y).to(ratios.dtype.element_ty), mask=mask)


@triton.jit
def wide_sum_flow(
    ratios,
    scales,
    elements,
    weights,
    weights_at,
    flows,
    ratios_at,
    units_at,
    elements_at,
    group_of,
    term_start,
    term_units,
    B,
    NODES,
    WIDTH,
    BN: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
    KEEP: tl.constexpr,
    MANY: tl.constexpr,
    HOLES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """The same from ratios in memory, of any number of terms. ``FULL``: nodes and elements fill their tiles.

    Elements of blocks of many terms are brought to the scale of their block in memory, as edge counts need them, unless there
    are ratios for each term (``HOLES``).
    """
    blocks = tl.cdiv(B, BN)
    t = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    k = tl.program_id(1) * BE + tl.arange(0, BE)
    b_in = b < B
    k_in = k < WIDTH
    mask = within(b_in, k_in, FULL)
    g, t0, stride = term_of(t, group_of, term_start, WIDTH, MANY)
    w = weights + weight_rows(weights_at, g, ALIGNED) + (t - t0) * WIDTH
    r = ratios + tl.load(ratios_at + g) * B
    if HOLES:
        r += (t - t0) * NODES * B
    element = tl.load(elements_at + g) * B + (t - t0) * WIDTH
    where = b[:, None] * stride + k[None, :]
    x = tl.load(elements + element + where, mask=mask, other=0.0)
    if MANY and not HOLES:
        height = tl.load(scales + tl.load(units_at + g) * B + b, mask=b_in, other=0.0)
        x *= exp_of(rise_of(scales, term_units, t, height, b, b_in, B))
        tl.store(elements + element + where, x.to(elements.dtype.element_ty), mask=mask)
    follow(EARLY)
    total = tl.zeros((BN, BE), tl.float32)
    for n0 in range(0, NODES, BK):
        n = n0 + tl.arange(0, BK)
        n_in = n < NODES
        left = tl.load(r + b[:, None] * NODES + n[None, :], mask=within(b_in, n_in, FULL), other=0.0)
        right = take(w + n[:, None] * stride + k[None, :], n_in[:, None] & k_in[None, :], FULL)
        total = tl.dot(left, right, total, input_precision=PRECISION)
    total *= x
    if KEEP:
        tl.store(flows + element + where, total.to(flows.dtype.element_ty), mask=mask)
