"""What several kernels read: log elements of a product, scales, and the flow that parents send.

A factor is one number, the count of nodes laid out before it, since every node takes ``B`` values: its row of sample ``b``
starts at ``node·B + b·width``. The first is an address of 64 bits, the second fits into 32: a batch whose rows of a block
do not is not for these kernels.

What a block reads stands in tables of fixed columns, so that all addresses arrive after one wait, and all that they point at
after a second one. Of more than four factors, leaves or parents, four at a time are under way.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def only_if(there, b, B):
    """``[BN]``: the samples, or none of them. (A flag for all would be ``&`` of a scalar, which Triton's interpreter lacks.)"""
    return b < tl.where(there, B, 0)


@triton.jit
def within(rows, columns, FULL: tl.constexpr):
    """The mask of a tile whose ``rows`` and ``columns`` are partly there; ``FULL``: the columns all are."""
    if FULL:
        mask = rows[:, None]
    else:
        mask = rows[:, None] & columns[None, :]
    return mask


@triton.jit
def take(at, mask, FULL: tl.constexpr):
    """A tile of numbers; ``FULL``: all of them are there, otherwise 0 where ``mask`` is not."""
    if FULL:
        tile = tl.load(at)
    else:
        tile = tl.load(at, mask=mask, other=0.0)
    return tile


@triton.jit
def put(at, tile, mask, FULL: tl.constexpr):
    """Stores a tile; ``FULL``: all of it, otherwise where ``mask`` is."""
    if FULL:
        tl.store(at, tile)
    else:
        tl.store(at, tile, mask=mask)


@triton.jit
def column_of(t, k, WIDTH, PARTS: tl.constexpr):
    """``[BK]``: columns of the children that elements ``k`` of term ``t`` multiply, where ``PARTS`` terms take them in turn."""
    column = k
    if PARTS > 1:
        column += ((t % PARTS) * WIDTH).to(tl.int32)
    return column


@triton.jit
def term_of(t, group_of, term_start, WIDTH, MANY: tl.constexpr):
    """Block of a term, the block's first term, and how many elements it has; of blocks of one term nothing is looked up."""
    g = t
    first = t
    stride = WIDTH
    if MANY:
        g = tl.load(group_of + t)
        first = tl.load(term_start + g)
        stride = ((tl.load(term_start + g + 1) - first) * WIDTH).to(tl.int32)
    return g, first, stride


@triton.jit
def leaf_codes(codes, s, last, b, B):
    """``[BN]``: rows of the lookup table for slot ``s``; zeros from slot ``last`` on."""
    return tl.load(codes + s * B + b, mask=only_if(s < last, b, B), other=0).to(tl.int64)


@triton.jit
def leaf_row(lookup, code, s, last, b, k, mask, B, WIDTH):
    """``[BN, BK]``: log probabilities of slot ``s``."""
    there = mask & only_if(s < last, b, B)[:, None]
    return tl.load(lookup + code[:, None] * WIDTH + k[None, :], mask=there, other=0.0).to(tl.float32)


@triton.jit
def four_leaves(lookup, codes, s, last, b, k, mask, B, WIDTH, COUNT: tl.constexpr):
    """``[BN, BK]``: the sum of up to four slots from ``s`` on."""
    c0 = leaf_codes(codes, s, last, b, B)
    c1 = c0
    c2 = c0
    c3 = c0
    if COUNT > 1:
        c1 = leaf_codes(codes, s + 1, last, b, B)
    if COUNT > 2:
        c2 = leaf_codes(codes, s + 2, last, b, B)
    if COUNT > 3:
        c3 = leaf_codes(codes, s + 3, last, b, B)
    total = leaf_row(lookup, c0, s, last, b, k, mask, B, WIDTH)
    if COUNT > 1:
        total += leaf_row(lookup, c1, s + 1, last, b, k, mask, B, WIDTH)
    if COUNT > 2:
        total += leaf_row(lookup, c2, s + 2, last, b, k, mask, B, WIDTH)
    if COUNT > 3:
        total += leaf_row(lookup, c3, s + 3, last, b, k, mask, B, WIDTH)
    return total


@triton.jit
def log_leaves(lookup, codes, slots, t, b, k, mask, B, WIDTH, BN: tl.constexpr, BK: tl.constexpr, USES: tl.constexpr):
    """``[BN, BK]``: Σ log probabilities of the leaves of term ``t``, at most ``USES``."""
    total = tl.zeros((BN, BK), tl.float32)
    if USES > 0:
        first = tl.load(slots + t)
        last = tl.load(slots + t + 1)
        if USES <= 4:
            total = four_leaves(lookup, codes, first, last, b, k, mask, B, WIDTH, USES)
        else:
            for s in range(first, last, 4):
                total += four_leaves(lookup, codes, s, last, b, k, mask, B, WIDTH, 4)
    return total


@triton.jit
def factor_of(factors, units, t, j: tl.constexpr, FACTORS: tl.constexpr):
    """Node number and unit of factor ``j`` of term ``t``; −1 where there is none."""
    node = tl.full((), -1, tl.int64)
    unit = tl.full((), -1, tl.int64)
    if j < FACTORS:
        node = tl.load(factors + t * FACTORS + j)
        unit = tl.load(units + t * FACTORS + j)
    return node, unit


@triton.jit
def four_factors(factors, units, t, FACTORS: tl.constexpr):
    """Node numbers and units of the first four factors of term ``t``."""
    n0, u0 = factor_of(factors, units, t, 0, FACTORS)
    n1, u1 = factor_of(factors, units, t, 1, FACTORS)
    n2, u2 = factor_of(factors, units, t, 2, FACTORS)
    n3, u3 = factor_of(factors, units, t, 3, FACTORS)
    return n0, u0, n1, u1, n2, u2, n3, u3


@triton.jit
def factor_values(values, scales, node, unit, b, k, mask, B, WIDTH):
    """``[BN, BK]`` and float64 ``[BN]``: log values of a factor as they are stored, and their scale."""
    there = only_if(node >= 0, b, B)
    value = tl.load(values + node * B + (b[:, None] * WIDTH + k[None, :]), mask=mask & there[:, None], other=0.0)
    scale = tl.load(scales + unit * B + b, mask=there, other=0.0)
    return value, scale


@triton.jit
def log_factors(values, scales, factors, units, t, n0, u0, n1, u1, n2, u2, n3, u3, b, k, mask, B, WIDTH, FACTORS: tl.constexpr):
    """``[BN, BK]`` and float64 ``[BN]``: Σ log values of the factors of term ``t``, and Σ of their scales.

    The first four were looked up by :func:`four_factors`.
    """
    v0, s0 = factor_values(values, scales, n0, u0, b, k, mask, B, WIDTH)
    v1 = v0
    s1 = s0
    if FACTORS > 1:
        v1, s1 = factor_values(values, scales, n1, u1, b, k, mask, B, WIDTH)
    total = v0.to(tl.float32)
    shift = s0
    if FACTORS > 1:
        total += v1.to(tl.float32)
        shift += s1
    if FACTORS > 2:
        value, scale = factor_values(values, scales, n2, u2, b, k, mask, B, WIDTH)
        total += value.to(tl.float32)
        shift += scale
    if FACTORS > 3:
        value, scale = factor_values(values, scales, n3, u3, b, k, mask, B, WIDTH)
        total += value.to(tl.float32)
        shift += scale
    if FACTORS > 4:
        node = tl.load(factors + t * FACTORS + 4)
        unit = tl.load(units + t * FACTORS + 4)
        for j in range(5, FACTORS + 1):
            value, scale = factor_values(values, scales, node, unit, b, k, mask, B, WIDTH)
            node = tl.load(factors + t * FACTORS + j % FACTORS)  # after the last one, the first, for nothing
            unit = tl.load(units + t * FACTORS + j % FACTORS)
            total += value.to(tl.float32)
            shift += scale
    return total, shift


@triton.jit
def rise_of(scales, term_units, t, height, b, b_in, B):
    """``[BN, 1]``: by how much the scale of term ``t`` lies above ``height``."""
    scale = tl.load(scales + tl.load(term_units + t) * B + b, mask=b_in, other=0.0)
    return (scale - height).to(tl.float32)[:, None]


@triton.jit
def only_seen(seen, t, n, n_in, NODES, rise):
    """``[BN, BM]``: ``rise`` for nodes that see term ``t``, −∞ for others."""
    sees = tl.load(seen + t * NODES + n, mask=n_in, other=0) != 0
    return tl.where(sees[None, :], rise, float("-inf"))


@triton.jit
def offset_and_stride(offsets, strides, at, ALIGNED: tl.constexpr):
    """First number of a term in its block, and how many its block has; multiples of 16 where they are ``ALIGNED``.

    That is said of what is loaded: of an argument of a function Triton forgets it.
    """
    offset = tl.load(offsets + at)
    stride = tl.load(strides + at).to(tl.int32)
    if ALIGNED:
        offset = tl.multiple_of(offset, 16)
        stride = tl.multiple_of(stride, 16)
    return offset, stride


@triton.jit
def parent_of(pull_rows, pull_widths, pull_offsets, at, ALIGNED: tl.constexpr):
    """Where a parent's flow starts: row (−1: no parent), width, offset."""
    offset, width = offset_and_stride(pull_offsets, pull_widths, at, ALIGNED)
    return tl.load(pull_rows + at), width, offset


@triton.jit
def four_parents(pull_rows, pull_widths, pull_offsets, at, PARENTS: tl.constexpr, ALIGNED: tl.constexpr):
    """:func:`parent_of` for up to four parents from ``at`` on."""
    r0, w0, o0 = parent_of(pull_rows, pull_widths, pull_offsets, at, ALIGNED)
    r1, w1, o1 = r0, w0, o0
    r2, w2, o2 = r0, w0, o0
    r3, w3, o3 = r0, w0, o0
    if PARENTS > 1:
        r1, w1, o1 = parent_of(pull_rows, pull_widths, pull_offsets, at + 1, ALIGNED)
    if PARENTS > 2:
        r2, w2, o2 = parent_of(pull_rows, pull_widths, pull_offsets, at + 2, ALIGNED)
        r3, w3, o3 = parent_of(pull_rows, pull_widths, pull_offsets, at + 3, ALIGNED)
    return r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3


@triton.jit
def parent_flow(flows, row, width, offset, b, n, mask, B):
    """``[R, C]``: what one parent sends; nothing where ``row`` is −1."""
    at = flows + (row * B + offset) + (b[:, None] * width + n[None, :])
    return tl.load(at, mask=mask & only_if(row >= 0, b, B)[:, None], other=0.0).to(tl.float32)


@triton.jit
def node_flow(
    flows,
    seeds,
    pull_rows,
    pull_widths,
    pull_offsets,
    seed_columns,
    g,
    r0,
    w0,
    o0,
    r1,
    w1,
    o1,
    r2,
    w2,
    o2,
    r3,
    w3,
    o3,
    b,
    n,
    mask,
    B,
    OUTPUTS,
    PARENTS: tl.constexpr,
    ROOTS: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """``[R, C]``: what the parents of block ``g`` (columns for 1, 2, 4, 8, …) send to its nodes ``n``, and the seed of a root.

    The first four parents were looked up by :func:`four_parents`.
    """
    total = parent_flow(flows, r0, w0, o0, b, n, mask, B)
    if PARENTS > 1:
        total += parent_flow(flows, r1, w1, o1, b, n, mask, B)
    if PARENTS > 2:
        two = parent_flow(flows, r2, w2, o2, b, n, mask, B)
        total += two + parent_flow(flows, r3, w3, o3, b, n, mask, B)
    if PARENTS > 4:
        at = g * PARENTS
        r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3 = four_parents(
            pull_rows, pull_widths, pull_offsets, at + 4, PARENTS, ALIGNED
        )
        for p in range(8, PARENTS + 4, 4):
            f0 = parent_flow(flows, r0, w0, o0, b, n, mask, B)
            f1 = parent_flow(flows, r1, w1, o1, b, n, mask, B)
            f2 = parent_flow(flows, r2, w2, o2, b, n, mask, B)
            f3 = parent_flow(flows, r3, w3, o3, b, n, mask, B)
            # While those are under way; after the last four the first, for nothing.
            after = at + p % PARENTS
            r0, w0, o0, r1, w1, o1, r2, w2, o2, r3, w3, o3 = four_parents(
                pull_rows, pull_widths, pull_offsets, after, PARENTS, ALIGNED
            )
            total += (f0 + f1) + (f2 + f3)
    if ROOTS:
        column = tl.load(seed_columns + g)
        seeded = mask & only_if(column >= 0, b, B)[:, None]
        total += tl.load(seeds + b[:, None] * OUTPUTS + column + n[None, :], mask=seeded, other=0.0)
    return total


@triton.jit
def weight_rows(weights_at, g, ALIGNED: tl.constexpr):
    """First weight of a block; loads are wide where it is known to start at a multiple of 16."""
    at = tl.load(weights_at + g)
    if ALIGNED:
        at = tl.multiple_of(at, 16)
    return at
