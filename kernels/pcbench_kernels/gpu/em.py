"""The M step in one pass over memory: totals, update, and the log table of the leaves."""

from __future__ import annotations

import triton
import triton.language as tl


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
    step,
    pseudocount,
    least,
    HOLES: tl.constexpr,
    ROUND: tl.constexpr,
    BE: tl.constexpr,
):
    """One node a program: ``(1−η)·w + η·(flow + α/degree) / (Σ flow + α)``; a node without flow keeps its weights.

    ``ROUND``: also writes what the next step's matrix products read.
    """
    row = tl.program_id(0)
    at = tl.load(rows_at + row)
    length = tl.load(lengths + row)
    holes = support
    if HOLES:
        holes += tl.load(support_at + row)
    mass = 0.0
    degree = 0.0
    for e0 in range(0, length, BE):
        e = e0 + tl.arange(0, BE)
        mass += tl.sum(tl.load(flows + at + e, mask=e < length, other=0.0), 0)
        if HOLES:
            degree += tl.sum(tl.load(holes + e, mask=e < length, other=0).to(tl.float32), 0)
    if not HOLES:
        degree += length
    if (mass != mass) | (tl.abs(mass) == float("inf")):
        tl.atomic_max(wrong, 1)
    mass += pseudocount
    learns = (mass >= least) & (tl.load(trainable + row) != 0)
    safe = tl.where(learns, mass, 1.0)
    prior = pseudocount / degree
    for e0 in range(0, length, BE):
        e = e0 + tl.arange(0, BE)
        old = tl.load(weights + at + e, mask=e < length, other=0.0)
        flow = tl.load(flows + at + e, mask=e < length, other=0.0)
        new = (1.0 - step) * old + step * ((flow + prior) / safe)
        if HOLES:
            new = tl.where(tl.load(holes + e, mask=e < length, other=0) != 0, new, 0.0)
        new = tl.where(learns, new, old)
        tl.store(out + at + e, new, mask=e < length)
        if ROUND:
            tl.store(rounded + at + e, new.to(rounded.dtype.element_ty), mask=e < length)


@triton.jit
def categorical_em(
    leaves,
    counts,
    masses,
    trainable,
    out,
    table,
    wrong,
    SIZE,
    NODES,
    step,
    pseudocount,
    least,
    BC: tl.constexpr,
    BN: tl.constexpr,
):
    """Counts ``[P, C+1, N]`` and their totals ``[P, N]`` → probabilities ``[P, C, N]`` and logs (last row 0)."""
    p = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    c = (tl.program_id(2) * BC + tl.arange(0, BC))[:, None]
    n_in = n < NODES
    held = p * (SIZE + 1) * NODES
    kept = p * SIZE * NODES
    mass = tl.load(masses + p * NODES + n, mask=n_in, other=0.0)
    if tl.sum(tl.where((mass != mass) | (tl.abs(mass) == float("inf")), 1, 0)) > 0:
        tl.atomic_max(wrong, 1)
    mass += pseudocount
    learns = (mass >= least) & (tl.load(trainable + p) != 0)
    safe = tl.where(learns, mass, 1.0)
    mask = (c < SIZE) & n_in[None, :]
    old = tl.load(leaves + kept + c * NODES + n[None, :], mask=mask, other=1.0)
    count = tl.load(counts + held + c * NODES + n[None, :], mask=mask, other=0.0)
    new = (1.0 - step) * old + step * ((count + pseudocount / SIZE) / safe[None, :])
    new = tl.where(learns[None, :], new, old)
    tl.store(out + kept + c * NODES + n[None, :], new, mask=mask)
    logs = tl.where(c < SIZE, tl.log(new), 0.0)
    tl.store(table + held + c * NODES + n[None, :], logs, mask=(c <= SIZE) & n_in[None, :])
