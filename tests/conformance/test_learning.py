"""EM: each step is the one of the definition, and no step of full-batch EM lowers the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pcbench
from pcbench import Categorical, Circuit, Evidence, Finite, InputBlock, Model, Parameter, ProductBlock, SumBlock, Variables
from pcbench.execute import Statistics, expectation, forward, maximise
from pcbench.structures import hclt, hmm, rat

from .. import oracle
from ..strategies import MISSING
from .cases import CASES, Case
from .common import DTYPES, close, close_parameters, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_step_is_the_one_of_the_definition(case: Case, dtype: torch.dtype) -> None:
    circuit = case.circuit()
    model = compiled(circuit, dtype)
    values = reference(model)
    for pattern, step, alpha in zip(MISSING, (1.0, 0.2, 1.0, 0.5, 1.0), (0.0, 0.0, 0.7, 3.0, 0.0), strict=True):
        evidence = case.evidence(pattern, 23)
        statistics, log_likelihood = expectation(model, evidence)
        rows = oracle.Rows.of(evidence)
        close(log_likelihood, oracle.log_likelihood(circuit, values, rows), dtype, "log-likelihood of the E step")
        counts = oracle.expected_counts(circuit, values, rows)
        expected = oracle.maximised(circuit, values, counts, step, alpha)
        close_parameters(maximise(model, statistics, step, alpha), expected, pattern)


def climb(model: Model, evidence: Evidence, steps: int = 5) -> list[float]:
    """Total log-likelihood before each of some full-batch EM steps, and after the last."""
    out = []
    for _ in range(steps):
        statistics, log_likelihood = expectation(model, evidence)
        out.append(float(log_likelihood.sum()))
        model = maximise(model, statistics)
    return [*out, float(forward(model, evidence).sum())]


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_em_never_lowers_the_likelihood(case: Case, dtype: torch.dtype) -> None:
    slack = 1e-9 if dtype == torch.float64 else 1e-5
    for pattern in ("none", "columns", "entries", "one row"):
        evidence = case.evidence(pattern, 60)
        model = compiled(case.circuit(), dtype)
        evidence = evidence[torch.isfinite(forward(model, evidence))[:, 0]]
        if len(evidence):
            curve = np.array(climb(model, evidence))
            assert (np.diff(curve) >= -slack * (1 + abs(curve[0]))).all(), f"{pattern}: {curve}"


def softly(circuit: Circuit, evidence: Evidence) -> Evidence:
    """The same, but that finite variables are seen through likelihoods, which are sharp in some rows and vague in others."""
    rng = np.random.default_rng(len(evidence))
    soft = {
        v.index: torch.from_numpy(rng.random((len(evidence), v.domain.size)) ** rng.choice([1, 8], (len(evidence), 1)) + 1e-6)
        for v in circuit.variables[::2]
        if isinstance(v.domain, Finite)
    }
    return Evidence(evidence.values, evidence.observed, soft)


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_em_learns_from_soft_evidence_and_never_lowers_its_likelihood(case: Case, dtype: torch.dtype) -> None:
    circuit = case.circuit()
    evidence, model = softly(circuit, case.evidence("entries", 40)), compiled(circuit, dtype)
    values, rows = reference(model), oracle.Rows.of(evidence)
    expected = oracle.maximised(circuit, values, oracle.expected_counts(circuit, values, rows), 0.5, 0.1)
    close_parameters(maximise(model, expectation(model, evidence)[0], 0.5, 0.1), expected, "soft")
    curve = np.array(climb(model, evidence))
    slack = 1e-9 if dtype == torch.float64 else 1e-5
    assert (np.diff(curve) >= -slack * (1 + abs(curve[0]))).all(), curve


@pytest.mark.parametrize("dtype", DTYPES)
def test_em_on_784_binary_variables_stays_finite_and_climbs(dtype: torch.dtype) -> None:
    """Log-likelihoods near −500 nats, pixels that never change, and rows that are nearly alike."""
    rng = np.random.default_rng(0)
    images = (rng.random((200, 784)) < np.where(np.arange(784) % 5 == 0, 0.0, rng.random(784))).astype(np.uint8)
    images[:, 0] = 1
    data = torch.from_numpy(images)
    for circuit in (
        hclt(data, latents=8, variables=Variables.binary(784)),
        rat(latents=8, depth=5, variables=Variables.binary(784), distribution=pcbench.Bernoulli()),
    ):
        model = compiled(circuit, dtype)
        curve = np.array(climb(model, Evidence(data), steps=8))
        assert np.isfinite(curve).all()
        assert (np.diff(curve) >= -1e-6 * abs(curve[0])).all(), curve
        for _ in range(3):
            model = maximise(model, expectation(model, data)[0], step_size=0.5, pseudocount=0.1)
        assert all(bool(torch.isfinite(v).all()) for v in model.values().values())


def test_statistics_of_batches_add_up_to_those_of_the_whole() -> None:
    case = next(c for c in CASES if c.structure.name == "poon-domingos" and c.leaf == "gaussian")
    model, evidence = compiled(case.circuit()), case.evidence("entries", 100)
    whole, _ = expectation(model, evidence)
    for size in (1, 7, 32, 96):
        total = Statistics.zeros(model.program)
        for start in range(0, 100, size):
            total.add_(expectation(model, evidence[start : start + size])[0])
        into = Statistics.zeros(model.program)
        for start in range(0, 100, size):
            expectation(model, evidence[start : start + size], into=into)
        for one, other, third in zip(
            [*whole.weights, *whole.leaves], [*total.weights, *total.leaves], [*into.weights, *into.leaves], strict=True
        ):
            close(other, one, what=f"batches of {size}, added")
            close(third, one, what=f"batches of {size}, in place")
        assert total.rows == into.rows == whole.rows == 100
        assert total.log_likelihood == pytest.approx(whole.log_likelihood)


def test_frozen_parameters_stay_and_others_learn() -> None:
    variable = Variables.finite(1, 3)[0]
    fixed = Parameter((3, 2), torch.tensor([[0.7, 0.1], [0.2, 0.1], [0.1, 0.8]]), trainable=False)
    open_ = Parameter((3, 2), torch.tensor([[0.4, 0.3], [0.3, 0.3], [0.3, 0.4]]))
    blocks = [InputBlock(variable, Categorical(3), 2, p) for p in (fixed, open_)]
    held = Parameter((1, 4), torch.full((1, 4), 0.25), trainable=False)
    circuit = Circuit(SumBlock([SumBlock(blocks, 2), SumBlock(blocks, 2)], 1, parameter=held))
    model = compiled(circuit)
    after = maximise(model, expectation(model, torch.tensor([[0], [0], [1]]))[0]).values()
    np.testing.assert_array_equal(after[fixed].numpy(), model.values()[fixed].numpy())
    np.testing.assert_array_equal(after[held].numpy(), model.values()[held].numpy())
    assert not torch.allclose(after[open_], model.values()[open_])


def test_nodes_without_flow_keep_what_they_have() -> None:
    """A weight of zero cuts a node off: without pseudocounts nothing is learnt about it, and nothing becomes NaN."""
    variables = Variables.binary(2)
    leaves = [InputBlock(v, Categorical(2), 2, Parameter((2, 2), torch.tensor([[0.9, 0.4], [0.1, 0.6]]))) for v in variables]
    below = SumBlock([ProductBlock(leaves)], 2, parameter=Parameter((2, 2), torch.tensor([[1.0, 0.0], [0.3, 0.7]])))
    top = SumBlock([below], 1, parameter=Parameter((1, 2), torch.tensor([[1.0, 0.0]])))
    model = compiled(Circuit(top))
    data = torch.tensor([[0, 1], [1, 1], [1, 1]])
    after = maximise(model, expectation(model, data)[0]).values()
    np.testing.assert_allclose(after[below.parameter][1], [0.3, 0.7])
    np.testing.assert_allclose(after[leaves[0].parameter][:, 1], [0.4, 0.6])
    np.testing.assert_allclose(after[leaves[0].parameter][:, 0], [1 / 3, 2 / 3])
    pulled = maximise(model, expectation(model, data)[0], pseudocount=1.0).values()
    np.testing.assert_allclose(pulled[below.parameter][1], [0.5, 0.5])  # all that is known is the prior
    np.testing.assert_allclose(pulled[leaves[0].parameter][:, 1], [0.5, 0.5])


def test_a_long_homogeneous_chain_learns_what_the_oracle_says() -> None:
    circuit = hmm(latents=4, variables=Variables.finite(60, 5))
    model = compiled(circuit)
    data = torch.randint(5, (6, 60), generator=torch.Generator().manual_seed(0))
    values = reference(model)
    expected = oracle.maximised(circuit, values, oracle.expected_counts(circuit, values, oracle.Rows.of(data)))
    close_parameters(maximise(model, expectation(model, data)[0]), expected)
