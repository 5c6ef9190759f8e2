"""The Triton kernels, run by Triton's interpreter on CPU tensors, against the CPU engine in float64: every structure,
tied and untied, odd widths and batch sizes, missing data, several terms, parents and roots."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported: Triton decides when it decorates them

import dataclasses
import math

import pytest
import torch

import pcbench
from pcbench import Categorical, Circuit, Evidence, InputBlock, Model, ProductBlock, SumBlock, Variables, structures
from pcbench.compile.fuse import fuse, why_not_fused
from pcbench.execute import Statistics, Workspace, em_step, expectation, forward, maximise
from pcbench.execute.fused import fused_batch, fused_upward

CIRCUITS: dict[str, Circuit] = {
    "hclt": structures.hclt(latents=5, variables=Variables.finite(6, 7), tree=[-1, 0, 0, 1, 1, 1]),
    "hclt, wide": structures.hclt(latents=37, variables=Variables.finite(3, 4), tree=[-1, 0, 1]),
    "hmm, tied": structures.hmm(latents=19, variables=Variables.finite(4, 9)),
    "hmm, free": structures.hmm(latents=3, variables=Variables.finite(4, 9), homogeneous=False),
    "rat": structures.rat(latents=4, depth=2, repetitions=2, variables=Variables.finite(7, 3)),
    "pd": structures.poon_domingos(latents=3, shape=(2, 3), split_interval=1, variables=Variables.finite(6, 3)),
    "quad tree": structures.quad_tree(latents=2, shape=(2, 2), variables=Variables.finite(4, 3)),
    "one latent": structures.hclt(latents=1, variables=Variables.finite(3, 2), tree=[-1, 0, 1]),
    "binary": structures.hclt(latents=4, variables=Variables.binary(4), tree=[-1, 0, 1, 2]),
}


def fused(model: Model) -> Model:
    """The same model with fused kernels, which the interpreter runs on the CPU."""
    p = model.program
    assert why_not_fused(p.layers, p.sum_tables, p.leaf_tables) is None
    plan = fuse(
        p.layers,
        p.sum_tables,
        p.leaf_tables,
        p.num_units,
        "exact",
        p.device,
        len(p.circuit.variables),
    )
    return Model(dataclasses.replace(p, fused=plan), model.parameters)


def pair(name: str) -> tuple[Model, Model]:
    """(fused float32 model, the same parameters in float64 on the plain CPU engine)."""
    circuit = CIRCUITS[name]
    model = Model.create(circuit, seed=3)
    return fused(model), model.recompiled(pcbench.compile(circuit, dtype=torch.float64))


def rows(circuit: Circuit, size: int, missing: bool) -> Evidence:
    generator = torch.Generator().manual_seed(size)
    highs = [v.domain.size for v in circuit.variables]
    data = torch.stack([torch.randint(0, h, (size,), generator=generator) for h in highs], 1)
    observed = torch.rand(data.shape, generator=generator) < 0.6 if missing else None
    return Evidence(data, observed)


def same(got: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    error = (got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)
    assert float(error) < tolerance  # NaN never passes


@pytest.mark.parametrize("missing", [False, True], ids=["observed", "missing"])
@pytest.mark.parametrize("size", [1, 17, 70])
@pytest.mark.parametrize("name", CIRCUITS)
def test_steps_equal_the_float64_engine(name: str, size: int, missing: bool) -> None:
    model, precise = pair(name)
    evidence = rows(model.circuit, size, missing)
    space, into = Workspace(), Statistics.zeros(model.program)
    for _ in range(2):  # the second batch is added to the first
        got, likelihood = expectation(model, evidence, space, into)
    expected, precise_likelihood = expectation(precise, evidence)
    same(likelihood, precise_likelihood, 1e-6)
    same(forward(model, evidence), precise_likelihood, 1e-6)
    assert got.rows == 2 * size
    for one, two in zip(got.weights, expected.weights, strict=True):
        same(one, 2 * two, 1e-5)
    for one, two in zip(got.leaves, expected.leaves, strict=True):
        same(one[:, :-1], 2 * two[:, :-1], 1e-5)


@pytest.mark.parametrize(("step", "pseudocount"), [(1.0, 0.0), (0.1, 0.01)])
@pytest.mark.parametrize("name", CIRCUITS)
def test_updates_equal_the_float64_engine(name: str, step: float, pseudocount: float) -> None:
    model, precise = pair(name)
    evidence = rows(model.circuit, 33, False)
    new = maximise(model, expectation(model, evidence)[0], step, pseudocount)
    expected = maximise(precise, expectation(precise, evidence)[0], step, pseudocount).values()
    for parameter, value in new.values().items():
        same(value, expected[parameter], 1e-5)
    assert float(forward(new, evidence).sum()) >= float(forward(model, evidence).sum())
    spare, space = model.clone(), Workspace()
    for _ in range(2):  # the second step writes where the first has written
        stepped = em_step(model, evidence, step, pseudocount, space, spare)
        same(stepped.log_likelihood, expectation(precise, evidence)[1], 1e-6)
        for parameter, value in stepped.model.values().items():
            same(value, expected[parameter], 1e-5)
    same(forward(stepped.model, evidence), forward(new, evidence), 1e-6)  # lookup tables have moved as well


def test_buffers_that_hold_nan_leave_no_trace() -> None:
    model, precise = pair("rat")
    evidence = rows(model.circuit, 20, True)
    space = Workspace()
    expectation(model, evidence, space)
    for buffer in space._buffers.values():
        if buffer.is_floating_point():
            buffer.fill_(torch.nan)
    got, likelihood = expectation(model, evidence, space)
    same(likelihood, expectation(precise, evidence)[1], 1e-6)
    assert all(bool(torch.isfinite(w).all()) for w in [*got.weights, *got.leaves])


def test_lost_mass_is_found_and_computed_exactly() -> None:
    """A node whose whole weight lies on an element 1e-60 below the best one: its linear sum is zero in float32."""
    variables = Variables.finite(2, 2)
    leaves = [InputBlock(v, Categorical(2), 2) for v in variables]
    middle = SumBlock([ProductBlock(leaves)], 2)
    circuit = Circuit(SumBlock([middle]), variables)
    values = {leaf.parameter: torch.tensor([[1e-30, 1.0], [1.0, 0.0]], dtype=torch.float64) for leaf in leaves}
    values[middle.parameter] = torch.eye(2, dtype=torch.float64)
    values[circuit.roots[0].parameter] = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    precise = Model.from_values(pcbench.compile(circuit, dtype=torch.float64), values)
    model = fused(precise.recompiled(pcbench.compile(circuit)))
    data, space = torch.tensor([[0, 0], [1, 1]]), Workspace()
    laid_out = fused_batch(model.program, Evidence(data), space)
    assert laid_out is not None
    assert not fused_upward(model.program, model.parameters, laid_out, space).settle().exact
    expected, truth = expectation(precise, data)
    assert abs(float(truth[0]) - 2 * math.log(1e-30)) < 1e-3
    same(forward(model, data), truth, 1e-6)
    got, likelihood = expectation(model, data, space)
    same(likelihood, truth, 1e-6)
    for one, two in zip(got.weights, expected.weights, strict=True):
        same(one, two, 1e-5)


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


def test_what_has_no_fused_form_says_why() -> None:
    program = pcbench.compile(structures.hclt(latents=2, variables=Variables.real(3), tree=[-1, 0, 1]))
    assert "gaussian" in (why_not_fused(program.layers, program.sum_tables, program.leaf_tables) or "")
