"""Around the way up and the way down: flags, log-likelihoods, seeds, and whether parameters may change."""

from __future__ import annotations

import triton
import triton.language as tl

from .order import follow


@triton.jit
def renew_flags(flags, FIRST: tl.constexpr, COUNT: tl.constexpr, SIZE: tl.constexpr):
    """Lower ``COUNT`` flags; the last is raised instead where it or another one from the ``FIRST`` on was up. One program."""
    i = tl.arange(0, SIZE)
    up = tl.load(flags + i, mask=(i >= FIRST) & (i < COUNT), other=0)
    held = tl.max(up, 0) > 0
    tl.store(flags + i, (held & (i == COUNT - 1)).to(tl.int32), mask=i < COUNT)


@triton.jit
def root_values(
    values,
    scales,
    roots,
    report,
    seeds,
    flags,
    hold,
    B,
    OUTPUTS,
    BN: tl.constexpr,
    BM: tl.constexpr,
    SEEDS: tl.constexpr,
    HOLD: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Log-likelihoods of the root blocks into float64 ``report`` ``[B, OUTPUTS]``.

    ``roots`` ``[R, 4]``: first output column, node number, unit and nodes of each. ``SEEDS``: flows of 1 go into the roots of
    samples that are possible. ``HOLD``: raises ``hold`` where a log-likelihood is not finite, or one of two ``flags`` is up.
    """
    root = roots + 4 * tl.program_id(0)
    b = tl.program_id(1) * BN + tl.arange(0, BN)
    n = tl.program_id(2) * BM + tl.arange(0, BM)
    column = tl.load(root)
    node = tl.load(root + 1)
    unit = tl.load(root + 2)
    nodes = tl.load(root + 3)
    b_in = b < B
    mask = b_in[:, None] & (n < nodes)[None, :]
    follow(EARLY)
    value = tl.load(values + node * B + b[:, None] * nodes + n[None, :], mask=mask, other=0.0).to(tl.float64)
    value += tl.load(scales + unit * B + b, mask=b_in, other=0.0)[:, None]
    where = b[:, None] * OUTPUTS + column + n[None, :]
    tl.store(report + where, value, mask=mask)
    possible = tl.abs(value) < float("inf")
    if SEEDS:
        tl.store(seeds + where, possible.to(seeds.dtype.element_ty), mask=mask)
    if HOLD:
        impossible = tl.sum(tl.sum(tl.where(mask & (possible == 0), 1, 0), 1), 0)
        if impossible + tl.load(flags) + tl.load(flags + 1) > 0:
            tl.atomic_max(hold, 1)


@triton.jit
def tell_flags(flags, report, COUNT: tl.constexpr, SIZE: tl.constexpr):
    """``COUNT`` flags as float64; one program."""
    i = tl.arange(0, SIZE)
    tl.store(report + i, tl.load(flags + i, mask=i < COUNT, other=0).to(tl.float64), mask=i < COUNT)
