"""Shared by the laws: tolerances, and comparing an engine's answer with the oracle's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import pcbench
from pcbench import Circuit, Model
from pcbench.compile import group
from pcbench_kernels.cpu import sum_dense, sum_tiles

from ..oracle import numbers

#: What the project promises: 1e-6 in float64, 1e-4 relative in float32.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
DTYPES = [torch.float64, torch.float32]
#: Layouts of weights; "usual" is what the engine chooses by itself.
KERNELS = ("usual", "tiles", "edges")


@contextmanager
def preferring(kernel: str) -> Iterator[None]:
    """While compiling, let small circuits have the layouts of large ones: ``"tiles"`` or ``"edges"`` wherever they fit."""
    before = sum_dense.SMALL, group.WASTE["cpu"], sum_tiles.MIN_TILE
    try:
        if kernel != "usual":
            sum_dense.SMALL, group.WASTE["cpu"], sum_tiles.MIN_TILE = 0, 1, 2 if kernel == "tiles" else 1 << 30
        yield
    finally:
        sum_dense.SMALL, group.WASTE["cpu"], sum_tiles.MIN_TILE = before


def compiled(
    circuit: Circuit, dtype: torch.dtype = torch.float64, seed: int = 0, tile: int = 32, kernel: str = "usual"
) -> Model:
    """A model with random parameters where the circuit has none."""
    with preferring(kernel):
        return Model.create(pcbench.compile(circuit, dtype=dtype, tile=tile), seed=seed)


def reference(model: Model) -> dict[Any, np.ndarray]:
    """The model's parameters as the oracle wants them."""
    return numbers(model.values())


def close(got: Any, expected: Any, dtype: torch.dtype = torch.float64, what: str = "") -> None:
    """Equal within the promise; infinities must be equal, and NaN is never right."""
    tolerance = TOLERANCE[dtype]
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    assert not np.isnan(got).any(), f"{what}: NaN"
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def close_parameters(model: Model, expected: Mapping[Any, np.ndarray], what: str = "") -> None:
    """Every parameter of a model against the oracle's."""
    for parameter, value in model.values().items():
        close(value, expected[parameter], model.program.dtype, f"{what} {parameter.name or ''}")
