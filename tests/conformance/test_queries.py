"""Most probable explanations and samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pcbench import Evidence, InputBlock, Model, mpe, sample
from pcbench.execute import forward

from .. import oracle
from ..strategies import MISSING
from .cases import CASES, FINITE_CASES, Case
from .common import DTYPES, close, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")
every_case = pytest.mark.parametrize("case", CASES, ids=str)
finite_cases = pytest.mark.parametrize("case", FINITE_CASES, ids=str)
DRAWS = 3000


def possible(model: Model, evidence: Evidence) -> Evidence:
    """The rows that the circuit does not rule out."""
    return evidence[torch.isfinite(forward(model, evidence)[:, 0])]


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_explanations(case: Case, dtype: torch.dtype) -> None:
    circuit = case.circuit()
    model = compiled(circuit, dtype)
    values = reference(model)
    joint = oracle.Joint(circuit, values) if case.variables.all_finite and dtype == torch.float64 else None
    for pattern in MISSING:
        evidence = possible(model, case.evidence(pattern, 9))
        if len(evidence) == 0:
            continue
        rows = oracle.Rows.of(evidence)
        found = mpe(model, evidence)
        state = found.state.double().numpy()
        np.testing.assert_array_equal(state[rows.observed], rows.values[rows.observed])
        close(found.log_probability, oracle.log_likelihood(circuit, values, oracle.Rows.of(state))[:, 0], dtype, "value")
        close(found.log_tree, oracle.best_values(circuit, values, rows)[circuit.roots[0]][:, 0], dtype, "best tree")
        if joint is not None:
            best = np.array([joint.best(rows, i)[1] for i in range(len(rows))])
            assert (found.log_probability.numpy() <= best + 1e-9).all()
            if found.exact:
                close(found.log_probability, best, what="exact, so it says")


def test_chow_liu_trees_are_explained_exactly() -> None:
    case = next(c for c in CASES if c.structure.name == "chow-liu" and c.tying == "free")
    assert mpe(compiled(case.circuit()), case.evidence("columns", 3)).exact


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """p-value of counts against probabilities; cells that expect fewer than five are one cell."""
    expected = probabilities * counts.sum()
    assert counts[probabilities == 0].sum() == 0, "an impossible world was drawn"
    rare = expected < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    kept = wanted > 0
    if kept.sum() < 2:
        return 1.0
    return float(stats.chisquare(seen[kept], wanted[kept] * seen.sum() / wanted[kept].sum()).pvalue)


@finite_cases
def test_samples_follow_the_joint(case: Case) -> None:
    model = compiled(case.circuit())
    joint = oracle.Joint(case.circuit(), reference(model))
    drawn = sample(model, DRAWS, seed=11)
    assert drawn.shape == (DRAWS, len(case.variables))
    assert drawn.dtype == torch.int64
    counts = np.bincount(joint.position(drawn.numpy()), minlength=len(joint.worlds))
    assert chi_square(counts, np.exp(joint.logs)) > 1e-3


@finite_cases
def test_samples_follow_the_posterior(case: Case) -> None:
    model = compiled(case.circuit())
    joint = oracle.Joint(case.circuit(), reference(model))
    evidence = possible(model, case.evidence("entries", 6, seed=4))[:2]
    rows = oracle.Rows.of(evidence)
    drawn = sample(model, DRAWS, evidence=evidence, seed=5)
    assert drawn.shape == (len(evidence), DRAWS, len(case.variables))
    for i in range(len(evidence)):
        kept = drawn[i].double().numpy()[:, rows.observed[i]]
        assert (kept == rows.values[i, rows.observed[i]]).all()
        counts = np.bincount(joint.position(drawn[i].numpy()), minlength=len(joint.worlds))
        assert chi_square(counts, joint.posterior(rows, i)) > 1e-3


@pytest.mark.parametrize("case", [c for c in CASES if c.leaf == "gaussian"], ids=str)
def test_samples_of_real_variables_follow_their_mixtures(case: Case) -> None:
    circuit = case.circuit()
    model = compiled(circuit)
    values = reference(model)
    observed = torch.tensor([True, False, True, False])
    evidence = Evidence(case.data(1, seed=9), observed)
    flows = oracle.node_flows(circuit, values, oracle.Rows.of(evidence))
    drawn = sample(model, DRAWS, evidence=evidence, seed=2)[0].numpy()
    for column in (1, 3):
        leaves = [b for b in circuit.blocks if isinstance(b, InputBlock) and b.variable.index == column]
        weights = np.concatenate([flows[b][0] for b in leaves])
        mean, variance = np.concatenate([values[b.parameter] for b in leaves], 1)

        def cdf(x: np.ndarray, w: np.ndarray = weights, m: np.ndarray = mean, v: np.ndarray = variance) -> np.ndarray:
            return (w * stats.norm.cdf(x[:, None], m, np.sqrt(v))).sum(1)

        assert stats.kstest(drawn[:, column], cdf).pvalue > 1e-3


@every_case
def test_a_sample_depends_on_seed_and_row_alone(case: Case) -> None:
    model = compiled(case.circuit())
    first = sample(model, 70, seed=3)
    for size in (9, 32, 69):
        torch.testing.assert_close(sample(model, 70, seed=3, batch_size=size), first, rtol=0, atol=0)
    torch.testing.assert_close(sample(model, 40, seed=3), first[:40], rtol=0, atol=0)
    torch.testing.assert_close(sample(model, 5, seed=3, batch_size=1), first[:5], rtol=0, atol=0)
    assert not torch.equal(sample(model, 70, seed=4), first)
    evidence = possible(model, case.evidence("entries", 33))
    whole = sample(model, evidence=evidence, seed=8)
    torch.testing.assert_close(sample(model, evidence=evidence, seed=8, batch_size=5), whole, rtol=0, atol=0)
