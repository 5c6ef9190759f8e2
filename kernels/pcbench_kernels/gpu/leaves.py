"""Counts of leaves: samples in the order of their categories, whose flows are then rows to be added up.

The samples of a parameter set are those of all its uses, one use after the other; those with a missing value come last. A
sample costs one read of its flows, whatever the size of the domain; no atomics, and the same bits on every run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import offset_and_stride


@triton.jit
def sort_samples(
    codes,
    run_start,
    uses,
    elements_at,
    offsets,
    strides,
    places,
    bounds,
    B,
    SIZE,
    BQ: tl.constexpr,
    BC: tl.constexpr,
    PASSES: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Where the flows of a set's samples start, by category; and where each category begins.

    ``places`` ``[slots·B]`` int64, ``bounds`` ``[sets, C + 2]`` int32: category ``c`` has the samples from ``bounds[c]`` to
    ``bounds[c + 1]``, where ``c = C`` are the missing ones. A program sorts the samples of a set by their categories' digits,
    three bits a pass, the lowest first, and keeps their order otherwise. ``places`` hold them between passes; ``BQ`` is a
    power of two, and 2 to the ``STEPS`` more than the samples.
    """
    held = tl.program_id(0).to(tl.int64)
    first = tl.load(run_start + held)
    samples = ((tl.load(run_start + held + 1) - first) * B).to(tl.int32)
    mine = places + first * B
    q = tl.arange(0, BQ)
    there = q < samples
    slot = tl.load(uses + first + q // B, mask=there, other=0)
    category = tl.load(codes + slot * B + q % B, mask=there, other=0) - (held * (SIZE + 1)).to(tl.int32)
    last = (1 << (3 * PASSES)) - 1  # of what is no sample: it stays behind
    key = tl.where(there, category, last) * BQ + q
    pair = tl.arange(0, 4)
    for step in tl.static_range(PASSES):
        # Two digits are counted in one number, 16 bits for each: half the work.
        digit = key // BQ >> (3 * step) & 7
        shift = (digit & 1) * 16
        own = (digit >> 1)[:, None] == pair[None, :]
        here = tl.where(own, 1 << shift[:, None], 0)
        count = tl.sum(here, 0)
        even = count & 0xFFFF
        both = even + (count >> 16)
        start = tl.cumsum(both, 0) - both
        start += (start + even) << 16
        rank = tl.sum(tl.where(own, tl.cumsum(here, 0) + start[None, :], 0), 1)
        rank = (rank >> shift & 0xFFFF) - 1
        tl.store(mine + rank, key.to(tl.int64), mask=there)
        tl.debug_barrier()
        key = tl.load(mine + q, mask=there, other=0).to(tl.int32)
        key = tl.where(there, key, last * BQ + q)
        tl.debug_barrier()
    for c0 in range(0, SIZE + 2, BC):
        c = c0 + tl.arange(0, BC)
        low = tl.zeros((BC,), tl.int32)
        high = tl.zeros((BC,), tl.int32) + samples
        for _ in range(STEPS):
            middle = (low + high) // 2
            open = low < high
            below = tl.load(mine + middle, mask=open, other=0) < c.to(tl.int64) * BQ
            low = tl.where(open & below, middle + 1, low)
            high = tl.where(open & (below == 0), middle, high)
        tl.store(bounds + held * (SIZE + 2) + c, low, mask=c < SIZE + 2)
    tl.debug_barrier()
    sample = key % BQ
    i = first + sample // B
    place = tl.load(elements_at + i, mask=there, other=0) * B + tl.load(offsets + i, mask=there, other=0)
    place += (sample % B) * tl.load(strides + i, mask=there, other=0)
    tl.store(mine + q, place, mask=there)


@triton.jit
def sample_flows(flows, places, q, there, n, n_in, ALIGNED: tl.constexpr):
    """``[Q, BN]``: the flows of samples ``q``."""
    at = tl.load(places + q, mask=there, other=0)
    if ALIGNED:
        at = tl.multiple_of(at, 16)
    return tl.load(flows + at[:, None] + n[None, :], mask=there[:, None] & n_in[None, :], other=0.0).to(tl.float32)


@triton.jit
def flow_totals(
    flows,
    firsts,
    elements_at,
    offsets,
    strides,
    totals,
    B,
    NODES,
    PARTS,
    BQ: tl.constexpr,
    BN: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """``totals[d, part, n]``: flows into one place, of some of the samples; ``[D, PARTS, N]``."""
    place = tl.program_id(0)
    part = tl.program_id(1)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    n_in = n < NODES
    first = tl.load(firsts + place)
    offset, stride = offset_and_stride(offsets, strides, first, ALIGNED)
    mine = flows + tl.load(elements_at + first) * B + offset
    share = tl.cdiv(B, PARTS)
    last = tl.minimum((part + 1) * share, B)
    total = tl.zeros((BQ, BN), tl.float32)
    for b0 in range(part * share, last, BQ):
        b = b0 + tl.arange(0, BQ)
        mask = (b < last)[:, None] & n_in[None, :]
        total += tl.load(mine + b[:, None] * stride + n[None, :], mask=mask, other=0.0).to(tl.float32)
    tl.store(totals + (place * PARTS + part).to(tl.int64) * NODES + n, tl.sum(total, 0), mask=n_in)


@triton.jit
def leaf_masses(
    flows,
    places,
    bounds,
    run_start,
    same,
    totals,
    masses,
    B,
    NODES,
    SIZE,
    PARTS,
    SHARES,
    BQ: tl.constexpr,
    BN: tl.constexpr,
    SHARED: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """``masses[set, part, n]``: flow of some of the samples of a set in which its variable was observed.

    ``SHARED``: in all samples, it is what :func:`flow_totals` have added up, in ``SHARES`` parts, for everybody.
    """
    held = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    n_in = n < NODES
    first = tl.load(run_start + held)
    seen = tl.load(bounds + held * (SIZE + 2) + SIZE)
    share = tl.cdiv(seen, PARTS)
    low = part * share
    high = tl.minimum(low + share, seen)
    mass = tl.zeros((BN,), tl.float32)
    if SHARED:
        last = tl.load(run_start + held + 1)
        if seen == (last - first) * B:
            high = low
            for i in range(first, last):
                at = totals + tl.load(same + i) * SHARES * NODES + n
                for s in range(SHARES):
                    mass += tl.load(at + s * NODES, mask=n_in, other=0.0)
    total = tl.zeros((BQ, BN), tl.float32)
    for q0 in range(low, high, BQ):
        q = q0 + tl.arange(0, BQ)
        total += sample_flows(flows, places + first * B, q, q < high, n, n_in, ALIGNED)
    mass += tl.sum(total, 0)
    tl.store(masses + (held * PARTS + part) * NODES + n, mass, mask=n_in)


@triton.jit
def category_flows(
    flows, places, first, low, high, few, n, n_in, BC: tl.constexpr, BN: tl.constexpr, BQ: tl.constexpr, ALIGNED: tl.constexpr
):
    """``[BC, BN]``: the flows of samples ``low … high`` of each category, four at a time.

    Categories with many samples (the background of images) would keep the others waiting: after the first ``few``, each of them
    has the whole program for itself.
    """
    total = tl.zeros((BC, BN), tl.float32)
    most = tl.max(high - low, 0)
    for j in range(0, tl.minimum(most, few), 4):
        q = low + j
        f0 = sample_flows(flows, places + first, q, q < high, n, n_in, ALIGNED)
        f1 = sample_flows(flows, places + first, q + 1, q + 1 < high, n, n_in, ALIGNED)
        f2 = sample_flows(flows, places + first, q + 2, q + 2 < high, n, n_in, ALIGNED)
        f3 = sample_flows(flows, places + first, q + 3, q + 3 < high, n, n_in, ALIGNED)
        total += (f0 + f1) + (f2 + f3)
    if most > few:
        row = tl.arange(0, BC)
        for c in range(BC):
            start = tl.sum(tl.where(row == c, low, 0), 0) + few
            end = tl.sum(tl.where(row == c, high, 0), 0)
            more = tl.zeros((BQ, BN), tl.float32)
            for q0 in range(start, end, BQ):
                q = q0 + tl.arange(0, BQ)
                more += sample_flows(flows, places + first, q, q < end, n, n_in, ALIGNED)
            total += tl.where((row == c)[:, None], tl.sum(more, 0)[None, :], 0.0)
    return total


@triton.jit
def leaf_counts(
    flows,
    places,
    bounds,
    run_start,
    counts,
    B,
    NODES,
    SIZE,
    few,
    BC: tl.constexpr,
    BN: tl.constexpr,
    BQ: tl.constexpr,
    ALIGNED: tl.constexpr,
    ADD: tl.constexpr,
):
    """Expected counts ``[sets, C + 1, N]``; written, or added."""
    held = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    c_in = c < SIZE
    n_in = n < NODES
    bound = bounds + held * (SIZE + 2) + c
    low = tl.load(bound, mask=c_in, other=0)
    high = tl.load(bound + 1, mask=c_in, other=0)
    total = category_flows(flows, places, tl.load(run_start + held) * B, low, high, few, n, n_in, BC, BN, BQ, ALIGNED)
    where = counts + held * (SIZE + 1) * NODES + (c[:, None] * NODES + n[None, :])
    mask = c_in[:, None] & n_in[None, :]
    if ADD:
        total += tl.load(where, mask=mask, other=0.0)
    tl.store(where, total, mask=mask)
