"""Posteriors by the fused kernels, run by Triton's interpreter, against the CPU engine in float64."""

from __future__ import annotations

import dataclasses
import importlib

import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    Categorical,
    Circuit,
    Evidence,
    Finite,
    InputBlock,
    Model,
    ProductBlock,
    SumBlock,
    Variables,
    conditional,
    structures,
)
from pcbench.compile.fuse import Fused, fuse
from pcbench.errors import DataError, QueryError
from pcbench.execute import fused_posterior, lent_workspace
from pcbench.queries.posterior import Posterior

from .test_interpreted import CIRCUITS, fused, one_program, pair, rows

module = importlib.import_module("pcbench.queries.conditional")  # the package has a function of that name


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy."""
    one_program(monkeypatch)


@pytest.fixture
def fused_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the exact passes were asked")

    monkeypatch.setattr(module, "upward", never)


def half(circuit: Circuit, size: int) -> Evidence:
    """Every second variable is observed."""
    return Evidence(rows(circuit, size, False).values, torch.arange(len(circuit.variables)) % 2 == 0)


def same_mixture(got: Posterior, expected: Posterior, most: float) -> None:
    for (one, _, weights), (two, _, truth) in zip(got.components, expected.components, strict=True):
        assert one == two
        assert weights.dtype == torch.float64
        torch.testing.assert_close(weights, truth, rtol=0, atol=most)
    torch.testing.assert_close(got.mean, expected.mean, rtol=0, atol=10 * most)
    torch.testing.assert_close(got.variance, expected.variance, rtol=0, atol=100 * most)
    at = torch.linspace(-1, 1, len(got.mean), dtype=torch.float64)
    torch.testing.assert_close(got.cdf(at), expected.cdf(at), rtol=0, atol=10 * most)


def same(model: Model, plain: Model, evidence: Evidence, output: int = 0, most: float = 1e-5) -> None:
    exact = conditional(plain, evidence, output=output)
    expected = {name: p.probabilities for name, p in exact.items()}
    found = conditional(model, evidence, output=output)
    assert found.keys() == expected.keys()
    for name, truth in expected.items():
        got = found[name].probabilities
        if truth is None:
            assert got is None
            same_mixture(found[name], exact[name], most)
            continue
        assert got is not None
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, truth.double(), rtol=0, atol=most)


SMALL = ("hclt", "star", "hmm, tied", "rat", "pd", "pd, holes", "sparse", "one latent", "mixed", "normal", "normal, shared",
         "normal, tied")  # fmt: skip
ASKED = [(name, False) for name in SMALL]
ASKED += [(name, True) for name in ("hmm, tied", "pd, diagonal")]


@pytest.mark.parametrize(("name", "wide"), ASKED, ids=[f"{n}{', large' if wide else ''}" for n, wide in ASKED])
def test_posteriors_are_those_of_the_float64_engine(name: str, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, precise = pair(name, wide)
    asked = module.upward
    monkeypatch.setattr(module, "upward", lambda program, *a, **k: asked(program, *a, **k) if program.fused is None else 1 / 0)
    same(model, precise, half(model.circuit, 11))


@pytest.mark.parametrize("name", ["rat", "normal, shared"])
def test_batches_and_pieces_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = pair(name)
    evidence = half(model.circuit, 12)
    whole = conditional(model, evidence)
    monkeypatch.setattr(fused_posterior, "PIECE_BYTES", 1)  # a variable at a time
    for name, part in conditional(model, evidence, batch_size=5).items():
        torch.testing.assert_close(part.probabilities, whole[name].probabilities, rtol=0, atol=1e-6)
        torch.testing.assert_close(part.mean, whole[name].mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["hclt", "normal"])
def test_rounded_flows_are_divided_by_their_sum(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fused, "operands", torch.float32)  # the interpreter does not multiply bfloat16
    plain = Model.create(CIRCUITS[name], seed=3)
    p = plain.program
    plan = fuse(p.layers, p.sum_tables, p.leaf_tables, p.num_units, "fast", p.device, len(p.circuit.variables))
    model = plain.recompiled(dataclasses.replace(p, fused=plan))
    evidence = half(p.circuit, 9)
    asked: list[object] = []
    exact = module._exactly
    monkeypatch.setattr(module, "_exactly", lambda m, *a: (asked.append(m), exact(m, *a))[1])
    same(model, plain, evidence, most=2e-3)
    assert asked == [plain]
    for posterior in conditional(model, evidence).values():
        shares = [posterior.probabilities] if name == "hclt" else [weights for _, _, weights in posterior.components]
        total = sum(share.sum(1) for share in shares if share is not None)
        torch.testing.assert_close(total, torch.ones(9, dtype=torch.float64), rtol=0, atol=1e-6)
    monkeypatch.setattr(fused_posterior, "OFF", 1e-9)  # no sum is that good: the exact passes have to answer
    same(model, plain, evidence, most=1e-6)
    assert asked == [plain, plain, model]


def test_components_come_from_the_exact_passes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, precise = pair("rat")
    evidence = half(model.circuit, 4)
    expected, found = conditional(precise, evidence), conditional(model, evidence)
    evidence.values.zero_()  # of no consequence now
    for name, posterior in found.items():
        for (family, own, weights), (same_family, parameters, flows) in zip(
            posterior.components, expected[name].components, strict=True
        ):
            assert family == same_family
            torch.testing.assert_close(own, parameters, rtol=0, atol=1e-6)
            torch.testing.assert_close(weights, flows, rtol=0, atol=1e-5)
        monkeypatch.setattr(module, "upward", None)  # calling it again would raise


@pytest.mark.parametrize("family", [Bernoulli(), Binomial(4)], ids=str)
@pytest.mark.usefixtures("fused_only")
def test_other_families(family: Bernoulli | Binomial) -> None:
    size = 2 if isinstance(family, Bernoulli) else 5
    circuit = structures.hclt(latents=4, variables=Variables.finite(3, size), tree=[-1, 0, 1], distribution=family)
    model = Model.create(circuit, seed=3)
    evidence = half(circuit, 9)
    found = conditional(fused(model), evidence)["x1"]
    assert found.probabilities is not None
    joint = torch.stack([_given(model, evidence, value) for value in range(size)], 1)
    torch.testing.assert_close(found.probabilities, joint / joint.sum(1, keepdim=True), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.mean, found.probabilities @ torch.arange(size, dtype=torch.float64))


def _given(model: Model, evidence: Evidence, value: int) -> torch.Tensor:
    """The probability of the evidence and of a value of the second variable."""
    values = evidence.values.clone()
    values[:, 1] = value
    return pcbench.log_likelihood(model, Evidence(values)).exp()


def two_roots() -> Circuit:
    """The second root sees two of four variables; a fifth has no leaf at all."""
    variables = Variables.finite(5, 3)
    leaves = [InputBlock(v, Categorical(3), 2) for v in list(variables)[:4]]
    halves = [SumBlock([ProductBlock(leaves[i : i + 2])], 2) for i in (0, 2)]
    return Circuit([SumBlock([ProductBlock(halves)]), halves[1]], variables)


def test_each_root_has_posteriors_of_its_own() -> None:
    circuit = two_roots()
    plain = Model.create(circuit, seed=3)
    model = fused(plain)
    evidence = Evidence(torch.tensor([[2, 1, 0, 2, 1], [1, 1, 1, 1, 2]]), torch.tensor([True, False, True, False, False]))
    for output in range(3):
        same(model, plain, evidence, output)
        assert conditional(model, evidence, ["x4"], output=output)["x4"].probabilities is None
    assert conditional(model, evidence, ["x1", "x4"])["x4"].components == ()
    with pytest.raises(QueryError, match="output must lie in 0…2"):
        conditional(model, evidence, output=3)


def test_a_batch_that_lost_mass_is_answered_by_the_exact_passes() -> None:
    variables = Variables.finite(3, 2)
    leaves = [InputBlock(v, Categorical(2), 2) for v in variables]
    middle = SumBlock([ProductBlock(leaves)], 2)
    circuit = Circuit(SumBlock([middle]), variables)
    values = {leaf.parameter: torch.tensor([[1e-30, 1.0], [1.0, 0.0]], dtype=torch.float64) for leaf in leaves}
    values[leaves[2].parameter] = torch.tensor([[0.25, 0.5], [0.75, 0.5]], dtype=torch.float64)
    values[middle.parameter] = torch.eye(2, dtype=torch.float64)
    values[circuit.roots[0].parameter] = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    model = fused(Model.from_values(pcbench.compile(circuit), values))
    evidence = Evidence(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([True, True, False]))
    with pytest.warns(RuntimeWarning, match="lost mass"):
        found = conditional(model, evidence)["x2"].probabilities
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75]] * 2, dtype=torch.float64))


def test_impossible_and_wrong_evidence_is_named() -> None:
    circuit = Circuit(SumBlock([ProductBlock([InputBlock(v, Categorical(3), 2) for v in Variables.finite(2, 3)])]))
    values = Model.create(circuit, seed=1).values()
    leaf = next(b for b in circuit.blocks if isinstance(b, InputBlock) and b.variable.index == 1)
    values[leaf.parameter] = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]], dtype=torch.float64)
    model = fused(Model.from_values(pcbench.compile(circuit), values))
    data = torch.zeros(7, 2, dtype=torch.int64)
    data[5, 1] = 2
    seen = torch.tensor([False, True])
    with pytest.warns(RuntimeWarning, match="lost mass"), pytest.raises(QueryError, match=r"^row 5: .*probability zero$"):
        conditional(model, Evidence(data, seen), batch_size=3)
    data[5, 1] = 3
    with pytest.raises(DataError, match=r"row 5, variable 'x1' .*3 is outside"):
        conditional(model, Evidence(data, seen), batch_size=3)
    with pytest.raises(QueryError, match="'x1' is observed in row 0"):
        conditional(model, Evidence(data, seen), ["x1"])


@pytest.mark.usefixtures("fused_only")
def test_buffers_that_hold_nan_leave_no_trace() -> None:
    model, _ = pair("rat")
    evidence = half(model.circuit, 6)
    first = conditional(model, evidence)
    with lent_workspace(model) as space:
        for buffer in space._buffers.values():
            buffer.fill_(torch.nan if buffer.is_floating_point() else 77)
    for name, again in conditional(model, evidence).items():
        assert torch.equal(again.probabilities, first[name].probabilities)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["hclt", "hmm, tied", "rat", "pd, holes", "mixed"])
def test_soft_evidence_takes_them_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each row its own, and the same in all; one says nearly nothing, and one leaves a single value."""
    model, precise = pair(name)
    asked = module.upward
    monkeypatch.setattr(module, "upward", lambda program, *a, **k: asked(program, *a, **k) if program.fused is None else 1 / 0)
    given, generator = half(model.circuit, 7), torch.Generator().manual_seed(1)
    finite = [v for v in model.circuit.variables if isinstance(v.domain, Finite)][:3]
    soft = {v.index: torch.rand(7, v.domain.size, generator=generator) for v in finite[:2]}
    soft[finite[0].index][:2] = torch.tensor([[1e-30], [1.0]])
    soft[finite[0].index][2, 1:] = 0
    soft[finite[2].index] = torch.linspace(0.1, 1, finite[2].domain.size)
    same(model, precise, Evidence(given.values, given.observed, soft))


def test_components_wait_for_soft_evidence_that_may_change_meanwhile() -> None:
    model, precise = pair("hclt")
    given, weights = half(model.circuit, 5), torch.linspace(0.1, 1, 7)
    expected = conditional(precise, Evidence(given.values, given.observed, {1: weights.clone()}))
    found = conditional(model, Evidence(given.values, given.observed, {1: weights}))
    weights.fill_(1.0)
    for name, posterior in expected.items():
        for (_, _, one), (_, _, two) in zip(found[name].components, posterior.components, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
