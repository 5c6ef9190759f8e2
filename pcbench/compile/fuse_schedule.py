"""Which blocks share a launch: those of one phase and shape, and chains of them where a phase has few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from .fuse_blocks import FusedBlock, read

#: Levels with at most this many blocks each, at the top of a circuit, become chains: one program evaluates a chain for its
#: samples, block after block, because a launch for so little would take longer to begin than to run.
FEW = 12
#: Most weights of a block in a chain: larger ones had better be shared out among programs.
SMALL = 65536


def schedule(blocks: list[FusedBlock]) -> list[list[FusedBlock]]:
    """Launches in order of evaluation; blocks of one chain stand beside each other, children before parents.

    A chain is a path: a block joins the chain of the child that ends last, unless two chains end there. The number of
    phases is then logarithmic in the number of blocks (A. N. Strahler's order of a tree) and not the depth.
    """
    by_unit = read(blocks)
    below = {b: [by_unit[u] for term in b.terms for u in term.factors] for b in blocks}
    order = _levels(blocks, below)
    population = Counter(b.level for b in blocks)
    first = max(population, default=0)
    while first > 0 and population[first] <= FEW:
        first -= 1
    last_of: dict[int, FusedBlock] = {}
    for number, block in enumerate(order):
        latest = max((child.phase for child in below[block]), default=0)
        ends = {child.chain for child in below[block] if child.phase == latest}
        if block.level > first + 1 and _small(block) and len(ends) == 1:
            end = last_of[min(ends)]
            if end.level > first and end.shape == block.shape and end in below[block]:
                block.phase, block.chain = latest, end.chain
                last_of[end.chain] = block
                continue
        block.phase, block.chain = latest + 1, number
        last_of[number] = block
    launches: dict[Hashable, list[FusedBlock]] = {}
    for block in sorted(order, key=lambda b: (b.phase, b.chain, b.level)):
        launches.setdefault((block.phase, block.shape), []).append(block)
    return list(launches.values())


def _small(block: FusedBlock) -> bool:
    return block.narrow and not block.many and block.nodes * block.width <= SMALL


def _levels(blocks: list[FusedBlock], below: dict[FusedBlock, list[FusedBlock]]) -> list[FusedBlock]:
    """Levels anew, since looked-up leaves have left; the blocks in order of level."""
    for block in sorted(blocks, key=lambda b: b.level):
        block.level = 1 + max((child.level for child in below[block]), default=0)
    return sorted(blocks, key=lambda b: b.level)
