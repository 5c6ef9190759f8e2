"""The M step in one pass over memory: totals, update, and the log table of the leaves."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sum_em(weights, flows, trainable, out, wrong, ROWS, ELEMENTS, step, pseudocount, least, BE: tl.constexpr):
    """One node a program: ``(1−η)·w + η·(flow + α/E) / (Σ flow + α)``; a node without flow keeps its weights."""
    row = tl.program_id(0).to(tl.int64)
    at = row * ELEMENTS
    mass = 0.0
    for e0 in range(0, ELEMENTS, BE):
        e = e0 + tl.arange(0, BE)
        mass += tl.sum(tl.load(flows + at + e, mask=e < ELEMENTS, other=0.0), 0)
    if (mass != mass) | (tl.abs(mass) == float("inf")):
        tl.atomic_max(wrong, 1)
    mass += pseudocount
    learns = (mass >= least) & (tl.load(trainable + row // ROWS) != 0)
    safe = tl.where(learns, mass, 1.0)
    for e0 in range(0, ELEMENTS, BE):
        e = e0 + tl.arange(0, BE)
        old = tl.load(weights + at + e, mask=e < ELEMENTS, other=0.0)
        flow = tl.load(flows + at + e, mask=e < ELEMENTS, other=0.0)
        new = (1.0 - step) * old + step * ((flow + pseudocount / ELEMENTS) / safe)
        tl.store(out + at + e, tl.where(learns, new, old), mask=e < ELEMENTS)


@triton.jit
def categorical_em(
    leaves, counts, trainable, out, table, wrong, SIZE, NODES, step, pseudocount, least, BC: tl.constexpr, BN: tl.constexpr
):
    """Counts ``[P, C+1, N]`` → probabilities ``[P, C, N]`` and their logs ``[P, C+1, N]`` (last row 0: missing)."""
    p = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    n_in = n < NODES
    held = p * (SIZE + 1) * NODES
    kept = p * SIZE * NODES
    mass = tl.zeros((BN,), tl.float32)
    for c0 in range(0, SIZE, BC):
        c = (c0 + tl.arange(0, BC))[:, None]
        mass += tl.sum(tl.load(counts + held + c * NODES + n[None, :], mask=(c < SIZE) & n_in[None, :], other=0.0), 0)
    if tl.sum(tl.where((mass != mass) | (tl.abs(mass) == float("inf")), 1, 0)) > 0:
        tl.atomic_max(wrong, 1)
    mass += pseudocount
    learns = (mass >= least) & (tl.load(trainable + p) != 0)
    safe = tl.where(learns, mass, 1.0)
    for c0 in range(0, SIZE, BC):
        c = (c0 + tl.arange(0, BC))[:, None]
        mask = (c < SIZE) & n_in[None, :]
        old = tl.load(leaves + kept + c * NODES + n[None, :], mask=mask, other=1.0)
        count = tl.load(counts + held + c * NODES + n[None, :], mask=mask, other=0.0)
        new = (1.0 - step) * old + step * ((count + pseudocount / SIZE) / safe[None, :])
        new = tl.where(learns[None, :], new, old)
        tl.store(out + kept + c * NODES + n[None, :], new, mask=mask)
        tl.store(table + held + c * NODES + n[None, :], tl.log(new), mask=mask)
    tl.store(table + held + SIZE * NODES + n, tl.zeros((BN,), tl.float32), mask=n_in)
