"""Gradients by the fused kernels, run by Triton's interpreter, against the float64 engine's."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

import pcbench
from pcbench import (
    Categorical,
    Circuit,
    Evidence,
    Finite,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    Real,
    SumBlock,
    Variables,
    log_likelihood,
)
from pcbench.compile.fuse import Fused, fuse
from pcbench.errors import DataError, QueryError
from pcbench.execute import em_step, gradient, steps
from pcbench.nn import CircuitModule

from .test_interpreted import CIRCUITS, fused, one_program, pair, rows
from .test_posteriors import two_roots


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy."""
    one_program(monkeypatch)


def gradients(model: Model, evidence: Evidence, upstream: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of ``Σ upstream · log-likelihood`` by each tensor of a module."""
    module = CircuitModule(model)
    module(evidence).backward(upstream)
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], most: float) -> None:
    assert got.keys() == expected.keys()
    for name, truth in expected.items():
        error = (got[name].double() - truth).norm() / truth.norm().clamp(min=1e-30)
        assert float(error) < most, name  # NaN never passes


def mixed(size: int, outputs: int) -> torch.Tensor:
    """Weights of either sign."""
    return torch.randn(size, outputs, generator=torch.Generator().manual_seed(size), dtype=torch.float64) * 1e-3


NAMES = [
    (name, False) for name in ("hclt", "hmm, tied", "rat, many", "pd, holes", "sparse", "normal", "normal, tied", "mixed")
] + [
    ("pd", True),
    ("pd, diagonal", True),
]


@pytest.mark.parametrize(("name", "wide"), NAMES, ids=[f"{n}{', large' if wide else ''}" for n, wide in NAMES])
def test_gradients_are_those_of_the_float64_engine(name: str, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, precise = pair(name, wide)
    evidence, upstream = rows(model.circuit, 19, True), mixed(19, 1)
    expected = gradients(precise, evidence, upstream)
    monkeypatch.setattr(gradient, "upward", None)  # the exact passes would raise
    same(gradients(model, evidence, upstream), expected, 1e-5)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ["normal", "normal, shared", "mixed"])
def test_real_values_have_the_gradients_of_the_float64_engine(name: str, frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network's outputs, say, with the circuit learning or ``frozen``; what is missing has none."""
    model, precise = pair(name)
    evidence, upstream = rows(model.circuit, 19, True), mixed(19, 1)

    def by_values(of: Model) -> torch.Tensor:
        module, values = CircuitModule(of).requires_grad_(not frozen), evidence.values.clone().requires_grad_()
        module(Evidence(values, evidence.observed)).backward(upstream)
        assert values.grad is not None
        assert all((p.grad is None) == frozen for p in module.parameters())
        return values.grad

    expected = by_values(precise)
    assert evidence.observed is not None
    assert not expected[~evidence.observed].any()
    real = torch.tensor([isinstance(v.domain, Real) for v in model.circuit.variables])
    assert torch.equal(expected.any(0), real)
    monkeypatch.setattr(gradient, "upward", None)  # the exact passes would raise
    same({"values": by_values(model)}, {"values": expected}, 1e-5)


def test_every_root_sends_its_own() -> None:
    plain = Model.create(two_roots(), seed=3)
    evidence, upstream = rows(plain.circuit, 9, True), mixed(9, 3)
    precise = plain.recompiled(pcbench.compile(plain.circuit, dtype=torch.float64))
    same(gradients(fused(plain), evidence, upstream), gradients(precise, evidence, upstream), 1e-5)


def test_a_frozen_parameter_gets_none() -> None:
    variables = Variables.finite(2, 3)
    fixed = [Parameter((3, 4), torch.full((3, 4), 1 / 3), trainable=False), Parameter((3, 4))]
    leaves = [InputBlock(v, Categorical(3), 4, p) for v, p in zip(variables, fixed, strict=True)]
    circuit = Circuit(SumBlock([SumBlock([ProductBlock(leaves)], 4)]), variables)
    plain = Model.create(circuit, seed=3)
    evidence, upstream = rows(circuit, 9, False), mixed(9, 1)
    found, expected = gradients(fused(plain), evidence, upstream), gradients(plain, evidence, upstream)
    assert found["leaf_0"].shape[0] == 1
    same(found, expected, 1e-5)


def test_rows_of_little_weight_keep_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows of 16 bits: the only row with a value weighs 1e-8 of another one."""
    monkeypatch.setattr(Fused, "operands", torch.float32)  # the interpreter does not multiply bfloat16
    plain = Model.create(CIRCUITS["binary"], seed=3)
    p = plain.program
    plan = fuse(p.layers, p.sum_tables, p.leaf_tables, p.num_units, "fast", p.device, len(p.circuit.variables))
    model = plain.recompiled(dataclasses.replace(p, fused=plan))
    evidence = Evidence(torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]]), torch.tensor([[True] * 4, [True, True, False, True]]))
    for weights in ([1.0, 1e-8], [-1e-8, 1e30]):
        upstream = torch.tensor(weights, dtype=torch.float64)[:, None]
        found, expected = gradients(model, evidence, upstream), gradients(plain, evidence, upstream)
        same(found, expected, 2e-3)
    small = torch.tensor([[0.0], [1e-8]], dtype=torch.float64)
    parts = [gradients(model, evidence, torch.tensor([[w], [1e-8]], dtype=torch.float64)) for w in (1.0, 0.0)]
    assert all(bool(torch.isfinite(g).all()) for part in parts for g in part.values())
    counts = [_counts(model, evidence, torch.tensor([[w], [1e-8]], dtype=torch.float64)) for w in (1.0, 0.0)]
    truth = _counts(plain, evidence, small)
    for found_counts in counts:  # of value 1, which the heavy row does not have
        torch.testing.assert_close(found_counts, truth, rtol=0.05, atol=0)


def _counts(model: Model, evidence: Evidence, upstream: torch.Tensor) -> torch.Tensor:
    """Gradient by the logs of the leaves' probabilities of the value 1, summed over nodes."""
    module = CircuitModule(model)
    parameters, targets = module._tables(True)
    logs = targets.leaves[0]
    logs.retain_grad()
    spaces = gradient.Spaces()
    gradient.differentiable_log_likelihood(model.program, parameters, evidence, targets, spaces).backward(upstream)
    assert logs.grad is not None
    return logs.grad[:, 1].sum(-1).double()


def test_two_backward_passes_give_the_same() -> None:
    model, _ = pair("rat, many")
    module, evidence = CircuitModule(model), rows(model.circuit, 5, True)
    loss = module(evidence).sum()
    other = module(evidence).mean()  # takes a workspace of its own
    first = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(module.parameters()))
    third = torch.autograd.grad(other, list(module.parameters()))
    for one, two, three in zip(first, again, third, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        torch.testing.assert_close(one / 5, three, rtol=1e-5, atol=1e-7)
    once = torch.autograd.grad(module(evidence).sum(), list(module.parameters()), create_graph=True)
    with pytest.raises(QueryError, match="differentiated once"):
        once[0].sum().backward()


def test_a_batch_that_lost_mass_takes_the_exact_passes() -> None:
    variables = Variables.finite(2, 2)
    leaves = [InputBlock(v, Categorical(2), 2) for v in variables]
    middle = SumBlock([ProductBlock(leaves)], 2)
    circuit = Circuit(SumBlock([middle]), variables)
    values: dict[Any, torch.Tensor] = {
        leaf.parameter: torch.tensor([[1e-30, 0.5], [1.0, 0.5]], dtype=torch.float64) for leaf in leaves
    }
    values[middle.parameter] = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    values[circuit.roots[0].parameter] = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    plain = Model.from_values(pcbench.compile(circuit), values)
    evidence, upstream = Evidence(torch.tensor([[0, 0], [1, 1]])), torch.ones(2, 1, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="lost mass"):
        found = gradients(fused(plain), evidence, upstream)
    same(found, gradients(plain, evidence, upstream), 1e-6)


def test_wrong_values_are_named() -> None:
    model, _ = pair("binary")
    with pytest.raises(DataError, match=r"row 1, variable 'x2'.*2"):
        CircuitModule(model)(torch.tensor([[0, 0, 0, 0], [0, 0, 2, 0]]))


def test_no_gradient_from_above_is_none_below() -> None:
    model, _ = pair("binary")
    for found in gradients(model, rows(model.circuit, 3, False), torch.zeros(3, 1, dtype=torch.float64)).values():
        assert not bool(found.any())


def softly(circuit: Circuit, size: int) -> tuple[Evidence, list[torch.Tensor]]:
    """Evidence in which the first finite variable has likelihoods for each row and the last one for all of them, and others are
    missing at random; and those likelihoods, by which gradients are to be taken."""
    hard, generator = rows(circuit, size, True), torch.Generator().manual_seed(1)
    first, *_, last = (v for v in circuit.variables if isinstance(v.domain, Finite))
    given = torch.rand(size, first.domain.size, generator=generator, dtype=torch.float64)
    given[1] *= 1e-90
    given[2, 0] = 0.0
    shared = torch.rand(last.domain.size, generator=generator, dtype=torch.float64)
    soft = {first.index: given.requires_grad_(), last.index: shared.requires_grad_()}
    return Evidence(hard.values, hard.observed, soft), [given, shared]


@pytest.mark.parametrize("name", ["hclt", "hmm, tied", "rat, many", "pd", "mixed"])
def test_soft_evidence_takes_the_fused_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, precise = pair(name)
    evidence, soft = softly(model.circuit, 19)
    upstream = mixed(19, 1)
    expected = gradients(precise, evidence, upstream)
    truth, by_soft = log_likelihood(precise, evidence), [s.grad for s in soft]
    learnt = em_step(precise, evidence, 0.5, 0.1).model.values()
    for s in soft:
        s.grad = None
    monkeypatch.setattr(gradient, "upward", None)  # the exact passes would raise
    monkeypatch.setattr(steps, "fastest_upward", None)
    for parameter, value in em_step(model, evidence, 0.5, 0.1).model.values().items():
        torch.testing.assert_close(value.double(), learnt[parameter].double(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(log_likelihood(model, evidence), truth, rtol=1e-6, atol=0)
    same(gradients(model, evidence, upstream), expected, 1e-5)
    for s, g in zip(soft, by_soft, strict=True):
        assert g is not None
        torch.testing.assert_close(s.grad, g, rtol=1e-4, atol=1e-12)
