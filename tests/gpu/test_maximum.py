"""Most probable explanations by the kernels, run by Triton's interpreter, against the CPU engine's."""

from __future__ import annotations

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
    log_likelihood,
    mpe,
    structures,
)
from pcbench.errors import DataError, QueryError
from pcbench.execute import lent_workspace
from pcbench_kernels.gpu import trees

from .test_interpreted import CIRCUITS, fused, one_program, rows
from .test_posteriors import two_roots

module = importlib.import_module("pcbench.queries.mpe")  # the package has a function of that name


@pytest.fixture(autouse=True)
def few_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy, except where a test wants it."""
    if "many_programs" not in request.keywords:
        one_program(monkeypatch)
        monkeypatch.setattr(trees, "FILL", 1)


@pytest.fixture
def fused_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "max_product", None)  # calling it would raise


def same(model: Model, plain: Model, evidence: Evidence, output: int = 0) -> None:
    got, expected = mpe(model, evidence, output=output), mpe(plain, evidence, output=output)
    assert got.state.dtype == torch.int64
    assert torch.equal(got.state, expected.state)
    torch.testing.assert_close(got.log_tree, expected.log_tree, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(got.log_probability, expected.log_probability, rtol=1e-5, atol=1e-5)


EXPLAINED = ("hclt", "hclt, wider", "star", "hmm, tied", "hmm, free", "rat, many", "pd", "pd, holes", "pd, diagonal", "sparse",
             "normal", "normal, shared", "mixed")  # fmt: skip


def exactly(model: Model, evidence: Evidence) -> tuple[torch.Tensor, torch.Tensor]:
    """By PyTorch's kernels."""
    with lent_workspace(model) as space:
        ((state, tree),) = module._exactly(model, evidence, None, 0, space)
    return state, tree


@pytest.mark.parametrize("name", EXPLAINED)
def test_best_trees_are_those_of_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Model.create(CIRCUITS[name], seed=3)
    model, evidence = fused(plain), rows(plain.circuit, 19, True)
    state, tree = exactly(plain, evidence)
    monkeypatch.setattr(module, "max_product", None)  # calling it would raise
    found = mpe(model, evidence)
    torch.testing.assert_close(found.state, state, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.log_tree, tree, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.log_probability, log_likelihood(plain, state), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["hclt, wider", "rat", "sparse"])
def test_elements_that_do_not_fit_into_a_tile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, most in (("WHOLE", 16), ("GATHERED", 2), ("NODES", 4), ("ROWS", 4), ("ELEMENTS", 8)):
        monkeypatch.setattr(trees, constant, most)
    plain = Model.create(CIRCUITS[name], seed=3)
    same(fused(plain), plain, rows(plain.circuit, 9, True))


@pytest.mark.many_programs
@pytest.mark.usefixtures("fused_only")
def test_work_is_cut_up_to_keep_a_chip_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "NODES", 4)
    plain = Model.create(CIRCUITS["hmm, tied"], seed=3)
    model, evidence = fused(plain), rows(plain.circuit, 9, True)
    whole = mpe(model, evidence)
    again = mpe(model, evidence, batch_size=4)
    assert torch.equal(again.state, whole.state)
    assert torch.equal(again.log_tree, whole.log_tree)


def test_the_first_of_equals_is_taken() -> None:
    """All weights and masses are equal: every tree is as good as every other."""
    circuit = CIRCUITS["rat, many"]
    held = {b.parameter: isinstance(b, InputBlock) for b in circuit.blocks if isinstance(b, InputBlock | SumBlock)}
    values = {p: torch.full(p.shape, 1 / p.shape[0 if leaf else 1], dtype=torch.float64) for p, leaf in held.items()}
    plain = Model.from_values(pcbench.compile(circuit), values)
    evidence = Evidence.none(3, circuit.variables)
    assert not bool(mpe(plain, evidence).state.any())
    same(fused(plain), plain, evidence)


