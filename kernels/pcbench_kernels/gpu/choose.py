"""Top-down kernels: at each sum that a sample reaches, one element is drawn; at each leaf, a category.

A sample reaches at most one node of a block, so ``active[unit, sample]`` holds that node, or −1. All sums and comparisons
are float64, and the noise is the hash of :mod:`pcbench.execute.noise`: from the same elements, the same draws as on a CPU.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import weight_rows
from .order import follow


@triton.jit
def mixed(x):
    """SplitMix64's finaliser; a right shift of signed integers copies the sign, which is masked out."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@triton.jit
def uniform(state, place):
    """Float64 in (0, 1): the noise of samples in ``state`` at a place of the circuit."""
    bits = mixed(state ^ (place * -7046029254386353131 + -4658895280553007687))
    return (((bits >> 12) & 0xFFFFFFFFFFFFF).to(tl.float64) + 0.5) * 2.220446049250313e-16


@triton.jit
def begin(told, states, rows, active, root, S, BN: tl.constexpr):
    """What samples start from: the state of their noise, their row of evidence, and the root's node.

    ``told``: seed, number of the first sample, samples of a row of evidence, node of the root.
    """
    s = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    inside = s < S
    zero = tl.zeros((BN,), tl.int64)
    first = tl.load(told + 1)
    each = tl.load(told + 2)
    number = first + s
    state = mixed((tl.load(told) + zero) * -7046029254386353131 + -7046029254386353131)
    tl.store(states + s, mixed(state + number * -7046029254386353131 + 1), mask=inside)
    tl.store(rows + s, (number // each - (first + zero) // each).to(tl.int32), mask=inside)
    tl.store(active + root * S + s, (tl.load(told + 3) + zero).to(tl.int32), mask=inside)


@triton.jit
def hand_down(active, chosen, slots, units, t, k, s, live, S, USES: tl.constexpr, FACTORS: tl.constexpr, STEP: tl.constexpr):
    """Element ``k`` of product ``t`` is node ``k`` of each of its children and leaves. (All ``[BN]``.)"""
    j = tl.arange(0, STEP)
    if USES > 0:
        first = tl.load(slots + t, mask=live, other=0)
        last = tl.load(slots + t + 1, mask=live, other=0)
        for done in range(0, USES, STEP):
            slot = first[:, None] + (done + j)[None, :]
            tl.store(chosen + slot * S + s[:, None], k[:, None], mask=live[:, None] & (slot < last[:, None]))
    for done in range(0, FACTORS, STEP):
        column = (done + j)[None, :]
        there = live[:, None] & (column < FACTORS)
        unit = tl.load(units + t[:, None] * FACTORS + column, mask=there, other=-1)
        tl.store(active + unit * S + s[:, None], k[:, None], mask=there & (unit >= 0))


@triton.jit
def hand_through(
    active,
    chosen,
    units_at,
    slots,
    units,
    S,
    BN: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    STEP: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Products that several parents share, and leaves: the node that a sample reaches is that of all children."""
    blocks = tl.cdiv(S, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    s = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    unit = tl.load(units_at + g)
    follow(EARLY)
    node = tl.load(active + unit * S + s, mask=s < S, other=-1)
    t = g + tl.zeros((BN,), tl.int64)
    hand_down(active, chosen, slots, units, t, node, s, node >= 0, S, USES, FACTORS, STEP)


@triton.jit
def scores_of(w, x, node, row, live, k, E, PRIOR: tl.constexpr):
    """Float32 ``[BN, BK]``: ``w[n,e]·x[e]`` of each sample's node. ``PRIOR``: nothing is observed, and every element is 1."""
    there = live[:, None] & (k < E)[None, :]
    score = tl.load(w + (node[:, None] * E + k[None, :]), mask=there, other=0.0)
    if not PRIOR:
        score *= tl.load(x + (row[:, None] * E + k[None, :]), mask=there, other=0.0).to(tl.float32)
    return score


@triton.jit
def heights_of(scales, term_units, first, row, live, k, E, WIDTH, B):
    """Float64 ``[BN, BK]``: the scale of each element, which is its term's."""
    k_in = k < E
    unit = tl.load(term_units + (first + k // WIDTH), mask=k_in, other=0)
    return tl.load(scales + unit[None, :] * B + row[:, None], mask=live[:, None] & k_in[None, :], other=0.0)


@triton.jit
def above(score, height):
    """The highest scale of an element with a score: ``[BN]``, −1e300 where there is none."""
    return tl.max(tl.where(score > 0, height, -1e300), 1)


@triton.jit
def levelled(score, height, top):
    """Scores relative to one scale ``top``; below it only, so that what has no score stays nothing."""
    return score.to(tl.float64) * tl.exp(tl.minimum(height - top[:, None], 0.0))


@triton.jit
def choose_edge(
    active,
    chosen,
    states,
    rows,
    weights,
    elements,
    scales,
    suspect,
    weights_at,
    units_at,
    elements_at,
    term_start,
    term_units,
    slots,
    units,
    places,
    S,
    B,
    WIDTH,
    least,
    BN: tl.constexpr,
    BK: tl.constexpr,
    USES: tl.constexpr,
    FACTORS: tl.constexpr,
    STEP: tl.constexpr,
    PARTS: tl.constexpr,
    PRIOR: tl.constexpr,
    MANY: tl.constexpr,
    WHOLE: tl.constexpr,
    ALIGNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Draws ``e`` with probability ``∝ w[n,e]·x[e]`` for the node ``n`` that each sample reaches, by inversion.

    ``e`` is the first element at which the running sum exceeds ``u·total``, and never one with a score of 0. ``WHOLE``: all
    elements of a block fit into a tile; more are read twice. Blocks of several terms (``MANY``) have a scale for each; those
    that the node does not see have no weight, and do not matter.
    A total below ``least`` raises ``suspect``, as in the upward pass.
    """
    blocks = tl.cdiv(S, BN)
    g = (tl.program_id(0) // blocks).to(tl.int64)
    s = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    inside = s < S
    unit = tl.load(units_at + g)
    first = tl.load(term_start + g)
    E = ((tl.load(term_start + g + 1) - first) * WIDTH).to(tl.int32)
    w = weights + weight_rows(weights_at, g, ALIGNED)
    x = elements + tl.load(elements_at + g) * B
    place = tl.load(places + unit)
    k = tl.arange(0, BK)
    follow(EARLY)
    node = tl.load(active + unit * S + s, mask=inside, other=-1)
    if tl.max(node, 0) >= 0:
        live = node >= 0
        row = tl.load(rows + s, mask=inside, other=0)
        noise = uniform(tl.load(states + s, mask=inside, other=0), place)
        top = tl.zeros((BN,), tl.float64)
        if WHOLE:
            score = scores_of(w, x, node, row, live, k, E, PRIOR)
            wide = score.to(tl.float64)
            if MANY and not PRIOR:
                height = heights_of(scales, term_units, first, row, live, k, E, WIDTH, B)
                wide = levelled(score, height, above(score, height))
            running = tl.cumsum(wide, 1)
            total = tl.max(running, 1)
            hit = (running > (noise * total)[:, None]) & (wide > 0)
            e = tl.min(tl.where(hit, k[None, :], 2147483647), 1)
            last = tl.max(tl.where(wide > 0, k[None, :], 0), 1)
        else:
            total = tl.zeros((BN,), tl.float64)
            if MANY and not PRIOR:
                top += -1e300
            for done in range(0, E, BK):
                score = scores_of(w, x, node, row, live, done + k, E, PRIOR)
                wide = score.to(tl.float64)
                if MANY and not PRIOR:
                    height = heights_of(scales, term_units, first, row, live, done + k, E, WIDTH, B)
                    higher = tl.maximum(top, above(score, height))
                    total *= tl.exp(top - higher)
                    wide = levelled(score, height, higher)
                    top = higher
                total += tl.sum(wide, 1)
            base = tl.zeros((BN,), tl.float64)
            e = tl.full((BN,), 2147483647, tl.int32)
            last = tl.zeros((BN,), tl.int32)
            for done in range(0, E, BK):
                score = scores_of(w, x, node, row, live, done + k, E, PRIOR)
                wide = score.to(tl.float64)
                if MANY and not PRIOR:
                    wide = levelled(score, heights_of(scales, term_units, first, row, live, done + k, E, WIDTH, B), top)
                running = base[:, None] + tl.cumsum(wide, 1)
                hit = (running > (noise * total)[:, None]) & (wide > 0)
                e = tl.minimum(e, tl.min(tl.where(hit, (done + k)[None, :], 2147483647), 1))
                last = tl.maximum(last, tl.max(tl.where(wide > 0, (done + k)[None, :], 0), 1))
                base = tl.maximum(base, tl.max(running, 1))
        e = tl.minimum(e, last)  # where rounding leaves no element above u·total
        # Parts of a product are terms in a row, whose children are those of the product.
        row_width = WIDTH * PARTS
        product = first // PARTS + e // row_width
        hand_down(active, chosen, slots, units, product, e % row_width, s, live, S, USES, FACTORS, STEP)
        if tl.min(tl.where(live, total, 1.0), 0) < least:
            tl.atomic_max(suspect, 1)


@triton.jit
def add_masses(masses, upto, set_stride, category_stride, N, CATEGORIES, RUNS, BN: tl.constexpr, BC: tl.constexpr):
    """``upto[set, r, n]``: float64 mass of leaf ``n`` on the categories of the first ``r + 1`` runs of ``BC``."""
    blocks = tl.cdiv(N, BN)
    owner = (tl.program_id(0) // blocks).to(tl.int64)
    n = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    total = tl.zeros((BN,), tl.float64)
    for r in range(RUNS):
        c = r * BC + tl.arange(0, BC)
        at = masses + owner * set_stride + (c[:, None] * category_stride + n[None, :])
        total += tl.sum(tl.load(at, mask=(c < CATEGORIES)[:, None] & (n < N)[None, :], other=0.0).to(tl.float64), 0)
        tl.store(upto + (owner * RUNS + r) * N + n, total, mask=n < N)


@triton.jit
def choose_category(
    chosen,
    states,
    rows,
    codes,
    masses,
    upto,
    variables,
    owners,
    places,
    out,
    set_stride,
    category_stride,
    S,
    B,
    N,
    CATEGORIES,
    RUNS,
    COLUMNS,
    BN: tl.constexpr,
    BR: tl.constexpr,
    BC: tl.constexpr,
    PRIOR: tl.constexpr,
):
    """``out[s, v]`` for each slot that a sample reaches: the observed category, or one drawn from the leaf's masses.

    First the run of categories in which the running sum exceeds ``u·total`` is found, then the category within.
    """
    blocks = tl.cdiv(S, BN)
    slot = (tl.program_id(0) // blocks).to(tl.int64)
    s = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    inside = s < S
    node = tl.load(chosen + slot * S + s, mask=inside, other=-1)
    if tl.max(node, 0) >= 0:
        live = node >= 0
        owner = tl.load(owners + slot)
        value = tl.full((BN,), 0, tl.int32) + CATEGORIES
        if not PRIOR:
            row = tl.load(rows + s, mask=inside, other=0)
            code = tl.load(codes + slot * B + row, mask=live, other=0)
            value = (code - owner * (CATEGORIES + 1)).to(tl.int32)
        missing = live & (value == CATEGORIES)
        noise = uniform(tl.load(states + s, mask=inside, other=0), tl.load(places + slot))
        r = tl.arange(0, BR)
        some = missing[:, None] & (r < RUNS)[None, :]
        sums = tl.load(upto + ((owner * RUNS + r)[None, :] * N + node[:, None]), mask=some, other=0.0)
        total = tl.max(sums, 1)
        target = noise * total
        passed = some & (sums <= target[:, None]) & (sums < total[:, None])  # the run after these has mass
        base = tl.max(tl.where(passed, sums, 0.0), 1)
        c = tl.sum(tl.where(passed, 1, 0), 1)[:, None] * BC + tl.arange(0, BC)[None, :]
        at = masses + owner * set_stride + (c * category_stride + node[:, None])
        mass = tl.load(at, mask=missing[:, None] & (c < CATEGORIES), other=0.0).to(tl.float64)
        running = base[:, None] + tl.cumsum(mass, 1)
        hit = (running > target[:, None]) & (mass > 0)
        drawn = tl.min(tl.where(hit, c, 2147483647), 1)
        drawn = tl.minimum(drawn, tl.max(tl.where(mass > 0, c, 0), 1))
        value = tl.where(missing, drawn, value)
        at = out + s.to(tl.int64) * COLUMNS + tl.load(variables + slot)
        tl.store(at, value.to(out.dtype.element_ty), mask=live)
