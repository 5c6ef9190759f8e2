"""Counts of leaves: samples in the order of their categories, whose flows are then rows to be added up.

The samples of a parameter set are those of all its uses, one use after the other; those with a missing value come last. A
sample costs one read of its flows, whatever the size of the domain; no atomics, and the same bits on every run.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sort_samples(
    codes,
    run_start,
    sets,
    uses,
    elements_at,
    offsets,
    strides,
    places,
    bounds,
    B,
    SIZE,
    BQ: tl.constexpr,
    BT: tl.constexpr,
    BC: tl.constexpr,
):
    """Where the flows of a set's samples start, by category; and where each category begins.

    ``places`` ``[slots·B]`` int64, ``bounds`` ``[sets, C + 2]`` int32: category ``c`` has the samples from ``bounds[c]`` to
    ``bounds[c + 1]``, where ``c = C`` are the missing ones. A program finds the ranks of ``BT`` samples by comparing them with
    all ``BQ`` of their set, and the bounds of ``BC`` categories: for so few, that beats a sort.
    """
    run = tl.program_id(0)
    part = tl.program_id(1)
    first = tl.load(run_start + run)
    samples = ((tl.load(run_start + run + 1) - first) * B).to(tl.int32)
    held = tl.load(sets + run)
    row = (held * (SIZE + 1)).to(tl.int32)
    q = tl.arange(0, BQ)
    slot = tl.load(uses + first + q // B, mask=q < samples, other=0)
    category = tl.load(codes + slot * B + q % B, mask=q < samples, other=0) - row
    key = tl.where(q < samples, category * BQ + q, 2147483647)
    mine = part * BT + tl.arange(0, BT)
    there = mine < samples
    i = first + mine // B
    own = tl.load(codes + tl.load(uses + i, mask=there, other=0) * B + mine % B, mask=there, other=0) - row
    rank = tl.sum((key[None, :] < (own * BQ + mine)[:, None]).to(tl.int32), 1)
    place = tl.load(elements_at + i, mask=there, other=0) * B + tl.load(offsets + i, mask=there, other=0)
    place += (mine % B) * tl.load(strides + i, mask=there, other=0)
    tl.store(places + first * B + rank, place, mask=there)
    c = part * BC + tl.arange(0, BC)
    below = tl.sum((key[None, :] < (c * BQ)[:, None]).to(tl.int32), 1)
    tl.store(bounds + held * (SIZE + 2) + c, below, mask=c < SIZE + 2)


@triton.jit
def leaf_masses(
    flows,
    places,
    bounds,
    run_start,
    sets,
    masses,
    B,
    NODES,
    SIZE,
    PARTS,
    BQ: tl.constexpr,
    BN: tl.constexpr,
):
    """``masses[set, part, n]``: flow of some of the samples of a set in which its variable was observed."""
    run = tl.program_id(0)
    part = tl.program_id(1)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    n_in = n < NODES
    held = tl.load(sets + run)
    first = tl.load(run_start + run) * B
    seen = tl.load(bounds + held * (SIZE + 2) + SIZE)
    share = tl.cdiv(seen, PARTS)
    low = part * share
    high = tl.minimum(low + share, seen)
    total = tl.zeros((BN,), tl.float32)
    for q0 in range(low, high, BQ):
        q = q0 + tl.arange(0, BQ)
        at = tl.load(places + first + q, mask=q < high, other=0)
        f = tl.load(flows + at[:, None] + n[None, :], mask=(q < high)[:, None] & n_in[None, :], other=0.0)
        total += tl.sum(f.to(tl.float32), 0)
    tl.store(masses + (held * PARTS + part) * NODES + n, total, mask=n_in)


@triton.jit
def category_flows(flows, places, first, low, high, n, n_in, BC: tl.constexpr, BN: tl.constexpr):
    """``[BC, BN]``: the flows of samples ``low … high`` of each category, four at a time."""
    total = tl.zeros((BC, BN), tl.float32)
    most = tl.max(high - low, 0)
    for j in range(0, most, 4):
        q = low + j
        at0 = tl.load(places + first + q, mask=q < high, other=0)
        at1 = tl.load(places + first + q + 1, mask=q + 1 < high, other=0)
        at2 = tl.load(places + first + q + 2, mask=q + 2 < high, other=0)
        at3 = tl.load(places + first + q + 3, mask=q + 3 < high, other=0)
        f0 = tl.load(flows + at0[:, None] + n[None, :], mask=(q < high)[:, None] & n_in[None, :], other=0.0)
        f1 = tl.load(flows + at1[:, None] + n[None, :], mask=(q + 1 < high)[:, None] & n_in[None, :], other=0.0)
        f2 = tl.load(flows + at2[:, None] + n[None, :], mask=(q + 2 < high)[:, None] & n_in[None, :], other=0.0)
        f3 = tl.load(flows + at3[:, None] + n[None, :], mask=(q + 3 < high)[:, None] & n_in[None, :], other=0.0)
        total += (f0.to(tl.float32) + f1.to(tl.float32)) + (f2.to(tl.float32) + f3.to(tl.float32))
    return total


@triton.jit
def leaf_counts(
    flows,
    places,
    bounds,
    run_start,
    sets,
    counts,
    B,
    NODES,
    SIZE,
    BC: tl.constexpr,
    BN: tl.constexpr,
    ADD: tl.constexpr,
):
    """Expected counts ``[sets, C + 1, N]``; written, or added."""
    run = tl.program_id(0)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    c_in = c < SIZE
    n_in = n < NODES
    held = tl.load(sets + run)
    bound = bounds + held * (SIZE + 2) + c
    low = tl.load(bound, mask=c_in, other=0)
    high = tl.load(bound + 1, mask=c_in, other=0)
    total = category_flows(flows, places, tl.load(run_start + run) * B, low, high, n, n_in, BC, BN)
    where = counts + held * (SIZE + 1) * NODES + (c[:, None] * NODES + n[None, :])
    mask = c_in[:, None] & n_in[None, :]
    if ADD:
        total += tl.load(where, mask=mask, other=0.0)
    tl.store(where, total, mask=mask)
