"""The laws on circuits of more than 100,000 nodes, on few rows, against the oracle that works on arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pcbench
from pcbench import Circuit, Evidence, InputBlock, Model, Variables, mpe, sample
from pcbench.execute import expectation, forward, maximise, node_flows
from pcbench.structures import hmm, poon_domingos

from .. import oracle
from .common import close, reference

ROWS = 2


def grid() -> Circuit:
    """Poon-Domingos over 28 × 28 pixels, K=64: the configuration of the published table."""
    return poon_domingos(latents=64, shape=(28, 28), split_interval=4, variables=Variables.finite(784, 256))


def chain() -> Circuit:
    """A hidden Markov model of 1,200 steps and 48 states."""
    return hmm(latents=48, variables=Variables.finite(1200, 10))


@pytest.fixture(scope="module", params=[grid, chain], ids=["poon-domingos", "hmm"])
def case(request: pytest.FixtureRequest) -> tuple[Model, Evidence]:
    circuit = request.param()
    size = circuit.variables[0].domain.size
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(size, (ROWS, len(circuit.variables)), generator=generator)
    observed = torch.rand(values.shape, generator=generator) < 0.8
    observed[0] = True
    return Model.create(pcbench.compile(circuit, dtype=torch.float32)), Evidence(values, observed)


@pytest.fixture(scope="module")
def passes(case: tuple[Model, Evidence]) -> tuple[dict, dict, dict]:
    model, evidence = case
    values, rows = reference(model), oracle.Rows.of(evidence)
    logs = oracle.node_values(model.circuit, values, rows)
    return values, logs, oracle.node_flows(model.circuit, values, rows, logs=logs)


def test_is_large(case: tuple[Model, Evidence]) -> None:
    assert case[0].circuit.num_nodes >= 100_000


def test_likelihoods(case: tuple[Model, Evidence], passes: tuple[dict, dict, dict]) -> None:
    model, evidence = case
    expected = passes[1][model.circuit.roots[0]]
    assert expected.max() < -1000  # far below what one float holds
    np.testing.assert_allclose(forward(model, evidence), expected, rtol=1e-6)
    nothing = Evidence.none(1, model.circuit.variables)
    assert float(forward(model, nothing)) == pytest.approx(0, abs=1e-3)  # normalised


def test_flows(case: tuple[Model, Evidence], passes: tuple[dict, dict, dict]) -> None:
    model, evidence = case
    arrived = np.zeros((ROWS, len(model.circuit.variables)))
    for block, flow in node_flows(model, evidence).items():
        expected = passes[2][block]
        # A share of a flow that went through hundreds of layers carries the rounding of each.
        np.testing.assert_allclose(flow, expected, rtol=2e-3, atol=1e-4, err_msg=model.circuit.label(block))
        if isinstance(block, InputBlock):
            arrived[:, block.variable.index] += flow.sum(1).numpy()
    np.testing.assert_allclose(arrived, 1, rtol=1e-3)


def test_em_climbs(case: tuple[Model, Evidence]) -> None:
    model, evidence = case
    before = float(forward(model, evidence).sum())
    for _ in range(2):
        statistics, log_likelihood = expectation(model, evidence)
        assert float(log_likelihood.sum()) >= before - 1e-3
        before = float(log_likelihood.sum())
        model = maximise(model, statistics, pseudocount=0.0)
    assert float(forward(model, evidence).sum()) > before


def test_explanation_and_sample(case: tuple[Model, Evidence]) -> None:
    model, evidence = case
    found = mpe(model, evidence)
    close(found.log_probability, forward(model, found.state)[:, 0], torch.float32)
    assert (found.log_probability >= found.log_tree - 0.01).all()
    drawn = sample(model, evidence=evidence, seed=1)
    mask = evidence.mask()
    for state in (found.state, drawn):
        assert torch.equal(state[mask], evidence.values[mask])
        assert torch.isfinite(forward(model, state)).all()
    # What maximises cannot be worse than what was drawn, by far, in a model with thousands of nearly free choices.
    assert (found.log_probability[1] >= forward(model, drawn)[1, 0]).all()
