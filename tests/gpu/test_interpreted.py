"""The Triton kernels, run by Triton's interpreter on CPU tensors, against the CPU engine in float64: every structure,
tied and untied, odd widths and batch sizes, missing data, several terms, parents and roots."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import warnings

import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    BlockSparse,
    Categorical,
    Circuit,
    Evidence,
    Finite,
    Gaussian,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    Real,
    Sparse,
    SumBlock,
    Variables,
    structures,
)
from pcbench.compile import fuse_blocks
from pcbench.compile.fuse import fuse, why_not_fused
from pcbench.execute import Statistics, Workspace, em_step, expectation, forward, maximise
from pcbench.execute.fused import fused_upward
from pcbench.execute.fused_evidence import fused_batch
from pcbench_kernels.gpu import computed, leafwise, tiles, topdown, up

from ..conformance.cases import retied

fuse_module = importlib.import_module("pcbench.compile.fuse")  # the package names a function of it so, too


def mixture(edges: Sparse | BlockSparse, nodes: int = 8) -> Circuit:
    """A mixture of two products of sums with the given edges."""
    variables = Variables.finite(4, 3)
    leaves = [InputBlock(v, Categorical(3), nodes) for v in variables]
    halves = [SumBlock([ProductBlock(leaves[i : i + 2])], nodes, edges) for i in (0, 2)]
    return Circuit(SumBlock([ProductBlock(halves)]), variables)


def scattered(nodes: int, degree: int) -> Sparse:
    """Edges of each node at random, so that no part of the elements is seen as a whole or not at all; one node has one more."""
    generator = torch.Generator().manual_seed(0)
    cols = torch.rand(nodes, nodes, generator=generator).topk(degree).indices
    more = min(set(range(nodes)) - set(cols[-1].tolist()))
    rows = torch.arange(nodes).repeat_interleave(degree)
    return Sparse(torch.cat([rows, torch.tensor([nodes - 1])]), torch.cat([cols.flatten(), torch.tensor([more])]))


def mixed() -> Circuit:
    """Products of leaves of several families and sizes, which several sums share."""
    variables = Variables([Finite(3), Real(), Finite(2), Finite(3)])
    families = [Categorical(3), Gaussian(), Bernoulli(), Binomial(2)]
    leaves = [InputBlock(v, family, 5) for v, family in zip(variables, families, strict=True)]
    return Circuit(SumBlock([SumBlock([ProductBlock(leaves)], 4), SumBlock([ProductBlock(leaves[::-1])], 4)]), variables)


CIRCUITS: dict[str, Circuit] = {
    "hclt": structures.hclt(latents=5, variables=Variables.finite(6, 7), tree=[-1, 0, 0, 1, 1, 1]),
    "hclt, wider": structures.hclt(latents=37, variables=Variables.finite(3, 4), tree=[-1, 0, 1]),
    "star": structures.hclt(latents=3, variables=Variables.finite(9, 2), tree=[-1, 0, 0, 0, 0, 0, 0, 1, 1]),
    "hmm, tied": structures.hmm(latents=19, variables=Variables.finite(4, 9)),
    "hmm, free": structures.hmm(latents=3, variables=Variables.finite(4, 9), homogeneous=False),
    "rat": structures.rat(latents=4, depth=2, repetitions=2, variables=Variables.finite(7, 3)),
    "rat, many": structures.rat(latents=3, depth=1, repetitions=6, variables=Variables.finite(12, 3)),
    "pd": structures.poon_domingos(latents=3, shape=(2, 3), split_interval=1, variables=Variables.finite(6, 3)),
    "pd, holes": structures.poon_domingos(24, (1, 5), split_interval=1, max_splits=2, variables=Variables.finite(5, 3)),
    "pd, diagonal": structures.poon_domingos(48, (1, 4), split_interval=2, variables=Variables.finite(4, 3)),
    "quad tree": structures.quad_tree(latents=2, shape=(2, 2), variables=Variables.finite(4, 3)),
    "one latent": structures.hclt(latents=1, variables=Variables.finite(3, 2), tree=[-1, 0, 1]),
    "binary": structures.hclt(latents=4, variables=Variables.binary(4), tree=[-1, 0, 1, 2]),
    "normal": structures.hclt(latents=5, variables=Variables.real(4), tree=[-1, 0, 0, 1]),
    "normal, shared": structures.poon_domingos(latents=3, shape=(2, 3), split_interval=1, variables=Variables.real(6)),
    "normal, tied": retied(structures.hmm(latents=3, variables=Variables.real(4), homogeneous=False), True)[0],
    "mixed": mixed(),
    "sparse": mixture(Sparse(torch.arange(8).repeat_interleave(2), torch.arange(16) % 8)),
    "sparse, scattered": mixture(scattered(20, 6), 20),
    "blocks": mixture(BlockSparse(4, torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1]))),
}
#: Those whose large siblings do not keep their elements on the chip.
WIDE = ("hclt", "hmm, tied", "rat", "pd", "pd, holes", "pd, diagonal", "sparse")


def fused(model: Model, wide: bool = False) -> Model:
    """The same model with fused kernels, which the interpreter runs on the CPU; ``wide``: those for large blocks."""
    p = model.program
    assert why_not_fused(p.layers, p.sum_tables) is None
    narrow = fuse_blocks.NARROW
    try:
        fuse_blocks.NARROW = dict.fromkeys(narrow, 0) if wide else narrow
        tables = (p.layers, p.sum_tables, p.leaf_tables)
        plan = fuse(*tables, p.num_units, "exact", p.device, len(p.circuit.variables))
    finally:
        fuse_blocks.NARROW = narrow
    assert not (wide and any(layer.narrow for layer in plan.layers))
    return model.recompiled(dataclasses.replace(p, fused=plan))


def pair(name: str, wide: bool = False) -> tuple[Model, Model]:
    """(fused float32 model, the same parameters in float64 on the plain CPU engine)."""
    circuit = CIRCUITS[name]
    model = Model.create(circuit, seed=3)
    return fused(model, wide), model.recompiled(pcbench.compile(circuit, dtype=torch.float64))


def rows(circuit: Circuit, size: int, missing: bool) -> Evidence:
    """Random values; of real variables NaN where they are missing."""
    generator = torch.Generator().manual_seed(size)

    def column(domain: object) -> torch.Tensor:
        if isinstance(domain, Finite):
            return torch.randint(0, domain.size, (size,), generator=generator)
        return 2 * torch.randn(size, generator=generator, dtype=torch.float64)

    data = torch.stack([column(v.domain) for v in circuit.variables], 1)
    observed = torch.rand(data.shape, generator=generator) < 0.6 if missing else None
    if observed is not None and data.is_floating_point():
        data[~observed] = torch.nan
    return Evidence(data, observed)


def counted(statistics: Statistics) -> list[torch.Tensor]:
    """Counts that mean something: of a finite domain, those of the missing values do not."""
    tables = zip(statistics.leaves, statistics.program.leaf_tables, strict=True)
    return [*statistics.weights, *(c if table.categories is None else c[:, :-1] for c, table in tables)]


def same(got: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    error = (got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)
    assert float(error) < tolerance  # NaN never passes


def same_steps(model: Model, precise: Model, evidence: Evidence, space: Workspace) -> None:
    """Two steps in place, against the same of the float64 engine."""
    for _ in range(2):
        model = em_step(model, evidence, 0.5, 0.01, space, recycle=model).model
        precise = em_step(precise, evidence, 0.5, 0.01).model
    expected = precise.values()
    for parameter, value in model.values().items():
        same(value, expected[parameter], 1e-5)


def one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tiles, up, leafwise, computed, topdown):
        monkeypatch.setattr(module, "FILL", 1)


@pytest.fixture(autouse=True)
def few_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other: no work is cut up to keep a chip busy, except where a test wants it."""
    if "many_programs" not in request.keywords:
        one_program(monkeypatch)


