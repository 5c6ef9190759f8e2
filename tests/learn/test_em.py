"""Single steps of EM."""

from __future__ import annotations

import itertools

import pytest
import torch

from pcbench import Categorical, Circuit, Evidence, InputBlock, Model, Parameter, SumBlock, Variables, compile
from pcbench.errors import DataError, OptionError
from pcbench.execute import forward
from pcbench.learn import full_batch_em, mini_batch_em
from pcbench.learn.em import batch_bounds

from .small import LEAVES, chain, rows


def model_of(leaf: str, seed: int = 0) -> Model:
    return Model.create(compile(chain(leaf), dtype=torch.float64), seed=seed, data=rows(leaf=leaf))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("leaf", LEAVES)
def test_full_batch_em_never_falls(leaf, missing):
    data = rows(leaf=leaf)
    mask = torch.rand(data.shape, generator=torch.Generator().manual_seed(3)) < 0.7 if missing else None
    evidence, model, seen = Evidence(data, mask), model_of(leaf), []
    for _ in range(12):
        model, log_likelihood = full_batch_em(model, evidence, batch_size=77)
        seen.append(log_likelihood)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(seen))
    assert seen[-1] > seen[0] + 0.1
    assert seen[-1] <= float(forward(model, evidence).mean()) + 1e-9


def test_batch_size_changes_nothing():
    data, model = rows(100), model_of("bernoulli")
    whole, cut = full_batch_em(model, data), full_batch_em(model, data, batch_size=7)
    assert whole.log_likelihood == pytest.approx(cut.log_likelihood, abs=1e-12)
    for p, value in whole.model.values().items():
        torch.testing.assert_close(cut.model.values()[p], value, rtol=1e-10, atol=1e-12)


def test_step_size_one_is_full_batch():
    data, model = rows(100), model_of("gaussian")
    data = rows(100, "gaussian")
    whole, mini = full_batch_em(model, data), mini_batch_em(model, data, step_size=1.0)
    for p, value in whole.model.values().items():
        torch.testing.assert_close(mini.model.values()[p], value)


def test_small_step_is_an_average():
    data, model = rows(100), model_of("categorical")
    data = rows(100, "categorical")
    far, near = mini_batch_em(model, data, 1.0).model.values(), mini_batch_em(model, data, 0.25).model.values()
    for p, old in model.values().items():
        torch.testing.assert_close(near[p], 0.75 * old + 0.25 * far[p])


def test_row_of_probability_zero_is_named_and_nothing_changes():
    variables = Variables.finite(1, 3)
    sure = Parameter((3, 1), torch.tensor([[0.5], [0.5], [0.0]]))
    model = Model.create(Circuit(SumBlock([InputBlock(variables[0], Categorical(3), 1, sure)])))
    before = {p: v.clone() for p, v in model.values().items()}
    data = torch.tensor([[0], [1], [2], [0], [2]])
    for learn in (lambda: full_batch_em(model, data, batch_size=2), lambda: mini_batch_em(model, data, 0.5)):
        with pytest.raises(DataError, match=r"row 2 of the training data.*probability zero.*pseudocount"):
            learn()
    for p, v in model.values().items():
        assert torch.equal(v, before[p])


def test_batches_are_even():
    assert batch_bounds(10, 4) == [(0, 3), (3, 6), (6, 10)]
    for count in (1, 2, 99, 100, 101, 1025):
        bounds = batch_bounds(count, 100)
        sizes = [b - a for a, b in bounds]
        assert sum(sizes) == count
        assert max(sizes) <= 100
        assert max(sizes) - min(sizes) <= 1
    with pytest.raises(OptionError, match="batch_size"):
        batch_bounds(5, 0)
