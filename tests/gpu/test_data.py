"""Data on its way to the kernels, run by Triton's interpreter: what is checked, what floats may hold, families of all kinds."""

from __future__ import annotations

import math

import pytest
import torch

import pcbench
from pcbench import Categorical, Circuit, Evidence, Gaussian, InputBlock, Model, ProductBlock, SumBlock, Variables
from pcbench.compile.fuse import why_not_fused
from pcbench.execute import Statistics, Workspace, expectation, forward, fused_densities

from .test_interpreted import counted, fused, one_program, pair, rows, same


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy."""
    one_program(monkeypatch)


@pytest.mark.parametrize("wrong", [-1, 7, 255])
def test_values_outside_their_domain_are_named(wrong: int) -> None:
    model, _ = pair("hclt")
    data = rows(model.circuit, 40, False).values
    data[33, 4] = wrong
    space, into = Workspace(), Statistics.zeros(model.program)
    for question in (lambda: forward(model, data, space), lambda: expectation(model, data, space, into)):
        with pytest.raises(pcbench.errors.DataError, match=rf"row 33, variable 'x4'.*{wrong}"):
            question()
    assert into.rows == 0
    assert not any(bool(t.any()) for t in [*into.weights, *into.leaves])


class Laplace(Gaussian):
    """Another family; its parameters are locations and scales."""

    def log_density(self, parameters: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        place, scale = parameters[..., 0, None, :], parameters[..., 1, None, :]
        density: torch.Tensor = -(values.unsqueeze(-1) - place).abs().to(parameters.dtype) / scale - (2 * scale).log()
        return density


def test_a_family_without_a_kernel_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_densities, "CELLS", 1)  # piece by piece
    variables = Variables.real(3)
    leaves = [InputBlock(v, Laplace(), 5) for v in variables]
    plain = Model.create(Circuit(SumBlock([SumBlock([ProductBlock(leaves)], 4)]), variables), seed=3)
    model = fused(plain)
    for missing in (False, True):
        evidence = rows(plain.circuit, 17, missing)
        got, likelihood = expectation(model, evidence)
        expected, truth = expectation(plain, evidence)
        same(likelihood, truth, 1e-6)
        for one, two in zip(counted(got), counted(expected), strict=True):
            same(one, two, 1e-5)


@pytest.mark.parametrize(
    ("column", "wrong", "what"), [(0, 0.5, "not an integer"), (1, math.nan, "not finite"), (3, 3.0, "outside")]
)
def test_values_of_mixed_data_are_checked_where_they_are_laid_out(column: int, wrong: float, what: str) -> None:
    model, precise = pair("mixed")
    evidence = rows(model.circuit, 40, False)
    evidence.values[33, column] = wrong
    with pytest.raises(pcbench.errors.DataError, match=rf"row 33, variable 'x{column}'.*{what}"):
        forward(model, evidence)
    seen = torch.ones(evidence.values.shape, dtype=torch.bool)
    seen[33, column] = False
    unseen = Evidence(evidence.values, seen)
    same(forward(model, unseen), forward(precise, unseen), 1e-6)


def test_floats_may_hold_categories() -> None:
    model, _ = pair("hclt")
    data = rows(model.circuit, 9, False).values
    assert torch.equal(forward(model, data.float()), forward(model, data))
    data = data.float()
    data[7, 4] = 0.5
    with pytest.raises(pcbench.errors.DataError, match=r"row 7, variable 'x4'.*not an integer"):
        forward(model, data)


def test_what_has_no_fused_form_says_why() -> None:
    variables = Variables.finite(2, 3)
    pairs = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    circuit = Circuit(SumBlock([ProductBlock([InputBlock(v, Categorical(3), 2) for v in variables], pairs)]), variables)
    program = pcbench.compile(circuit)
    assert "single nodes" in (why_not_fused(program.layers, program.sum_tables) or "")
