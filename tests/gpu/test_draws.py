"""Samples by the fused kernels, run by Triton's interpreter: the same noise gives the CPU engine's draws, and they follow the
circuit."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

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
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    Variables,
    sample,
    structures,
)
from pcbench.errors import DataError, QueryError
from pcbench.execute import lent, lent_workspace
from pcbench.execute.noise import uniform
from pcbench.queries import sampling
from pcbench_kernels.gpu import topdown
from pcbench_kernels.gpu.choose import uniform as uniform_of

from .. import oracle
from ..conformance.common import reference
from ..conformance.test_queries import chi_square
from .test_interpreted import CIRCUITS, fused, one_program, rows


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy."""
    one_program(monkeypatch)


@pytest.fixture
def fused_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the exact passes were asked")

    monkeypatch.setattr(sampling, "_draw_exactly", never)


def pair(circuit: Circuit, wide: bool = False, seed: int = 3) -> tuple[Model, Model]:
    """(fused, plain) models with the same parameters."""
    model = Model.create(circuit, seed=seed)
    return fused(model, wide), model


def same_draws(got: torch.Tensor, expected: torch.Tensor) -> None:
    """But for rounding, which may move a border past the noise."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert float((~torch.isclose(got.double(), expected.double(), rtol=1e-6)).double().mean()) < 2e-3


@triton.jit
def uniforms(states, places, out, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(out + i, uniform_of(tl.load(states + i), tl.load(places + i)))


@pytest.mark.parametrize("seed", [0, 1, -7, (1 << 63) - 1, -(1 << 63)])
def test_noise_is_the_same_in_both_languages(seed: int) -> None:
    size, first = 64, 5
    told = torch.tensor([seed, first, 3, 2])
    states, row_of = torch.empty(size, dtype=torch.int64), torch.empty(size, dtype=torch.int32)
    active = torch.full((2, size), -1, dtype=torch.int32)
    topdown.begin[(1,)](told, states, row_of, active, 1, size, BN=64)
    places = torch.arange(size) * 7919
    out = torch.empty(size, dtype=torch.float64)
    uniforms[(1,)](states, places, out, SIZE=size)
    numbers = first + torch.arange(size)
    assert torch.equal(out, uniform(seed, numbers, places))
    assert torch.equal(row_of.long(), numbers // 3 - first // 3)
    assert active.tolist() == [[-1] * size, [2] * size]


DRAWN = ("hclt", "hclt, wider", "star", "hmm, tied", "rat", "pd", "pd, holes", "one latent", "sparse", "normal",
         "normal, shared", "mixed")  # fmt: skip
SHAPES = [(name, False) for name in DRAWN] + [(name, True) for name in ("hmm, tied", "pd, diagonal")]


@pytest.mark.parametrize(("name", "wide"), SHAPES, ids=[f"{n}{', large' if wide else ''}" for n, wide in SHAPES])
def test_draws_are_those_of_the_cpu(name: str, wide: bool, request: pytest.FixtureRequest) -> None:
    model, plain = pair(CIRCUITS[name], wide)
    evidence = rows(model.circuit, 19, True)
    given, prior = sample(plain, evidence=evidence, seed=5), sample(plain, 40, seed=-6)
    request.getfixturevalue("fused_only")
    drawn = sample(model, evidence=evidence, seed=5)
    same_draws(drawn, given)
    assert evidence.observed is not None
    assert torch.equal(drawn[evidence.observed], evidence.values[evidence.observed])
    same_draws(sample(model, 40, seed=-6), prior)
    assert torch.equal(sample(model, evidence=Evidence(drawn), seed=5), drawn)


@pytest.mark.parametrize("name", ["hclt", "hmm, tied", "rat", "pd, holes", "mixed"])
def test_soft_evidence_weighs_what_is_drawn(name: str, request: pytest.FixtureRequest) -> None:
    """In each row its own, and the same in all; one leaves a single value."""
    model, plain = pair(CIRCUITS[name])
    given, generator = rows(model.circuit, 19, True), torch.Generator().manual_seed(1)
    finite = [v for v in model.circuit.variables if isinstance(v.domain, Finite)][:2]
    soft = {finite[0].index: torch.rand(19, finite[0].domain.size, generator=generator) ** 4}
    soft[finite[0].index][2, 1:] = 0
    soft[finite[1].index] = torch.linspace(0.01, 1, finite[1].domain.size)
    evidence = Evidence(given.values, given.observed, soft)
    one, several = sample(plain, evidence=evidence, seed=5), sample(plain, 4, evidence, seed=6)
    request.getfixturevalue("fused_only")
    same_draws(sample(model, evidence=evidence, seed=5), one)
    same_draws(sample(model, 4, evidence, seed=6, batch_size=10), several)
    assert int(one[2, finite[0].index]) == 0


@pytest.mark.parametrize("name", ["rat, many", "hmm, tied"])
def test_blocks_that_do_not_fit_into_a_tile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topdown, "WHOLE", 16)
    model, plain = pair(CIRCUITS[name])
    assert max(layer.width * layer.terms // layer.groups for layer in model.program.fused.layers) > 16  # type: ignore[union-attr]
    evidence = rows(model.circuit, 9, True)
    same_draws(sample(model, evidence=evidence, seed=2), sample(plain, evidence=evidence, seed=2))
    same_draws(sample(model, 9, seed=2), sample(plain, 9, seed=2))


@pytest.mark.usefixtures("fused_only")
def test_a_sample_depends_on_seed_and_number_alone() -> None:
    model, _ = pair(CIRCUITS["binary"])
    evidence = rows(model.circuit, 6, True)
    whole = sample(model, 5, evidence, seed=1)
    assert whole.shape == (6, 5, 4)
    for size in (7, 29):  # rows of evidence are cut in the middle of their samples
        assert torch.equal(sample(model, 5, evidence, seed=1, batch_size=size), whole)
    repeated = evidence[torch.arange(6).repeat_interleave(5)]
    assert torch.equal(sample(model, evidence=repeated, seed=1), whole.view(30, 4))
    assert torch.equal(sample(model, 30, seed=4, batch_size=11), sample(model, 30, seed=4))
    assert not torch.equal(sample(model, 30, seed=4), sample(model, 30, seed=5))


@pytest.mark.usefixtures("fused_only")
def test_draws_follow_the_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topdown, "CELLS", 1 << 16)
    model, _ = pair(structures.rat(latents=3, depth=1, repetitions=2, variables=Variables.finite(4, 2)), seed=8)
    joint = oracle.Joint(model.circuit, reference(model))
    prior = sample(model, 4000, seed=11).numpy()
    assert chi_square(np.bincount(joint.position(prior), minlength=len(joint.worlds)), np.exp(joint.logs)) > 1e-3
    evidence = rows(model.circuit, 2, True)
    evidence = Evidence(evidence.values, torch.tensor([[True, False, False, False], [False, True, False, True]]))
    given = oracle.Rows.of(evidence)
    drawn = sample(model, 2000, evidence, seed=12)
    for i in range(2):
        counts = np.bincount(joint.position(drawn[i].numpy()), minlength=len(joint.worlds))
        assert chi_square(counts, joint.posterior(given, i)) > 1e-3


@pytest.mark.usefixtures("fused_only")
def test_what_has_no_mass_is_not_drawn() -> None:
    """Sums and leaves in which every second choice has probability zero, the first and the last among them."""
    variables = Variables.finite(3, 33)
    leaves = [InputBlock(v, Categorical(33), 5) for v in variables]
    circuit = Circuit(SumBlock([SumBlock([ProductBlock(leaves)], 5)]), variables)
    values = Model.create(circuit, seed=1).values()
    for parameter, value in values.items():
        some = value.clone()
        if value.shape[0] == 33:
            some[::2] = 0
            values[parameter] = some / some.sum(0)
        else:
            some[:, ::2] = 0
            values[parameter] = some / some.sum(1, keepdim=True)
    plain = Model.from_values(pcbench.compile(circuit), values)
    drawn = sample(fused(plain), 300, seed=3)
    assert bool((drawn % 2 == 1).all())
    same_draws(drawn, sample(fused(plain), 300, seed=3))


@pytest.mark.parametrize("family", [Bernoulli(), Binomial(4)], ids=str)
def test_other_families(family: Bernoulli | Binomial) -> None:
    size = 2 if isinstance(family, Bernoulli) else 5
    circuit = structures.hclt(latents=4, variables=Variables.finite(3, size), tree=[-1, 0, 1], distribution=family)
    model, plain = pair(circuit)
    evidence = rows(circuit, 25, True)
    same_draws(sample(model, evidence=evidence, seed=5), sample(plain, evidence=evidence, seed=5))
    same_draws(sample(model, 50, seed=5), sample(plain, 50, seed=5))


def test_each_root_has_samples_of_its_own() -> None:
    """The second root sees two of four variables; a fifth has no leaf at all."""
    variables = Variables.finite(5, 3)
    leaves = [InputBlock(v, Categorical(3), 2) for v in list(variables)[:4]]
    halves = [SumBlock([ProductBlock(leaves[i : i + 2])], 2) for i in (0, 2)]
    circuit = Circuit([SumBlock([ProductBlock(halves)]), halves[1]], variables)
    model, plain = pair(circuit)
    evidence = Evidence(torch.tensor([[2, 1, 0, 2, 1], [1, 1, 1, 1, 2]]), torch.tensor([True, False, True, False, True]))
    for output in range(3):
        same_draws(sample(model, 20, seed=1, output=output), sample(plain, 20, seed=1, output=output))
        given = sample(model, 20, evidence, seed=1, output=output)
        same_draws(given, sample(plain, 20, evidence, seed=1, output=output))
        assert (given[..., 4] == evidence.values[:, None, 4]).all()


def test_a_batch_that_lost_mass_is_drawn_by_the_exact_passes() -> None:
    variables = Variables.finite(2, 2)
    leaves = [InputBlock(v, Categorical(2), 2) for v in variables]
    middle = SumBlock([ProductBlock(leaves)], 2)
    circuit = Circuit(SumBlock([middle]), variables)
    values = {leaf.parameter: torch.tensor([[1e-30, 1.0], [1.0, 0.0]], dtype=torch.float64) for leaf in leaves}
    values[middle.parameter] = torch.eye(2, dtype=torch.float64)
    values[circuit.roots[0].parameter] = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    plain = Model.from_values(pcbench.compile(circuit), values)
    with pytest.warns(RuntimeWarning, match="lost mass"):
        drawn = sample(fused(plain), 3, torch.zeros(2, 2, dtype=torch.int64), seed=1)
    assert torch.equal(drawn, torch.zeros(2, 3, 2, dtype=torch.int64))


def test_impossible_evidence_is_named() -> None:
    variables = Variables.finite(2, 3)
    leaves = [InputBlock(v, Categorical(3), 2) for v in variables]
    circuit = Circuit(SumBlock([ProductBlock(leaves)]), variables)
    values = Model.create(circuit, seed=1).values()
    values[leaves[1].parameter] = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]], dtype=torch.float64)
    model = fused(Model.from_values(pcbench.compile(circuit), values))
    data = torch.zeros(7, 2, dtype=torch.int64)
    data[5, 1] = 2
    evidence = Evidence(data, torch.tensor([False, True]))
    with pytest.warns(RuntimeWarning, match="lost mass"), pytest.raises(QueryError, match=r"row 5: .*probability zero"):
        sample(model, 4, evidence, batch_size=8)


def test_wrong_evidence_is_named() -> None:
    model, _ = pair(CIRCUITS["hclt"])
    data = rows(model.circuit, 12, False).values
    mask = torch.ones(12, 6, dtype=torch.bool)
    data[9, 2], mask[9, 2] = 7, False
    assert len(sample(model, evidence=Evidence(data, mask), batch_size=5)) == 12  # what is not observed is not looked at
    mask[9, 2] = True
    with pytest.raises(DataError, match=r"row 9, variable 'x2' .*7 is outside"):
        sample(model, evidence=Evidence(data, mask), batch_size=5)
    with pytest.raises(DataError, match=r"observed needs shape"):
        sample(model, evidence=Evidence(data[:10], mask), batch_size=5)
    with pytest.raises(DataError, match="observed must be booleans"):
        sample(model, evidence=Evidence(data, mask.int()))
    with pytest.raises(DataError, match="no rows"):
        sample(model, evidence=Evidence(data[:0]))


def test_buffers_that_hold_nan_leave_no_trace() -> None:
    model, plain = pair(CIRCUITS["rat"])
    evidence = rows(model.circuit, 9, True)
    sample(model, evidence=evidence, seed=1)
    with lent_workspace(model) as space:
        for (name, *_), buffer in space._buffers.items():
            if "masses" not in name:  # those are kept for the next samples of the same parameters
                buffer.fill_(torch.nan if buffer.is_floating_point() else 77)
    same_draws(sample(model, evidence=evidence, seed=2), sample(plain, evidence=evidence, seed=2))


def test_leaves_are_added_up_once_for_the_same_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = pair(CIRCUITS["binary"])
    first = sample(model, 30, seed=1)
    monkeypatch.setattr(topdown, "add_masses", None)  # calling it would raise
    assert torch.equal(sample(model, 30, seed=1), first)
    monkeypatch.undo()
    other = fused(Model.create(plain.circuit, seed=9))
    same_draws(sample(other, 30, seed=1), sample(Model.create(plain.circuit, seed=9), 30, seed=1))


def test_a_workspace_is_lent_to_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = pair(CIRCUITS["one latent"])
    found: list[object] = []

    def borrow() -> None:
        with lent_workspace(model) as space:
            found.append(space)

    with lent_workspace(model) as mine:
        thread = threading.Thread(target=borrow)
        thread.start()
        thread.join()
        assert found[0] is not mine
    borrow()
    assert found[1] is mine
    with pytest.raises(ZeroDivisionError), lent_workspace(model):
        raise ZeroDivisionError
    borrow()
    assert found[2] is not mine  # what an error has left behind is not used again
    monkeypatch.setattr(lent, "KEPT", -1)
    borrow()
    borrow()
    assert found[3] is found[2]
    assert found[4] is not found[3]
    with lent_workspace(plain) as one, lent_workspace(plain) as two:
        assert one is not two


def test_nodes_that_see_different_terms_may_be_any_distance_apart() -> None:
    """Given the evidence, the root's child is the node whose own term is worth e^-690 of the other one's."""
    variables = Variables.finite(11, 2)

    def term(probability: float) -> ProductBlock:
        value = torch.tensor([[probability] * 2, [1 - probability] * 2], dtype=torch.float64)
        free = torch.tensor([[0.3, 0.9], [0.7, 0.1]], dtype=torch.float64)
        leaves = [InputBlock(v, Categorical(2), 2, Parameter((2, 2), value)) for v in list(variables)[:10]]
        return ProductBlock([*leaves, InputBlock(variables[10], Categorical(2), 2, Parameter((2, 2), free))])

    edges = Sparse(torch.tensor([0, 0, 1, 1]), torch.arange(4))
    half = Parameter((4,), torch.tensor([0.5, 0.5, 0.2, 0.8], dtype=torch.float64))
    block = SumBlock([term(0.4), term(1e-30)], 2, edges, half)
    circuit = Circuit(SumBlock([block], 1, Sparse(torch.tensor([0]), torch.tensor([1]))), variables)
    model, plain = pair(circuit)
    evidence = Evidence(torch.zeros(1, 11, dtype=torch.int64), torch.arange(11) < 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # nothing is lost
        warnings.filterwarnings("ignore", module="triton")
        drawn = sample(model, 2000, evidence, seed=1)
    same_draws(drawn, sample(plain, 2000, evidence, seed=1))
    expected = 1 - (0.2 * 0.3 + 0.8 * 0.9)
    assert abs(float(drawn[0, :, 10].double().mean()) - expected) < 5 * (expected * (1 - expected) / 2000) ** 0.5
