"""The laws of a probabilistic circuit, for every structure × leaf × tying × missing pattern."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from pcbench import FAMILIES, Evidence, InputBlock, ProductBlock, conditional, conditional_log_likelihood, marginal
from pcbench.circuit import smooth
from pcbench.execute import forward, node_flows, node_values
from pcbench.queries import log_likelihood

from .. import oracle
from ..strategies import MISSING
from .cases import CASES, FINITE_CASES, LEAVES, Case
from .common import DTYPES, close, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")
every_case = pytest.mark.parametrize("case", CASES, ids=str)
finite_cases = pytest.mark.parametrize("case", FINITE_CASES, ids=str)


def test_every_family_has_a_case() -> None:
    assert {f.name for f in FAMILIES} == set(LEAVES), "a new family needs a line in LEAVES, and a formula in the oracle"


@finite_cases
def test_normalised_marginals_and_conditionals(case: Case) -> None:
    model = compiled(case.circuit())
    joint = oracle.Joint(case.circuit(), reference(model))
    worlds = torch.from_numpy(joint.worlds).to(torch.uint8)
    assert float(forward(model, worlds).exp().sum()) == pytest.approx(1, abs=1e-9)
    assert smooth(case.circuit())
    for pattern in MISSING:
        evidence = case.evidence(pattern, 9)
        rows = oracle.Rows.of(evidence)
        expected = joint.marginal(rows)
        close(log_likelihood(model, evidence), expected, what=pattern)
        kept = evidence[torch.from_numpy(np.isfinite(expected))]
        if len(kept) == 0:
            continue
        rows = oracle.Rows.of(kept)
        for name, posterior in conditional(model, kept).items():
            column = case.variables[name].index
            by_hand = [joint.conditional(rows, i, column) for i in range(len(rows))]
            close(posterior.probabilities, by_hand, what=f"{pattern}: p({name} | evidence)")


@finite_cases
def test_marginal_and_conditional_likelihoods_are_ratios(case: Case) -> None:
    model = compiled(case.circuit())
    joint = oracle.Joint(case.circuit(), reference(model))
    values = case.data(12, seed=3)
    shape = (12, len(case.variables))
    query, given = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    query[:, 1], given[:, 0], given[:6, 2] = True, True, True
    below = joint.marginal(oracle.Rows(values.double().numpy(), given.numpy()))
    both = joint.marginal(oracle.Rows(values.double().numpy(), (query | given).numpy()))
    close(marginal(model, values, ["x0"])[6:], below[6:], what="marginal of one variable")
    possible = torch.from_numpy(np.isfinite(below))
    asked, known = Evidence(values, query)[possible], Evidence(values, given)[possible]
    close(conditional_log_likelihood(model, asked, known), (both - below)[possible.numpy()], what="conditional")


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_values_and_flows(case: Case, dtype: torch.dtype) -> None:
    circuit = case.circuit()
    model = compiled(circuit, dtype)
    values = reference(model)
    for pattern in MISSING:
        evidence = case.evidence(pattern, 11)
        rows = oracle.Rows.of(evidence)
        logs = oracle.node_values(circuit, values, rows)
        flows = oracle.node_flows(circuit, values, rows, logs=logs)
        got_values, got_flows = node_values(model, evidence), node_flows(model, evidence)
        for block in circuit.blocks:
            close(got_values[block], logs[block], dtype, f"{pattern}: value of {circuit.label(block)}")
            close(got_flows[block], flows[block], dtype, f"{pattern}: flow of {circuit.label(block)}")


@every_case
def test_flow_is_conserved(case: Case) -> None:
    """What a node receives it hands on in full, so the leaves of a variable share exactly one unit a row."""
    circuit = case.circuit()
    model = compiled(circuit)
    for pattern in MISSING:
        evidence = case.evidence(pattern, 8, seed=5)
        possible = torch.isfinite(forward(model, evidence)).double()[:, 0]
        flows = node_flows(model, evidence)
        arrived = {b: torch.zeros(8, dtype=torch.float64) for b in circuit.blocks}
        for block, parents in circuit.parents().items():
            if len(parents) == 1:
                arrived[parents[0]] += flows[block].sum(1)
        for block in circuit.blocks:
            if block.children and all(len(circuit.parents()[c]) == 1 for c in block.children):
                share = len(block.children) if isinstance(block, ProductBlock) else 1
                close(arrived[block], share * flows[block].sum(1), what=circuit.label(block))
        for variable in case.variables:
            leaves = [b for b in circuit.blocks if isinstance(b, InputBlock) and b.variable == variable]
            close(sum(flows[b].sum(1) for b in leaves), possible, what=f"{pattern}: leaves of {variable.name}")


@pytest.mark.parametrize("case", [c for c in CASES if c.leaf == "gaussian"], ids=str)
def test_densities_integrate_to_their_marginals(case: Case) -> None:
    model = compiled(case.circuit())
    evidence = case.evidence("none", 1)
    without = torch.ones(4, dtype=torch.bool)
    without[2] = False
    expected = float(forward(model, Evidence(evidence.values, without)).exp())
    grid = torch.linspace(-30, 30, 4001, dtype=torch.float64)
    rows = evidence.values.repeat(len(grid), 1)
    rows[:, 2] = grid
    found = integrate.simpson(forward(model, rows)[:, 0].exp().numpy(), x=grid.numpy())
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES if c.leaf == "gaussian"], ids=str)
def test_posteriors_of_real_variables_are_mixtures_of_leaves(case: Case) -> None:
    circuit = case.circuit()
    model = compiled(circuit)
    values = reference(model)
    observed = torch.tensor([True, False, True, False])
    evidence = Evidence(case.data(6, seed=9), observed)
    flows = oracle.node_flows(circuit, values, oracle.Rows.of(evidence))
    for name, posterior in conditional(model, evidence, ["x1", "x3"]).items():
        leaves = [b for b in circuit.blocks if isinstance(b, InputBlock) and b.variable.name == name]
        weights = np.concatenate([flows[b] for b in leaves], 1)
        mean, variance = np.concatenate([values[b.parameter] for b in leaves], 1)
        first = weights @ mean
        close(posterior.mean, first, what="mean")
        close(posterior.variance, weights @ (variance + mean**2) - first**2, what="variance")
        below = (weights * stats.norm.cdf(0.3, mean, np.sqrt(variance))).sum(1)
        close(posterior.cdf(torch.full((6,), 0.3)), below, what="cdf")