@pytest.mark.parametrize("family", [Bernoulli(), Binomial(4)], ids=str)
@pytest.mark.usefixtures("fused_only")
def test_other_families(family: Bernoulli | Binomial, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 2 if isinstance(family, Bernoulli) else 5
    circuit = structures.hclt(latents=4, variables=Variables.finite(3, size), tree=[-1, 0, 1], distribution=family)
    plain, evidence = Model.create(circuit, seed=3), rows(circuit, 25, True)
    found = mpe(fused(plain), evidence)
    monkeypatch.undo()
    one_program(monkeypatch)
    state, tree = exactly(plain, evidence)
    assert torch.equal(found.state, state)
    torch.testing.assert_close(found.log_tree, tree, rtol=1e-6, atol=1e-6)


def test_each_root_has_explanations_of_its_own() -> None:
    plain = Model.create(two_roots(), seed=3)
    evidence = Evidence(torch.tensor([[2, 1, 0, 2, 1], [1, 1, 1, 1, 2]]), torch.tensor([True, False, True, False, True]))
    for output in range(3):
        same(fused(plain), plain, evidence, output)
    with pytest.raises(QueryError, match="output must lie in 0…2"):
        mpe(fused(plain), evidence, output=3)


def test_impossible_and_wrong_evidence_is_named() -> None:
    circuit = Circuit(SumBlock([ProductBlock([InputBlock(v, Categorical(3), 2) for v in Variables.finite(2, 3)])]))
    values = Model.create(circuit, seed=1).values()
    leaf = next(b for b in circuit.blocks if isinstance(b, InputBlock) and b.variable.index == 1)
    values[leaf.parameter] = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]], dtype=torch.float64)
    model = fused(Model.from_values(pcbench.compile(circuit), values))
    data, seen = torch.zeros(7, 2, dtype=torch.int64), torch.tensor([False, True])
    data[5, 1] = 2
    with pytest.raises(QueryError, match=r"^row 5: .*probability zero"):
        mpe(model, Evidence(data, seen), batch_size=3)
    data[5, 1] = 3
    with pytest.raises(DataError, match=r"row 5, variable 'x1' .*3 is outside"):
        mpe(model, Evidence(data, seen), batch_size=3)


def test_buffers_that_hold_nan_leave_no_trace() -> None:
    model, evidence = fused(Model.create(CIRCUITS["rat"], seed=3)), rows(CIRCUITS["rat"], 9, True)
    first = mpe(model, evidence)
    with lent_workspace(model) as space:
        for (name, *_), buffer in space._buffers.items():
            if name != "log weights" and not name.startswith(("best logs", "modes")):  # kept for the same parameters
                buffer.fill_(torch.nan if buffer.is_floating_point() else 77)
    again = mpe(model, evidence)
    assert torch.equal(again.state, first.state)
    assert torch.equal(again.log_tree, first.log_tree)


@pytest.mark.parametrize("name", ["hclt", "hmm, tied", "rat", "pd, holes", "mixed"])
def test_soft_evidence_is_weighed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each row its own, and the same in all; one leaves a single value."""
    plain = Model.create(CIRCUITS[name], seed=3)
    model, given, generator = fused(plain), rows(plain.circuit, 19, True), torch.Generator().manual_seed(1)
    finite = [v for v in plain.circuit.variables if isinstance(v.domain, Finite)][:2]
    soft = {finite[0].index: torch.rand(19, finite[0].domain.size, generator=generator) ** 4}
    soft[finite[0].index][2, :-1] = 0
    soft[finite[1].index] = torch.linspace(0.01, 1, finite[1].domain.size)
    evidence = Evidence(given.values, given.observed, soft)
    state, tree = exactly(plain, evidence)
    monkeypatch.setattr(module, "max_product", None)  # calling it would raise
    found = mpe(model, evidence)
    torch.testing.assert_close(found.state, state, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.log_tree, tree, rtol=1e-6, atol=1e-6)
    assert torch.equal(mpe(model, evidence, batch_size=7).state, found.state)
    assert int(state[2, finite[0].index]) == finite[0].domain.size - 1


def test_determinism_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.create(CIRCUITS["binary"], seed=3)
    evidence = rows(model.circuit, 2, True)
    first = mpe(model, evidence)
    monkeypatch.setattr(module, "deterministic", None)
    again = mpe(model, evidence)
    assert (again.exact, again.note) == (first.exact, first.note)
    with pytest.raises(TypeError):  # another model has to be looked at
        mpe(Model.create(CIRCUITS["binary"], seed=3), evidence)
