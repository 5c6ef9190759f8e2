"""Sums large enough to need a pyramid of tiles, for the browser tests of the compiled layout."""

import torch

from pcbench import Bernoulli, BlockSparse, Circuit, InputBlock, Model, ProductBlock, SumBlock, Variables, compile


def wide(side=16384, tile=32, band=23):
    """A model whose layer 0 is one sum of `side` nodes over as many elements, in tiles on slanted bands."""
    names = Variables.binary(2)
    count = side // tile
    rows = torch.arange(count).repeat_interleave(band)
    cols = (rows * 3 + torch.arange(band).repeat(count)) % count
    leaves = [InputBlock(v, Bernoulli(), side, name=f"leaves {v.name}") for v in names]
    wide = SumBlock([ProductBlock(leaves, name="pairs")], side, edges=BlockSparse(tile, rows, cols), name="wide")
    return Model.create(compile(Circuit([SumBlock([wide], 1, name="root")], variables=names)))


def holed():
    """Edges in tiles of 16 in one sum, and a dense sum over 20 elements: every block size wastes another share."""
    names = Variables.binary(2)
    leaves = [InputBlock(v, Bernoulli(), 96) for v in names]
    rows = torch.arange(6).repeat_interleave(2)
    cols = (rows + torch.arange(2).repeat(6) * 3) % 6
    inner = SumBlock([ProductBlock(leaves)], 96, edges=BlockSparse(16, rows, cols), name="holed")
    return Circuit([SumBlock([SumBlock([inner], 20, name="ragged")], 1, name="root")], variables=names)


def ragged():
    """A dense sum of 301 nodes over 701 elements: its last tiles end in the middle."""
    names = Variables.binary(1)
    inner = SumBlock([InputBlock(names[0], Bernoulli(), 701)], 301, name="dense")
    return Circuit([SumBlock([inner], 1, name="root")], variables=names)
