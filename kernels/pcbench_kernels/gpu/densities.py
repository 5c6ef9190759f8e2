"""Leaves whose domain has no table: log densities computed for every batch, and their expected sufficient statistics."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def normal_densities(
    values,
    observed,
    variables,
    owners,
    parameters,
    densities,
    B,
    NODES,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PARTIAL: tl.constexpr,
):
    """``densities[s·B + b, n] = log N(values[variable[s], b]; μ, σ²)`` of set ``owner[s]``; 0 where nothing is observed.

    ``parameters`` ``[sets, 2, N]``. The difference is taken in float64: values far from zero keep their digits.
    """
    blocks = tl.cdiv(B, BN)
    s = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    b_in = b < B
    at = tl.load(variables + s) * B + b
    there = b_in
    if PARTIAL:
        there = tl.load(observed + at, mask=b_in, other=0) != 0
    x = tl.load(values + at, mask=there, other=0.0)
    means = parameters + tl.load(owners + s) * 2 * NODES
    row = densities + s * B * NODES
    for k0 in range(0, NODES, BK):
        k = k0 + tl.arange(0, BK)
        k_in = k < NODES
        mean = tl.load(means + k, mask=k_in, other=0.0).to(tl.float64)
        variance = tl.load(means + NODES + k, mask=k_in, other=1.0)
        gap = (x[:, None] - mean[None, :]).to(tl.float32)
        density = -0.5 * (gap * gap / variance[None, :] + (tl.log(variance) + 1.8378770664093453)[None, :])
        if PARTIAL:
            density = tl.where(there[:, None], density, 0.0)
        tl.store(row + (b[:, None] * NODES + k[None, :]), density, mask=b_in[:, None] & k_in[None, :])


@triton.jit
def leaf_moments(
    flows,
    told,
    variables,
    uses,
    elements_at,
    offsets,
    strides,
    run_start,
    moments,
    B,
    NODES,
    PARTS,
    COUNT,
    BQ: tl.constexpr,
    BN: tl.constexpr,
):
    """``moments[run, part, t, n] = Σ flow · told[variable, t, b]`` over a run's slots and a part of the samples, in float64.

    ``told`` ``[V, COUNT, B]``: 1 and the sufficient statistics of what is observed, zeros where nothing is.
    """
    run = tl.program_id(0)
    part = tl.program_id(1) // COUNT
    t = tl.program_id(1) % COUNT
    n = tl.program_id(2) * BN + tl.arange(0, BN)
    n_in = n < NODES
    share = tl.cdiv(B, PARTS)
    low = part * share
    high = tl.minimum(low + share, B)
    total = tl.zeros((BQ, BN), tl.float64)
    for i in range(tl.load(run_start + run), tl.load(run_start + run + 1)):
        place = flows + (tl.load(elements_at + i) * B + tl.load(offsets + i))
        stride = tl.load(strides + i).to(tl.int32)
        weights = told + (tl.load(variables + tl.load(uses + i)) * COUNT + t) * B
        for b0 in range(low, high, BQ):
            b = b0 + tl.arange(0, BQ)
            there = b < high
            flow = tl.load(place + (b[:, None] * stride + n[None, :]), mask=there[:, None] & n_in[None, :], other=0.0)
            total += flow.to(tl.float64) * tl.load(weights + b, mask=there, other=0.0)[:, None]
    out = moments + ((run * PARTS + part) * COUNT + t).to(tl.int64) * NODES
    tl.store(out + n, tl.sum(total, 0), mask=n_in)
