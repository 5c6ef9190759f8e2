"""Data and evidence that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pcbench import (
    Evidence,
    Gaussian,
    Model,
)
from pcbench.errors import (
    DataError,
)
from pcbench.execute import expectation, forward, maximise, node_flows, node_values
from pcbench.queries import conditional, conditional_log_likelihood, log_likelihood, marginal, mpe, sample

from .models import GOOD, MODELS, mixed


def changed(which: str, row: int, column: int, value: float) -> torch.Tensor:
    data = GOOD[which].clone()
    data[row, column] = value
    return data


def masked(*shape: int, dtype: torch.dtype = torch.bool) -> Callable[[], Evidence]:
    return lambda: Evidence(GOOD["finite"], torch.ones(shape, dtype=dtype))


def softened(column: int, likelihood: torch.Tensor, which: str = "finite") -> Callable[[], Evidence]:
    return lambda: Evidence(GOOD[which], None, {column: likelihood})


#: name → (which model, how to make the evidence, what the message must say)
BAD_DATA: dict[str, tuple[str, Callable[[], Any], str]] = {
    "category too high": ("finite", lambda: changed("finite", 1, 2, 4), r"row 1, variable 'c'.*4.*0…3"),
    "category negative": ("finite", lambda: changed("finite", 0, 0, -1), r"row 0, variable 'a'.*-1.*0…3"),
    "category too high in a float tensor": ("mixed", lambda: changed("mixed", 0, 0, 3), r"row 0, variable 'colour'.*3.*0…2"),
    "category between two": ("mixed", lambda: changed("mixed", 1, 1, 0.5), r"row 1, variable 'coin'.*0.5.*not an integer"),
    "more categories than declared": ("finite", lambda: torch.full((5, 3), 9, dtype=torch.uint8), r"row 0, variable 'a'.*9"),
    "NaN": ("mixed", lambda: changed("mixed", 1, 2, math.nan), r"row 1, variable 'height'.*nan.*observed=False"),
    "NaN as a category": ("mixed", lambda: changed("mixed", 0, 1, math.nan), r"row 0, variable 'coin'.*nan"),
    "infinity": ("mixed", lambda: changed("mixed", 0, 2, -math.inf), r"row 0, variable 'height'.*-inf.*finite"),
    "too few columns": ("finite", lambda: GOOD["finite"][:, :2], r"shape \[rows, 3\], got \[2, 2\]"),
    "a vector": ("finite", lambda: GOOD["finite"][0], r"shape \[rows, 3\], got \[3\]"),
    "three dimensions": ("finite", lambda: GOOD["finite"][None], r"shape \[rows, 3\], got \[1, 2, 3\]"),
    "complex": ("mixed", lambda: GOOD["mixed"].to(torch.complex64), "complex64"),
    "booleans": ("finite", lambda: GOOD["finite"] > 0, "bool"),
    "a list": ("finite", lambda: [[0, 1, 2]], "list"),
    "text": ("finite", lambda: np.array([["a", "b", "c"]]), "array of"),
    "an empty batch": ("finite", lambda: GOOD["finite"][:0], "empty"),
    "a mask too long": ("finite", masked(4), r"observed needs shape \[2, 3\] or \[3\], got \[4\]"),
    "a mask of other rows": ("finite", masked(3, 3), r"observed needs shape \[2, 3\] or \[3\], got \[3, 3\]"),
    "a mask of one column": ("finite", masked(2, 1), r"got \[2, 1\]"),
    "a mask of numbers": ("finite", masked(2, 3, dtype=torch.uint8), "booleans.*uint8"),
    "soft evidence on no column": ("finite", softened(3, torch.ones(4)), "column 3.*3 variables"),
    "soft evidence on a real variable": ("mixed", softened(2, torch.ones(2), "mixed"), "'height'"),
    "soft evidence of another size": ("finite", softened(0, torch.ones(3)), r"'a'.*\[2, 4\] or \[4\], got \[3\]"),
    "soft evidence of other rows": ("finite", softened(0, torch.ones(3, 4)), r"'a'.*got \[3, 4\]"),
    "soft evidence below zero": ("finite", softened(0, torch.tensor([0.1, -0.1, 0.5, 0.5])), "'a'.*≥ 0"),
    "soft evidence that is no number": ("finite", softened(1, torch.tensor([0.1, math.nan, 0.5, 0.5])), "'b'.*finite"),
}
QUESTIONS: dict[str, Callable[..., Any]] = {
    "forward": forward,
    "expectation": expectation,
    "node_values": node_values,
    "node_flows": node_flows,
    "log_likelihood": log_likelihood,
    "mpe": mpe,
    "conditional": conditional,
    "sample": lambda model, data: sample(model, evidence=data),
    "marginal": lambda model, data: marginal(model, data, [0]),
    "conditional_log_likelihood": lambda model, data: conditional_log_likelihood(model, data, data),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("mistake", BAD_DATA)
def test_data_that_does_not_fit(mistake: str, question: str) -> None:
    which, make, message = BAD_DATA[mistake]
    with pytest.raises(DataError, match=message):
        QUESTIONS[question](MODELS[which], make())


def test_every_mistake_has_a_message_of_its_own() -> None:
    messages = []
    for which, make, _ in BAD_DATA.values():
        with pytest.raises(DataError) as caught:
            forward(MODELS[which], make())
        messages.append(str(caught.value))
    assert len(set(messages)) == len(messages)


def test_values_that_are_not_observed_may_hold_anything() -> None:
    observed = torch.tensor([[True, True, False], [False, True, False]])
    nonsense = torch.tensor([[0.0, 1.0, math.nan], [77.0, 0.0, math.inf]], dtype=torch.float64)
    zeros = torch.where(observed, nonsense, 0.0)
    assert torch.equal(
        forward(MODELS["mixed"], Evidence(nonsense, observed)), forward(MODELS["mixed"], Evidence(zeros, observed))
    )


def test_a_constant_column_trains_and_stays_finite() -> None:
    data = torch.cat((GOOD["mixed"].repeat(20, 1)[:, :2], torch.full((40, 1), 1.5, dtype=torch.float64)), 1)
    data[:, 0] = 1
    model = Model.create(mixed(), data=data)
    for _ in range(10):
        model = maximise(model, expectation(model, data)[0])
    assert torch.isfinite(forward(model, data)).all()
    gaussian = next(v for p, v in model.values().items() if p.shape == (2, 2))
    assert float(gaussian[1].min()) == pytest.approx(Gaussian().min_variance)
