"""Passes on linear values: the same likelihoods and counts as the definition's, where values are tiny, zero or many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    Categorical,
    Circuit,
    Evidence,
    InputBlock,
    Model,
    ProductBlock,
    Sparse,
    SumBlock,
    Variables,
)
from pcbench.execute import Activations, Batch, Statistics, Workspace, downward, expectation, forward, linear, maximise
from pcbench.execute.domain import least_weight, logs_wanted
from pcbench.execute.linear import fastest_upward

from .. import oracle
from ..strategies import MISSING, examples, leaf_value, random_mask, soil
from .common import DTYPES, close, close_parameters, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows that were computed again from logarithms, chunk by chunk."""
    counts: list[int] = []
    real: Callable[..., torch.Tensor | None] = linear._mend

    def mend(act: Activations, layer: object, blocks: object, x: object, weak: torch.Tensor, lost: object) -> object:
        counts.append(int(weak.sum()))
        return real(act, layer, blocks, x, weak, lost)

    monkeypatch.setattr(linear, "_mend", mend)
    return counts


def mixture(variables: Variables, nodes: int, width: int, families: object = None) -> Circuit:
    """Two ways to cut the variables into groups of ``width``, mixed at the root; and leaves that both ways share."""

    def cut(order: list[int], leaves: dict[int, InputBlock]) -> ProductBlock:
        groups = [order[i : i + width] for i in range(0, len(order), width)]
        sums = [SumBlock([ProductBlock([leaves[v] for v in g]) if len(g) > 1 else leaves[g[0]]], nodes) for g in groups]
        return ProductBlock([SumBlock([s], nodes) for s in sums])

    def leaf(v: int) -> InputBlock:
        size = variables[v].domain.size  # type: ignore[union-attr]  # finite
        return InputBlock(variables[v], families or (Bernoulli() if size == 2 else Categorical(size)), nodes)  # type: ignore[arg-type]

    first = {v: leaf(v) for v in range(len(variables))}
    second = {v: first[v] if v % 3 == 0 else leaf(v) for v in range(len(variables))}
    count = len(variables)
    return Circuit(SumBlock([cut(list(range(count)), first), cut([(v * 5 + 1) % count for v in range(count)], second)], 2))


def extreme(model: Model, seed: int, zeros: bool) -> Model:
    """The model with leaves whose masses reach down to e^-80, or to 0."""
    rng = np.random.default_rng(seed)
    values = model.values()
    for block in model.circuit.blocks:
        if isinstance(block, InputBlock):
            made = leaf_value(block.distribution, block.nodes, rng, literal=False, extreme=True)
            if not zeros:
                made = made.clamp(1e-30, 1 - 1e-6)
                made = made / made.sum(0) if len(made) > 1 else made
            values[block.parameter] = made.to(model.program.dtype)
    return Model.from_values(model.program, values)


def passed(model: Model, evidence: Evidence) -> tuple[Activations, Statistics]:
    """Both passes on linear values."""
    batch = Batch.of(model.program, evidence)
    act = fastest_upward(model.program, model.parameters, batch, keep_elements=True)
    assert act.linear
    statistics = Statistics.zeros(model.program)
    downward(act, statistics=statistics)
    return act, statistics


def check(model: Model, evidence: Evidence) -> None:
    """Likelihoods and an EM step against the oracle."""
    values, rows, dtype = reference(model), oracle.Rows.of(evidence), model.program.dtype
    act, statistics = passed(model, evidence)
    expected = oracle.log_likelihood(model.circuit, values, rows)
    close(act.log_likelihood, expected, dtype, "log-likelihood")
    close(forward(model, evidence), expected, dtype, "log-likelihood without elements")
    counts = oracle.expected_counts(model.circuit, values, rows)
    for step, alpha in ((1.0, 0.5), (0.3, 0.1)):
        after = maximise(model, statistics, step, alpha)
        close_parameters(after, oracle.maximised(model.circuit, values, counts, step, alpha), f"step {step}")


@pytest.mark.parametrize("dtype", DTYPES)
@examples(25)
@given(
    st.sampled_from([2, 4]), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.sampled_from(MISSING), st.integers(0, 99)
)
def test_tiny_and_zero_masses(
    dtype: torch.dtype, size: int, nodes: int, width: int, zeros: bool, pattern: str, seed: int
) -> None:
    variables = Variables.finite(7, size)
    model = extreme(compiled(mixture(variables, nodes, width), dtype, seed), seed, zeros)
    rng = np.random.default_rng(seed)
    mask = random_mask(pattern, (19, 7), rng)
    check(model, Evidence(soil(torch.from_numpy(rng.integers(0, size, (19, 7))), mask), mask))


@pytest.mark.parametrize("dtype", DTYPES)
def test_weak_rows_are_mended_and_others_left_alone(dtype: torch.dtype, mended: list[int]) -> None:
    """A row's numbers are the same to the last bit whether its neighbours need logarithms or not."""
    variables = Variables.finite(4, 3)
    model = compiled(mixture(variables, 3, 4), dtype)
    values = model.values()
    tiny = 1e-8 if dtype == torch.float32 else 1e-60
    for block in model.circuit.blocks:
        if isinstance(block, InputBlock):
            made = torch.rand(3, 3, dtype=torch.float64) + 0.1
            made[2] = tiny * (1 + torch.rand(3, dtype=torch.float64))
            values[block.parameter] = (made / made.sum(0)).to(dtype)
    model = Model.from_values(model.program, values)
    likely = torch.randint(0, 2, (16, 4), generator=torch.Generator().manual_seed(0))
    rare = likely.clone()
    rare[[3, 7]] = 2
    alone, _ = passed(model, Evidence(likely))
    assert not mended
    together, _ = passed(model, Evidence(rare))
    assert mended == [4]  # two rows of both blocks; their layer is one chunk
    kept = [r for r in range(16) if r not in (3, 7)]
    np.testing.assert_array_equal(alone.log_likelihood[kept], together.log_likelihood[kept])
    check(model, Evidence(rare))


