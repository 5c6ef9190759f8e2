"""Any circuit, any evidence: values, flows and EM of the engine against the oracle, node by node."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcbench import Circuit, Evidence
from pcbench.execute import Statistics, expectation, forward, maximise, node_flows, node_values
from pcbench.queries import log_likelihood, mpe

from .. import oracle
from ..strategies import BATCH_SIZES, circuits, deterministic_circuits, evidences, examples
from .common import DTYPES, KERNELS, close, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")
SMALL = (1, 2, 3, 5, 17, 33)
#: Expected counts below this are not told from none in float32.
FAINT = 1e-25


def check_values_and_flows(circuit: Circuit, evidence: Evidence, dtype: torch.dtype, kernel: str) -> None:
    model = compiled(circuit, dtype, kernel=kernel)
    values, rows = reference(model), oracle.Rows.of(evidence)
    logs = oracle.node_values(circuit, values, rows)
    flows = oracle.node_flows(circuit, values, rows, logs=logs)
    close(forward(model, evidence), np.concatenate([logs[r] for r in circuit.roots], 1), dtype, "log-likelihood")
    for block, value in node_values(model, evidence).items():
        close(value, logs[block], dtype, f"value of {circuit.label(block)}")
    for block, flow in node_flows(model, evidence).items():
        close(flow, flows[block], dtype, f"flow of {circuit.label(block)}")


@pytest.mark.parametrize("dtype", DTYPES)
@examples(150)
@given(st.data(), st.sampled_from(KERNELS))
def test_values_and_flows_of_every_node(dtype: torch.dtype, data: st.DataObject, kernel: str) -> None:
    circuit = data.draw(circuits())
    check_values_and_flows(circuit, data.draw(evidences(circuit, SMALL, soft=True)), dtype, kernel)


@examples(60)
@given(st.data())
def test_flows_scale_with_their_seeds(data: st.DataObject) -> None:
    circuit = data.draw(circuits(roots=3))
    evidence = data.draw(evidences(circuit, SMALL))
    model = compiled(circuit)
    seeds = np.random.default_rng(0).uniform(0, 2, (len(evidence), circuit.num_outputs))
    expected = oracle.node_flows(circuit, reference(model), oracle.Rows.of(evidence), seeds)
    for block, flow in node_flows(model, evidence, torch.from_numpy(seeds)).items():
        close(flow, expected[block], what=circuit.label(block))


@pytest.mark.parametrize("dtype", DTYPES)
@examples(100)
@given(st.data(), st.sampled_from([1.0, 0.3]), st.sampled_from([0.0, 0.5, 20.0]), st.sampled_from(KERNELS))
def test_em_step_by_definition(dtype: torch.dtype, data: st.DataObject, step: float, alpha: float, kernel: str) -> None:
    circuit = data.draw(circuits())
    batches = [data.draw(evidences(circuit, SMALL, soft=True)) for _ in range(data.draw(st.integers(1, 2)))]
    model = compiled(circuit, dtype, kernel=kernel)
    values = reference(model)
    statistics = Statistics.zeros(model.program)
    parts = []
    for batch in batches:
        statistics.add_(expectation(model, batch)[0])
        parts.append(oracle.expected_counts(circuit, values, oracle.Rows.of(batch)))
    counts = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    assert statistics.rows == sum(len(b) for b in batches)
    expected = oracle.maximised(circuit, values, counts, step, alpha)
    faint = {p for p, e in counts.edges.items() if ((e > 0) & (e < FAINT)).any()}
    faint |= {p for p, (total, _) in counts.leaves.items() if ((total > 0) & (total < FAINT)).any()}
    for parameter, value in maximise(model, statistics, step_size=step, pseudocount=alpha).values().items():
        if dtype == torch.float64 or parameter not in faint:
            close(value, expected[parameter], dtype)
    for parameter, value in model.values().items():  # the old model stays as it was
        np.testing.assert_array_equal(value.double().numpy(), values[parameter])


@examples(80)
@given(st.data())
def test_batches_do_not_matter(data: st.DataObject) -> None:
    circuit = data.draw(circuits())
    evidence = data.draw(evidences(circuit, BATCH_SIZES))
    model = compiled(circuit)
    together = forward(model, evidence)
    cut = data.draw(st.integers(1, len(evidence)))
    close(log_likelihood(model, evidence, batch_size=cut).reshape(together.shape), together)
    for i in {0, len(evidence) - 1, cut - 1}:
        close(forward(model, evidence[i : i + 1])[0], together[i])


@examples(60)
@given(st.data())
def test_worlds_sum_to_one_and_marginals_are_sums(data: st.DataObject) -> None:
    circuit = data.draw(circuits(real=False))
    model = compiled(circuit)
    evidence = data.draw(evidences(circuit, SMALL, soft=True))
    rows = oracle.Rows.of(evidence)
    found = forward(model, evidence)
    for output in range(circuit.num_outputs):
        joint = oracle.Joint(circuit, reference(model), output)
        worlds = torch.from_numpy(joint.worlds).long()
        close(forward(model, worlds)[:, output].exp().sum(), 1.0, what="sum over all worlds")
        close(found[:, output], joint.marginal(rows), what="marginal")


@pytest.mark.parametrize("dtype", DTYPES)
@examples(60)
@given(st.data(), st.sampled_from(KERNELS))
def test_best_tree_and_its_state(dtype: torch.dtype, data: st.DataObject, kernel: str) -> None:
    circuit = data.draw(circuits(roots=1))
    model = compiled(circuit, dtype, kernel=kernel)
    evidence = data.draw(evidences(circuit, SMALL))
    rows = oracle.Rows.of(evidence)
    possible = torch.isfinite(forward(model, evidence)[:, 0])
    if not bool(possible.any()):
        return
    evidence, rows = evidence[possible], oracle.Rows.of(evidence[possible])
    values = reference(model)
    found = mpe(model, evidence)
    close(found.log_tree, oracle.best_values(circuit, values, rows)[circuit.roots[0]][:, 0], dtype, "best tree")
    state = found.state.double().numpy()
    np.testing.assert_array_equal(state[rows.observed], rows.values[rows.observed])
    close(found.log_probability, oracle.log_likelihood(circuit, values, oracle.Rows.of(state))[:, 0], dtype, "value")
    assert (found.log_probability >= found.log_tree - 1e-3).all()


@examples(60)
@given(st.data())
def test_best_state_is_exact_in_deterministic_circuits(data: st.DataObject) -> None:
    circuit = data.draw(deterministic_circuits())
    model = compiled(circuit)
    evidence = data.draw(evidences(circuit, SMALL))
    evidence = evidence[torch.isfinite(forward(model, evidence)[:, 0])]
    if len(evidence) == 0:
        return
    found = mpe(model, evidence)
    assert found.exact, found.note
    joint, rows = oracle.Joint(circuit, reference(model)), oracle.Rows.of(evidence)
    best = [joint.best(rows, i)[1] for i in range(len(rows))]
    close(found.log_probability, best)
    close(found.log_tree, best)
