"""When programs may go on: behind the launch before, and behind programs of their own launch that they read."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def follow(EARLY: tl.constexpr):
    """Waits for the launch before. Where ``EARLY``, a launch starts while the one before still runs, and what stands before
    this line (addresses, weights, leaves: nothing that a launch of the same pass writes) overlaps with it."""
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def share_of(program, programs, tiles):
    """Block, tile of samples, and share of the block, where ``programs`` share each tile of each block."""
    return (program // programs // tiles).to(tl.int64), program // programs % tiles, program % programs


@triton.jit
def links(table, g, COUNT: tl.constexpr):
    """``[COUNT]``: blocks of the launch that a block reads, or that read it; −1: none."""
    return tl.load(table + g * COUNT + tl.arange(0, COUNT))


@triton.jit
def needed_by(table, g, programs, COUNT: tl.constexpr):
    """How many programs a block waits for: all those of each block that it reads."""
    return tl.sum(tl.where(links(table, g, COUNT) >= 0, programs, 0))


@triton.jit
def wait_for(done, needed, g, tile, tiles):
    """Waits until so many programs have told block ``g`` that a tile of samples is done. They were started before this one."""
    if needed > 0:
        told = tl.atomic_add(done + g * tiles + tile, 0, sem="acquire")
        while told < needed:
            told = tl.atomic_add(done + g * tiles + tile, 0, sem="acquire")


@triton.jit
def tell_readers(done, others, tile, tiles):
    """Tells blocks that a tile of samples is done, once all threads have stored it."""
    tl.debug_barrier()
    tl.atomic_add(done + others * tiles + tile, 1, mask=others >= 0, sem="release")
