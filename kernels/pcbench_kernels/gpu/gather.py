"""Flows of leaves, gathered from the elements that they multiply."""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import offset_and_stride


@triton.jit
def gather_flows(
    flows,
    entries,
    elements_at,
    offsets,
    strides,
    out,
    B,
    NODES,
    BN: tl.constexpr,
    BM: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """``out[i, b, n]``: flow of sample ``b`` into node ``n`` of entry ``entries[i]``; zeros where that is −1."""
    blocks = tl.cdiv(B, BN)
    i = (tl.program_id(0) // blocks).to(tl.int64)
    b = (tl.program_id(0) % blocks) * BN + tl.arange(0, BN)
    n = tl.program_id(1) * BM + tl.arange(0, BM)
    mask = (b < B)[:, None] & (n < NODES)[None, :]
    entry = tl.load(entries + i)
    at = tl.maximum(entry, 0)
    offset, stride = offset_and_stride(offsets, strides, at, ALIGNED)
    start = tl.load(elements_at + at) * B + offset
    there = b < tl.where(entry >= 0, B, 0)
    flow = tl.load(flows + start + (b[:, None] * stride + n[None, :]), mask=mask & there[:, None], other=0.0)
    tl.store(out + i * B * NODES + (b[:, None] * NODES + n[None, :]), flow.to(tl.float32), mask=mask)
