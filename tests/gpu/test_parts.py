"""Parts of a term that nodes see as a whole or not at all: what heights of nodes in the fused kernels follow from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcbench.compile.fuse_blocks import PARTS, seen_parts


def tiled(rows: list[list[int]], tile: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.bool).repeat_interleave(tile, 0).repeat_interleave(tile, 1)


@pytest.mark.parametrize(
    ("support", "terms", "parts"),
    [
        (tiled([[1, 1], [1, 1]], 4), 2, 1),
        (tiled([[1, 0], [0, 1]], 4), 2, 1),  # a term each
        (tiled([[1, 0], [0, 1]], 4), 1, 2),  # half a term each
        (tiled(torch.eye(16).tolist(), 8), 1, 16),
    ],
)
def test_the_fewest_parts_are_found(support: Tensor, terms: int, parts: int) -> None:
    assert seen_parts(support, terms)[0] == parts


def test_where_there_is_nothing_to_tell_apart_there_is_no_table() -> None:
    whole, ragged, fine = torch.ones(4, 6, dtype=torch.bool), torch.ones(23, 23).tril() > 0, torch.eye(64, dtype=torch.bool)
    for support in (None, whole, ragged, fine):  # parts of one element are as many as elements
        assert seen_parts(support, 1) == (1, None)


@given(st.integers(1, 3), st.integers(1, PARTS), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_who_sees_a_part_has_all_of_its_weights(terms: int, cut: int, width: int, nodes: int, seed: int) -> None:
    chosen = torch.rand(nodes, terms * cut, generator=torch.Generator().manual_seed(seed)) < 0.5
    support = chosen.repeat_interleave(width, 1)
    parts, seen = seen_parts(support, terms)
    if seen is None:
        assert bool(support.all())
        return
    assert parts <= cut
    assert torch.equal(seen.T.repeat_interleave(support.shape[1] // (terms * parts), 1), support)
