"""Nothing that a test does wrong may change a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pcbench.execute import forward

from .models import GOOD, MODELS


@pytest.fixture(autouse=True)
def nothing_changes() -> Iterator[None]:
    """Whatever a test does wrong, the models hold and answer afterwards what they held and answered before."""
    held = {n: {p: v.clone() for p, v in m.values().items()} for n, m in MODELS.items()}
    answers = {n: forward(m, GOOD[n]) for n, m in MODELS.items()}
    yield
    for name, model in MODELS.items():
        assert torch.equal(forward(model, GOOD[name]), answers[name])
        for parameter, value in model.values().items():
            assert torch.equal(value, held[name][parameter])
