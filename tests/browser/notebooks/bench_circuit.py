"""A small circuit of every kind of block, for the notebook beside this file: a tree of mixtures over 24 variables."""

import torch

from pcbench import Bernoulli, BlockSparse, Circuit, Dense, InputBlock, ProductBlock, SumBlock, Variables

NODES = 8
TILE = 4


def leaf_pair(left, right):
    children = [InputBlock(v, Bernoulli(), NODES, name=f"in {v.name}") for v in (left, right)]
    return ProductBlock(children, name=f"{left.name} × {right.name}")


def merge(parts, level):
    """Pairs of neighbours become products of sums; block-sparse sums at the first level, dense ones above."""
    out = []
    for i in range(0, len(parts), 2):
        pair = parts[i : i + 2]
        sums = [SumBlock([part], NODES, edges=edges(level), name=f"sum {level}.{i + k}") for k, part in enumerate(pair)]
        out.append(ProductBlock(sums, name=f"product {level}.{i // 2}") if len(sums) > 1 else sums[0])
    return out


def edges(level):
    rows = torch.arange(NODES // TILE)
    return BlockSparse(TILE, rows, rows) if level == 1 else Dense()


def tree(variables=24):
    names = Variables.binary(variables)
    parts = [leaf_pair(names[i], names[i + 1]) for i in range(0, variables, 2)]
    level = 1
    while len(parts) > 1:
        parts = merge(parts, level)
        level += 1
    return Circuit([SumBlock(parts, 1, name="root")], variables=names)


def large(variables=1200):
    """More than 20,000 blocks: several mixtures of each variable's leaves, multiplied and mixed up a tree of pairs."""
    names = Variables.binary(variables)
    columns = [mixtures([InputBlock(v, Bernoulli(), 2) for _ in range(6)]) for v in names]
    while len(columns) > 1:
        odd = columns[-1:] if len(columns) % 2 else []
        pairs = zip(columns[::2], columns[1::2], strict=False)
        columns = [mixtures([ProductBlock([x, y]) for x in a for y in b][:6]) for a, b in pairs] + odd
    return Circuit([SumBlock(columns[0], 1)], variables=names)


def mixtures(parts):
    return [SumBlock(parts[a:b], 2) for a, b in ((0, 3), (3, 6), (1, 5))]