CASES = [(name, False) for name in CIRCUITS] + [(name, True) for name in WIDE]
NAMED = [f"{name}, large" if wide else name for name, wide in CASES]


@pytest.mark.parametrize(("size", "missing"), [(1, False), (17, True), (40, False)])
@pytest.mark.parametrize(("name", "wide"), CASES, ids=NAMED)
def test_expectations_equal_the_float64_engine(name: str, wide: bool, size: int, missing: bool) -> None:
    model, precise = pair(name, wide)
    evidence = rows(model.circuit, size, missing)
    got, likelihood = expectation(model, evidence)
    expected, precise_likelihood = expectation(precise, evidence)
    same(likelihood, precise_likelihood, 1e-6)
    assert got.rows == size
    for one, two in zip(counted(got), counted(expected), strict=True):
        same(one, two, 1e-5)


@pytest.mark.many_programs
@pytest.mark.parametrize("name", ["hclt", "hmm, tied"])
def test_work_is_cut_up_to_keep_a_chip_busy(name: str) -> None:
    model, precise = pair(name)
    evidence = rows(model.circuit, 20, True)
    got, expected = (em_step(m, evidence, 0.5, 0.01).model.values() for m in (model, precise))
    for parameter, value in got.items():
        same(value, expected[parameter], 1e-5)


