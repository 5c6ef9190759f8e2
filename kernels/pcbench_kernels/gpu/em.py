"""The M step in one pass over memory: totals, update, and the log table of the leaves.

Step size η and pseudocount α stand in ``rates``, so that a captured step serves all of them. A node whose total and
pseudocount lie below ``least``, or are not finite, keeps its parameters. New ones may take the place of the old: a program
reads and writes only its own.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .edges import edge_products
from .elements import put, take, weight_rows
from .leaves import category_flows
from .logs import log_of_any


@triton.jit
def flag_if_wrong(mass, wrong):
    """Raises ``wrong`` where a total is not finite."""
    if tl.sum(tl.where((mass != mass) | (tl.abs(mass) == float("inf")), 1, 0)) > 0:
        tl.atomic_max(wrong, 1)


@triton.jit
def unless_held(count, hold):
    """``count``, or 0 if something was found meanwhile that forbids to learn from this batch: then nothing is written."""
    return tl.where(tl.load(hold) == 0, count, 0)


@triton.jit
def edge_em(
    ratios,
    elements,
    weights,
    out,
    rounded,
    run_start,
    nodes_at,
    elements_at,
    weights_at,
    offsets,
    strides,
    trainable,
    support,
    support_at,
    rates,
    wrong,
    hold,
    B,
    NODES,
    WIDTH,
    least,
    BM: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    PAIR: tl.constexpr,
    PRECISION: tl.constexpr,
    ROUND: tl.constexpr,
    ALIGNED: tl.constexpr,
    FULL: tl.constexpr,
    HOLES: tl.constexpr,
):
    """Counts and updates the weights of some nodes of a run, whose rows fit into a tile, or a ``PAIR``: counts never leave
    its registers. ``FULL``: they fill their tiles, which leaves room for a second program.

    ``(1−η)·w + η·(flow + α/E) / (Σ flow + α)``, where ``E`` weights are there; ``HOLES``: not all. ``ROUND``: also writes what
    the next step's matrix products read.
    """
    if tl.load(hold) != 0:
        return
    run = tl.program_id(0)
    k = tl.arange(0, BE)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    if FULL:
        WIDTH = 2 * BE if PAIR else BE
    n_in = n < NODES
    first = tl.load(run_start + run)
    last = tl.load(run_start + run + 1)
    start = weight_rows(weights_at, first, ALIGNED)  # 64 bits for it, 32 for places within a block: half the registers
    flow, more = edge_products(
        ratios, elements, nodes_at, elements_at, offsets, strides, first, last, n, n_in, k, B, NODES, WIDTH,
        BM, BE, BK, PAIR, PRECISION, ALIGNED, FULL,
    )  # fmt: skip
    where = n[:, None] * WIDTH + k[None, :]
    mask = n_in[:, None] & (k < WIDTH)[None, :]
    second = n_in[:, None] & (k + BE < WIDTH)[None, :]
    flow *= take(weights + start + where, mask, FULL)
    mass = tl.sum(flow, 1)
    if PAIR:
        more *= take(weights + start + BE + where, second, FULL)
        mass += tl.sum(more, 1)
    flag_if_wrong(mass, wrong)
    step = tl.load(rates)
    pseudocount = tl.load(rates + 1)
    mass += pseudocount
    learns = (mass >= least) & (mass < float("inf")) & (tl.load(trainable + run) != 0)
    share = step / tl.where(learns, mass, 1.0)
    prior = tl.zeros((BM,), tl.float32) + pseudocount / WIDTH
    holes = support
    if HOLES:
        holes += alike(support_at, run, ALIGNED)
        degree = tl.sum(take(holes + where, mask, FULL).to(tl.float32), 1)
        if PAIR:
            degree += tl.sum(take(holes + BE + where, second, FULL).to(tl.float32), 1)
        prior = pseudocount / tl.maximum(degree, 1.0)
    short = rounded
    if ROUND:
        short += alike(weights_at, first, ALIGNED)
    store_weights(weights + start, out + start, short, holes, where, mask, flow, learns, step, share, prior, ROUND, FULL, HOLES)
    if PAIR:
        at = start + BE
        if HOLES:
            holes += BE
        store_weights(
            weights + at, out + at, short + BE, holes, where, second, more, learns, step, share, prior, ROUND, FULL, HOLES
        )


@triton.jit
def store_weights(
    weights, out, rounded, holes, where, mask, flow, learns, step, share, prior,
    ROUND: tl.constexpr, FULL: tl.constexpr, HOLES: tl.constexpr,
):  # fmt: skip
    """New weights of a tile. The old ones are read once more: to keep them would take the registers of a second program."""
    old = take(weights + where, mask, FULL)
    new = (1.0 - step) * old + share[:, None] * (flow + prior[:, None])
    if HOLES:
        new = tl.where(take(holes + where, mask, FULL) != 0, new, 0.0)
    new = tl.where(learns[:, None], new, old)
    put(out + where, new, mask, FULL)
    if ROUND:
        put(rounded + where, new.to(rounded.dtype.element_ty), mask, FULL)


@triton.jit
def alike(weights_at, g, ALIGNED: tl.constexpr):
    """:func:`weight_rows` for numbers of 16 bits that lie as those of 32 do.

    A thread would take eight of the one where it takes four of the other, and hold the whole tile in both ways.
    """
    at = tl.load(weights_at + g)
    if ALIGNED:
        at = tl.multiple_of(at, 4)
    return at


@triton.jit
def leaf_em(
    flows,
    places,
    bounds,
    masses,
    leaves,
    out,
    table,
    run_start,
    trainable,
    rates,
    wrong,
    hold,
    B,
    NODES,
    SIZE,
    PARTS,
    few,
    least,
    BC: tl.constexpr,
    BN: tl.constexpr,
    BQ: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """Counts and updates some categories of a parameter set ``[C, N]``, and their logs (last row 0).

    Nothing is stored where ``hold`` is up; nothing waits for it sooner.
    """
    held = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    c_in = c < SIZE
    n_in = n < NODES
    mask = c_in[:, None] & n_in[None, :]
    bound = bounds + held * (SIZE + 2) + c
    low = tl.load(bound, mask=c_in, other=0)
    high = tl.load(bound + 1, mask=c_in, other=0)
    step = tl.load(rates)
    pseudocount = tl.load(rates + 1)
    learns = tl.load(trainable + held) != 0
    where = c[:, None] * NODES + n[None, :]
    old = tl.load(leaves + held * SIZE * NODES + where, mask=mask, other=1.0)
    n_free = n < unless_held(NODES, hold)
    # The first bound is 0, of which no more is known than this: or threads would take more numbers of 16 bits than of 32.
    narrow = tl.multiple_of(tl.load(bounds + held * (SIZE + 2)), 4)
    mass = tl.zeros((BN,), tl.float32)
    for part in range(PARTS):
        mass += tl.load(masses + (held * PARTS + part) * NODES + n, mask=n_in, other=0.0)
    count = category_flows(flows, places, tl.load(run_start + held) * B, low, high, few, n, n_in, BC, BN, BQ, ALIGNED)
    flag_if_wrong(mass, wrong)
    mass += pseudocount
    knows = (mass >= least) & (mass < float("inf")) & learns
    share = step / tl.where(knows, mass, 1.0)
    new = (1.0 - step) * old + share[None, :] * (count + pseudocount / SIZE)
    new = tl.where(knows[None, :], new, old)
    tl.store(out + held * SIZE * NODES + where, new, mask=c_in[:, None] & n_free[None, :])
    logs = tl.where(c_in[:, None], log_of_any(new), 0.0).to(table.dtype.element_ty)
    table += held * (SIZE + 1) * NODES + narrow
    tl.store(table + where, logs, mask=(c <= SIZE)[:, None] & n_free[None, :])


@triton.jit
def sum_em(
    weights,
    flows,
    rows_at,
    lengths,
    trainable,
    support,
    support_at,
    out,
    rounded,
    wrong,
    hold,
    rates,
    ROWS,
    BASE,
    least,
    HOLES: tl.constexpr,
    ROUND: tl.constexpr,
    BR: tl.constexpr,
    BE: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """The same from counts in memory, some nodes a program; ``BASE`` is the weight whose count is the first of ``flows``."""
    row = tl.program_id(0) * BR + tl.arange(0, BR)
    there = row < ROWS
    at = tl.load(rows_at + row, mask=there, other=0)
    short = at
    if ALIGNED:  # see alike
        at = tl.multiple_of(at, 16)
        short = tl.multiple_of(tl.load(rows_at + row, mask=there, other=0), 4)
    length = tl.load(lengths + row, mask=there, other=0)
    if ALIGNED:
        length = tl.multiple_of(length, 16)
    longest = unless_held(tl.max(length, 0), hold)
    step = tl.load(rates)
    pseudocount = tl.load(rates + 1)
    learns = tl.load(trainable + row, mask=there, other=0) != 0
    holes = at
    if HOLES:
        holes = tl.load(support_at + row, mask=there, other=0)
        if ALIGNED:
            holes = tl.multiple_of(holes, 4)
    total = tl.zeros((BR, BE), tl.float32)
    edges = tl.zeros((BR, BE), tl.float32)
    k = tl.arange(0, BE)
    for e0 in range(0, longest, BE):
        e = (e0 + k)[None, :]
        mask = e < length[:, None]
        total += tl.load(flows + (at - BASE)[:, None] + e, mask=mask, other=0.0)
        if HOLES:
            edges += tl.load(support + holes[:, None] + e, mask=mask, other=0).to(tl.float32)
    mass = tl.sum(total, 1)
    degree = length.to(tl.float32)
    if HOLES:
        degree = tl.sum(edges, 1)
    flag_if_wrong(mass, wrong)
    mass += pseudocount
    learns &= (mass >= least) & (mass < float("inf"))
    share = step / tl.where(learns, mass, 1.0)
    prior = pseudocount / tl.maximum(degree, 1.0)
    for e0 in range(0, longest, BE):
        e = (e0 + k)[None, :]
        mask = e < length[:, None]
        old = tl.load(weights + at[:, None] + e, mask=mask, other=0.0)
        flow = tl.load(flows + (at - BASE)[:, None] + e, mask=mask, other=0.0)
        new = (1.0 - step) * old + share[:, None] * (flow + prior[:, None])
        if HOLES:
            new = tl.where(tl.load(support + holes[:, None] + e, mask=mask, other=0) != 0, new, 0.0)
        new = tl.where(learns[:, None], new, old)
        tl.store(out + at[:, None] + e, new, mask=mask)
        if ROUND:
            tl.store(rounded + short[:, None] + e, new.to(rounded.dtype.element_ty), mask=mask)


@triton.jit
def categorical_em(
    leaves,
    counts,
    masses,
    trainable,
    out,
    table,
    wrong,
    hold,
    rates,
    SIZE,
    NODES,
    least,
    BC: tl.constexpr,
    BN: tl.constexpr,
):
    """Counts ``[P, C+1, N]`` and their totals ``[P, N]`` → probabilities ``[P, C, N]`` and logs (last row 0)."""
    p = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    c = (tl.program_id(2) * BC + tl.arange(0, BC))[:, None]
    n_in = n < unless_held(NODES, hold)
    held = p * (SIZE + 1) * NODES
    kept = p * SIZE * NODES
    step = tl.load(rates)
    pseudocount = tl.load(rates + 1)
    mass = tl.load(masses + p * NODES + n, mask=n_in, other=0.0)
    flag_if_wrong(mass, wrong)
    mass += pseudocount
    learns = (mass >= least) & (mass < float("inf")) & (tl.load(trainable + p) != 0)
    safe = tl.where(learns, mass, 1.0)
    mask = (c < SIZE) & n_in[None, :]
    old = tl.load(leaves + kept + c * NODES + n[None, :], mask=mask, other=1.0)
    count = tl.load(counts + held + c * NODES + n[None, :], mask=mask, other=0.0)
    new = (1.0 - step) * old + step * ((count + pseudocount / SIZE) / safe[None, :])
    new = tl.where(learns[None, :], new, old)
    tl.store(out + kept + c * NODES + n[None, :], new, mask=mask)
    logs = tl.where(c < SIZE, log_of_any(new), 0.0)
    tl.store(table + held + c * NODES + n[None, :], logs.to(table.dtype.element_ty), mask=(c <= SIZE) & n_in[None, :])


@triton.jit
def take_over(fresh, learns, old, out, COUNT, NODES, SIZE, BLOCK: tl.constexpr):
    """``out[p, s, n]``: ``fresh`` where node ``n`` of set ``p`` ``learns``, otherwise ``old``; ``SIZE`` numbers are a set's."""
    i = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    there = i < COUNT
    node = i // SIZE * NODES + i % NODES
    new = tl.load(learns + node, mask=there, other=0) != 0
    value = tl.where(new, tl.load(fresh + i, mask=there, other=0.0), tl.load(old + i, mask=there, other=0.0))
    tl.store(out + i, value, mask=there)
