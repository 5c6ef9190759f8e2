"""Rows of a run: batches in the order of an epoch, in the smallest integers that hold them."""

from __future__ import annotations

import pytest
import torch

import pcbench
from pcbench import Evidence, Finite, Real, Variables, structures
from pcbench.compile import Program
from pcbench.learn.rows import Rows, smallest


def program(variables: Variables) -> Program:
    return pcbench.compile(structures.hclt(latents=2, variables=variables, tree=[-1, 0]))


def test_a_batch_comes_in_the_order_of_the_epoch_with_the_numbers_of_its_rows() -> None:
    values = torch.arange(20).view(10, 2) % 5
    seen = torch.rand(10, 2, generator=torch.Generator().manual_seed(0)) > 0.3
    rows = Rows(Evidence(values, seen), program(Variables.finite(2, 5)))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    assert len(rows) == 10
    evidence, numbers = rows.batch(3, 7, order)
    assert numbers.tolist() == order[3:7].tolist()
    assert torch.equal(evidence.values, values[numbers])
    assert evidence.observed is not None
    assert torch.equal(evidence.observed, seen[numbers])
    evidence, numbers = rows.batch(3, 7)
    assert numbers.tolist() == [3, 4, 5, 6]
    assert torch.equal(evidence.values, values[3:7])


@pytest.mark.parametrize(
    ("sizes", "given", "kept"),
    [
        ((2, 256), torch.int64, torch.uint8),
        ((2, 257), torch.int64, torch.int16),
        ((32768, 2), torch.int64, torch.int16),
        ((32769, 2), torch.int64, torch.int32),
        ((2, 300), torch.uint8, torch.uint8),  # no value is larger
        ((2, 256), torch.float64, torch.float64),  # may hold more than integers
    ],
)
def test_integers_are_kept_as_small_as_their_domains_allow(
    sizes: tuple[int, int], given: torch.dtype, kept: torch.dtype
) -> None:
    assert smallest(given, program(Variables([Finite(size) for size in sizes]))) == kept


def test_real_values_stay_as_they_are() -> None:
    mixed = Variables([Finite(3), Real()])
    circuit = structures.rat(latents=2, depth=1, repetitions=1, variables=mixed)
    assert smallest(torch.float32, pcbench.compile(circuit)) == torch.float32