@pytest.mark.many_programs
def test_several_programs_read_the_values_that_one_of_them_replaces() -> None:
    circuit = structures.hclt(latents=128, variables=Variables.finite(3, 2), tree=[-1, 0, 1])
    precise = Model.create(pcbench.compile(circuit, dtype=torch.float64), seed=1)
    model = fused(precise.recompiled(pcbench.compile(circuit)))
    assert all(layer.narrow for layer in model.program.fused.layers[:-1])
    evidence, space = rows(circuit, 20, True), Workspace()
    for _ in range(2):  # tickets are there again
        got, _ = expectation(model, evidence, space)
        expected, _ = expectation(precise, evidence)
        for one, two in zip(counted(got), counted(expected), strict=True):
            same(one, two, 1e-5)


@pytest.mark.parametrize("name", ["pd", "pd, holes", "pd, diagonal", "sparse", "hmm, tied"])
def test_counts_that_have_to_be_kept_are_kept_part_by_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse_module, "FEW_USES", 1)
    model, precise = pair(name)
    whole = model.program.fused.late
    monkeypatch.setattr(fuse_module, "PART", 64)
    model, _ = pair(name)
    parts = model.program.fused.late
    assert len(whole) == 1
    assert len(parts) == 1 if name == "hmm, tied" else len(parts) > 1
    assert [parts[0].base, parts[-1].end] == [whole[0].base, whole[0].end]
    assert all(one.end <= two.base for one, two in itertools.pairwise(parts))
    assert sum(len(rows.at) for part in parts for rows in part.rows) == sum(len(rows.at) for rows in whole[0].rows)
    same_steps(model, precise, rows(model.circuit, 20, True), Workspace())


@pytest.mark.parametrize("name", ["rat", "hmm, tied"])
def test_batches_are_added(name: str) -> None:
    model, precise = pair(name)
    evidence, space, into = rows(model.circuit, 9, True), Workspace(), Statistics.zeros(model.program)
    for _ in range(2):
        got, _ = expectation(model, evidence, space, into)
    same(forward(model, evidence, space), forward(precise, evidence), 1e-6)
    expected, _ = expectation(precise, evidence)
    for one, two in zip([*got.weights, *got.leaves], [*expected.weights, *expected.leaves], strict=True):
        same(one if one.ndim < 3 else one[:, :2], 2 * (two if two.ndim < 3 else two[:, :2]), 1e-5)