def test_a_row_that_is_impossible_in_one_term_only() -> None:
    """One way through the circuit has probability zero, the other has not; and a row in which both have."""
    variables = Variables.finite(2, 3)
    shut, open_ = torch.tensor([[0.5], [0.5], [0.0]]), torch.tensor([[0.4], [0.3], [0.3]])
    parts = []
    for first in (shut, open_):
        leaves = [
            InputBlock(v, Categorical(3), 1, pcbench.Parameter((3, 1), m))
            for v, m in zip(variables, (first, shut), strict=True)
        ]
        parts.append(ProductBlock([SumBlock([leaf], 2) for leaf in leaves]))
    model = compiled(Circuit(SumBlock([SumBlock([p], 2) for p in parts], 1)), torch.float32)
    evidence = Evidence(torch.tensor([[2, 0], [0, 0], [2, 2], [1, 1]]))
    check(model, evidence)
    found = forward(model, evidence)[:, 0]
    assert (found == -torch.inf).tolist() == [False, False, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_products_come_from_logarithms(dtype: torch.dtype, mended: list[int]) -> None:
    variables = Variables.finite(21, 64)
    model = extreme(compiled(mixture(variables, 3, 11), dtype), 1, zeros=False)
    assert logs_wanted(model.program, 0)
    check(model, Evidence(torch.randint(0, 64, (30, 21), generator=torch.Generator().manual_seed(0))))
    assert not mended


def test_steps_repeat_to_the_bit_and_keep_their_buffers() -> None:
    variables = Variables.finite(12, 16)
    model = extreme(compiled(mixture(variables, 4, 3), torch.float32), 3, zeros=True)
    data = torch.randint(0, 16, (70, 12), generator=torch.Generator().manual_seed(1))
    space, runs = Workspace(), []
    for rows in (70, 5, 70, 70):
        statistics, values = expectation(model, data[:rows], space)
        runs.append((values, *statistics.weights, *statistics.leaves))
    for other in runs[2:]:
        for a, b in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for row in (0, 3, 69):
        close(forward(model, data[row : row + 1]), runs[0][0][row : row + 1], torch.float32, f"row {row} alone")


def test_logarithms_are_kept_where_linear_values_may_underflow() -> None:
    """Each reason by itself; and that the circuit without it is linear."""
    variables = Variables.finite(4, 3)

    def is_linear(model: Model, evidence: Evidence) -> bool:
        return fastest_upward(model.program, model.parameters, Batch.of(model.program, evidence)).linear

    evidence = Evidence(torch.zeros(3, 4, dtype=torch.int64))
    model = compiled(mixture(variables, 3, 2), torch.float32)
    assert is_linear(model, evidence)
    assert not is_linear(model, Evidence(evidence.values, soft={1: torch.tensor([0.2, 0.5, 0.3])}))

    values = model.values()
    block = next(b for b in model.circuit.blocks if isinstance(b, SumBlock))
    for least, linear_ in ((2 * least_weight(torch.float32), True), (least_weight(torch.float32) / 2, False)):
        weights = values[block.parameter].clone()
        weights[0, 0] = least
        weights[0, 1:] *= (1 - least) / weights[0, 1:].sum()
        changed = Model.from_values(model.program, {**values, block.parameter: weights})
        assert is_linear(changed, evidence) == linear_
        expected = oracle.log_likelihood(changed.circuit, reference(changed), oracle.Rows.of(evidence))
        close(forward(changed, evidence), expected, torch.float32)

    assert not is_linear(compiled(mixture(variables, 3, 2, Binomial(2)), torch.float32), evidence)
    leaf = InputBlock(Variables.finite(1, 3)[0], Categorical(3), 4)
    holes = Circuit(SumBlock([SumBlock([leaf], 4, Sparse(torch.arange(4), torch.arange(4)))]))
    one = compiled(holes, torch.float32)
    assert not is_linear(one, Evidence(torch.zeros(3, 1, dtype=torch.int64)))


def test_tables_of_logarithms_follow_the_parameters() -> None:
    """What training does not keep up to date is made when a query asks: after a step, and in a copy."""
    model = compiled(mixture(Variables.finite(4, 3), 2, 2), torch.float32)
    data = torch.randint(0, 3, (9, 4), generator=torch.Generator().manual_seed(0))
    first = maximise(model, expectation(model, data)[0], pseudocount=0.1)
    second = maximise(first, expectation(first, data)[0], step_size=0.5, pseudocount=0.1, recycle=model)
    for each in (first, second, second.clone()):
        for t, leaves in enumerate(each.parameters.leaves):
            logs, masses = each.parameters.lookups[t], each.parameters.masses[t]
            assert logs is not None
            assert masses is not None
            np.testing.assert_allclose(logs[:, :-1], leaves.log(), rtol=1e-6)
            np.testing.assert_array_equal(masses[:, :-1], leaves)
            assert bool((logs[:, -1] == 0).all())
            assert bool((masses[:, -1] == 1).all())
