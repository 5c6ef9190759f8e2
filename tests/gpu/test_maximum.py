"""Max-product sums by the kernel, run by Triton's interpreter: the CPU's numbers, to the bit."""

from __future__ import annotations

import importlib
import os

os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported: Triton decides when it decorates them

import pytest
import torch

from pcbench import Model, mpe
from pcbench_kernels.gpu import max_plus

from .test_interpreted import CIRCUITS, fused, one_program, rows


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    one_program(monkeypatch)


@pytest.mark.parametrize(("groups", "size", "elements", "nodes"), [(1, 1, 1, 1), (3, 5, 7, 9), (2, 70, 3, 65)])
def test_maxima_of_odd_shapes(groups: int, size: int, elements: int, nodes: int) -> None:
    generator = torch.Generator().manual_seed(nodes)
    x = torch.randn(groups, size, elements, generator=generator)
    weights = torch.randn(2 * groups, elements, nodes, generator=generator)[::2]  # every second set of a table
    x[0, 0, 0] = weights[0, -1, -1] = -torch.inf
    y = torch.full((groups, size, nodes), torch.nan)
    max_plus(x, weights, y)
    assert torch.equal(y, (x[..., None] + weights[:, None]).amax(2))


@pytest.mark.parametrize("name", ["hclt", "hclt, wider", "hmm, tied", "hmm, free", "rat, many", "pd", "sparse"])
def test_best_trees_are_those_of_the_cpu(name: str) -> None:
    plain = Model.create(CIRCUITS[name], seed=3)
    model, evidence = fused(plain), rows(plain.circuit, 19, True)
    got, expected = mpe(model, evidence), mpe(plain, evidence)
    assert torch.equal(got.state, expected.state)
    assert torch.equal(got.log_tree, expected.log_tree)
    torch.testing.assert_close(got.log_probability, expected.log_probability, rtol=1e-5, atol=1e-5)


def test_determinism_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.create(CIRCUITS["binary"], seed=3)
    evidence = rows(model.circuit, 2, True)
    first = mpe(model, evidence)
    monkeypatch.setattr(importlib.import_module("pcbench.queries.mpe"), "deterministic", None)
    again = mpe(model, evidence)
    assert (again.exact, again.note) == (first.exact, first.note)
    with pytest.raises(TypeError):  # another model has to be looked at
        mpe(Model.create(CIRCUITS["binary"], seed=3), evidence)