@pytest.mark.parametrize(("step", "pseudocount", "missing"), [(1.0, 0.0, False), (0.1, 0.01, True)])
@pytest.mark.parametrize(("name", "wide"), CASES, ids=NAMED)
def test_steps_equal_the_float64_engine(name: str, wide: bool, step: float, pseudocount: float, missing: bool) -> None:
    model, precise = pair(name, wide)
    evidence = rows(model.circuit, 19, missing)
    statistics, truth = expectation(precise, evidence)
    expected = maximise(precise, statistics, step, pseudocount)
    stepped = em_step(model, evidence, step, pseudocount)
    same(stepped.log_likelihood, truth, 1e-6)
    still = expected.values()
    for parameter, value in stepped.model.values().items():
        same(value, still[parameter], 1e-5)
    same(forward(stepped.model, evidence), forward(expected, evidence), 1e-6)  # lookup tables have moved as well


def test_a_step_may_write_where_the_one_before_has_read() -> None:
    model, precise = pair("rat")
    evidence, spare, space = rows(model.circuit, 19, False), model.clone(), Workspace()
    for step_size in (0.5, 0.25):
        model, spare = em_step(model, evidence, step_size, 0.01, space, spare).model, model
        precise = em_step(precise, evidence, step_size, 0.01).model
    for parameter, value in model.values().items():
        same(value, precise.values()[parameter], 1e-5)


def test_samples_too_many_for_one_program_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leafwise, "SORTED", 0)
    model, precise = pair("hmm, tied")
    evidence = rows(model.circuit, 19, True)
    got, expected = (em_step(m, evidence, 0.5, 0.01).model.values() for m in (model, precise))
    for parameter, value in got.items():
        same(value, expected[parameter], 1e-5)


@pytest.mark.parametrize("missing", [False, True])
def test_categories_with_many_samples_are_added_up(missing: bool) -> None:
    """Backgrounds of images: nearly all rows have one value, more of them than a program adds up side by side."""
    circuit = structures.hclt(latents=16, variables=Variables.finite(3, 40), tree=[-1, 0, 1])
    plain = Model.create(circuit, seed=3)
    model, precise = fused(plain), plain.recompiled(pcbench.compile(circuit, dtype=torch.float64))
    evidence = rows(circuit, 96, missing)
    data = torch.where(torch.arange(96)[:, None] % 8 < 6, torch.tensor([0, 17, 39]), evidence.values)
    evidence = Evidence(data, evidence.observed)
    got, expected = (expectation(m, evidence)[0] for m in (model, precise))
    for one, two in zip(got.leaves, expected.leaves, strict=True):
        same(one[:, :-1], two[:, :-1], 1e-5)
    learnt, truth = (em_step(m, evidence, 0.5, 0.01).model.values() for m in (model, precise))
    for parameter, value in learnt.items():
        same(value, truth[parameter], 1e-5)


def test_a_frozen_parameter_stays_as_it_is() -> None:
    variables = Variables.finite(2, 3)
    fixed = [Parameter((3, 4), torch.full((3, 4), 1 / 3), trainable=False), Parameter((3, 4))]
    leaves = [InputBlock(v, Categorical(3), 4, p) for v, p in zip(variables, fixed, strict=True)]
    weights = Parameter((4, 4), torch.full((4, 4), 0.25), trainable=False)
    circuit = Circuit(SumBlock([SumBlock([ProductBlock(leaves)], 4, parameter=weights)]), variables)
    model = Model.create(circuit, seed=3)
    moved = em_step(fused(model), rows(circuit, 20, False), 0.5, 0.1).model.values()
    expected = em_step(model, rows(circuit, 20, False), 0.5, 0.1).model.values()
    for parameter, value in moved.items():
        same(value, expected[parameter], 1e-5)
        if not parameter.trainable:
            assert bool((value == parameter.value).all())


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


