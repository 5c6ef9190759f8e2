"""Expected counts of edges: flows by value of the nodes, times elements, added up over samples."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import offset_and_stride, put, take, weight_rows, within


@triton.jit
def edge_products(
    ratios,
    elements,
    nodes_at,
    elements_at,
    offsets,
    strides,
    first,
    last,
    n,
    n_in,
    k,
    B,
    NODES,
    WIDTH,
    BM: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    PAIR: tl.constexpr,
    PRECISION: tl.constexpr,
    ALIGNED: tl.constexpr,
    FULL: tl.constexpr,
):
    """``[BM, BE]``: ``Σ_g Σ_b r[g,b,n]·x[g,b,e]`` over a run of terms; and the same for the next ``BE`` elements (``PAIR``).

    ``FULL``: nodes and elements fill their tiles.
    """
    total = tl.zeros((BM, BE), tl.float32)
    more = total
    k_in = k < WIDTH
    for i in range(first, last):
        offset, stride = offset_and_stride(offsets, strides, i, ALIGNED)
        r = ratios + tl.load(nodes_at + i) * B
        x = elements + tl.load(elements_at + i) * B + offset
        for b0 in range(0, B, BK):
            b = b0 + tl.arange(0, BK)
            b_in = b < B
            left = tl.load(r + b[:, None] * NODES + n[None, :], mask=within(b_in, n_in, FULL), other=0.0)
            at = x + b[:, None] * stride + k[None, :]
            right = tl.load(at, mask=within(b_in, k_in, FULL), other=0.0)
            total = tl.dot(tl.trans(left), right, total, input_precision=PRECISION)
            if PAIR:
                right = tl.load(at + BE, mask=within(b_in, k + BE < WIDTH, FULL), other=0.0)
                more = tl.dot(tl.trans(left), right, more, input_precision=PRECISION)
    return total, more


@triton.jit
def edge_flow(
    ratios,
    elements,
    weights,
    out,
    run_start,
    nodes_at,
    elements_at,
    offsets,
    strides,
    weights_at,
    B,
    NODES,
    WIDTH,
    BASE,
    BM: tl.constexpr,
    BE: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
    ADD: tl.constexpr,
    ALIGNED: tl.constexpr,
    FULL: tl.constexpr,
):
    """Expected counts ``w[n,e]·Σ r·x`` over a run of terms that share weights; written, or added.

    ``BASE`` is the weight whose count is the first of ``out``.
    """
    tiles = tl.cdiv(WIDTH, BE)
    run = tl.program_id(0) // tiles
    k = (tl.program_id(0) % tiles) * BE + tl.arange(0, BE)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    k_in = k < WIDTH
    n_in = n < NODES
    first = tl.load(run_start + run)
    last = tl.load(run_start + run + 1)
    total, _ = edge_products(
        ratios, elements, nodes_at, elements_at, offsets, strides, first, last, n, n_in, k, B, NODES, WIDTH,
        BM, BE, BK, False, PRECISION, ALIGNED, FULL,
    )  # fmt: skip
    stride = tl.load(strides + first).to(tl.int32)
    if ALIGNED:
        stride = tl.multiple_of(stride, 16)
    start = weight_rows(weights_at, first, ALIGNED)
    where = n[:, None] * stride + k[None, :]
    mask = n_in[:, None] & k_in[None, :]
    total *= take(weights + start + where, mask, FULL)
    count = out + (start - BASE) + where
    if ADD:
        tl.atomic_add(count, total, mask=mask, sem="relaxed")
    else:
        put(count, total, mask, FULL)