def losing_mass() -> tuple[Model, Model, torch.Tensor]:
    """A node whose whole weight lies on an element 1e-60 below the best one: its linear sum is zero in float32.

    The fused model, the same in float64, and data.
    """
    variables = Variables.finite(2, 2)
    leaves = [InputBlock(v, Categorical(2), 2) for v in variables]
    middle = SumBlock([ProductBlock(leaves)], 2)
    circuit = Circuit(SumBlock([middle]), variables)
    values = {leaf.parameter: torch.tensor([[1e-30, 1.0], [1.0, 0.0]], dtype=torch.float64) for leaf in leaves}
    values[middle.parameter] = torch.eye(2, dtype=torch.float64)
    values[circuit.roots[0].parameter] = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    precise = Model.from_values(pcbench.compile(circuit, dtype=torch.float64), values)
    return fused(precise.recompiled(pcbench.compile(circuit))), precise, torch.tensor([[0, 0], [1, 1]])


def test_lost_mass_is_found_and_computed_exactly() -> None:
    model, precise, data = losing_mass()
    space = Workspace()
    laid_out = fused_batch(model.program, Evidence(data), space)
    assert laid_out is not None
    up = fused_upward(model.program, model.parameters, laid_out, space)
    with pytest.warns(RuntimeWarning, match="lost mass"):
        assert not up.settle().exact
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert not up.settle().exact  # it is said once
    assert space.given_up == 2
    expected, truth = expectation(precise, data)
    assert abs(float(truth[0]) - 2 * math.log(1e-30)) < 1e-3
    with pytest.warns(RuntimeWarning, match="lost mass"):
        same(forward(model, data), truth, 1e-6)
    got, likelihood = expectation(model, data, space)
    same(likelihood, truth, 1e-6)
    for one, two in zip(got.weights, expected.weights, strict=True):
        same(one, two, 1e-5)
    again = Workspace()
    with pytest.warns(RuntimeWarning, match="lost mass"):
        stepped = em_step(model, data, 0.5, 0.1, again)
    assert again.given_up == 1  # and is not tried once more
    learnt = em_step(precise, data, 0.5, 0.1).model.values()
    for parameter, value in stepped.model.values().items():
        same(value, learnt[parameter], 1e-5)


@pytest.mark.parametrize("wide", [False, True])
def test_nodes_that_see_different_terms_may_be_any_distance_apart(wide: bool) -> None:
    """Blocks of two nodes, each of which sees a term of its own; one term is worth e^-690 of the other. Their product pairs the
    likely node of one block with the unlikely node of the other, so that all four count."""
    variables = Variables.finite(20, 2)

    def term(scope: slice, probability: float) -> ProductBlock:
        value = torch.tensor([[probability] * 2, [1 - probability] * 2], dtype=torch.float64)
        return ProductBlock([InputBlock(v, Categorical(2), 2, Parameter((2, 2), value)) for v in variables[scope]])

    def block(scope: slice, *probabilities: float) -> SumBlock:
        return SumBlock([term(scope, p) for p in probabilities], 2, Sparse(torch.tensor([0, 0, 1, 1]), torch.arange(4)))

    circuit = Circuit(SumBlock([ProductBlock([block(slice(10), 0.4, 1e-30), block(slice(10, 20), 1e-30, 0.4)])]), variables)
    plain = Model.create(circuit, seed=3)
    model, precise = fused(plain, wide), plain.recompiled(pcbench.compile(circuit, dtype=torch.float64))
    assert model.program.fused is not None
    assert [layer.holes for layer in model.program.fused.layers] == [True, False]
    data, space = torch.zeros(3, 20, dtype=torch.int64), Workspace()
    got, likelihood = expectation(model, data, space)
    expected, truth = expectation(precise, data)
    assert space.given_up == 0
    same(likelihood, truth, 1e-6)
    for one, two in zip(got.weights, expected.weights, strict=True):
        same(one, two, 1e-4)
    for one, two in zip(got.leaves, expected.leaves, strict=True):
        same(one[:, :-1], two[:, :-1], 1e-4)
