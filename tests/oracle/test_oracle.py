"""The oracle against itself: arrays against single nodes, derivatives against differences, tables against sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pcbench import Bernoulli, Binomial, Circuit, Distribution, InputBlock

from ..strategies import circuits, deterministic_circuits, evidences, examples
from . import scalar
from .densities import from_moments
from .learning import expected_counts, maximised
from .passes import Rows, best_values, log_likelihood, node_flows, node_values, numbers
from .worlds import Joint


def given_values(circuit: Circuit) -> dict:
    return numbers({p: p.value for p in circuit.parameters})


@examples(60)
@given(st.data())
def test_arrays_agree_with_single_nodes(data: st.DataObject) -> None:
    circuit = data.draw(circuits(valued=True))
    values = given_values(circuit)
    rows = Rows.of(data.draw(evidences(circuit, [2], soft=True)))
    logs = node_values(circuit, values, rows)
    for row in range(2):
        for (block, n), value in scalar.evaluate(circuit, values, rows, row).items():
            assert math.exp(logs[block][row, n]) == pytest.approx(value, rel=1e-9, abs=1e-300)


@examples(40)
@given(st.data())
def test_flows_are_derivatives(data: st.DataObject) -> None:
    circuit = data.draw(circuits(valued=True, most=3))
    values = given_values(circuit)
    rows = Rows.of(data.draw(evidences(circuit, [1])))
    assume(np.isfinite(log_likelihood(circuit, values, rows)).all())
    flows = node_flows(circuit, values, rows)
    for block in circuit.blocks[:6]:
        measured = scalar.flow(circuit, values, rows, 0, (block, 0))
        assert flows[block][0, 0] == pytest.approx(measured, abs=1e-7)


@examples(30)
@given(circuits(valued=True, real=False, roots=1))
def test_worlds_sum_to_one(circuit: Circuit) -> None:
    assert Joint(circuit, given_values(circuit)).total() == pytest.approx(1, abs=1e-12)


@examples(30)
@given(st.data())
def test_best_tree_is_the_best_world_of_a_deterministic_circuit(data: st.DataObject) -> None:
    circuit = data.draw(deterministic_circuits())
    values = given_values(circuit)
    rows = Rows.of(data.draw(evidences(circuit, [3])))
    joint, tree = Joint(circuit, values), best_values(circuit, values, rows)[circuit.roots[0]]
    for row in range(3):
        assert tree[row, 0] == pytest.approx(joint.best(rows, row)[1], abs=1e-9)


@examples(30)
@given(st.data())
def test_em_never_lowers_the_likelihood(data: st.DataObject) -> None:
    circuit = data.draw(circuits(valued=True, roots=1))
    values = given_values(circuit)
    rows = Rows.of(data.draw(evidences(circuit, [7, 40])))
    assume(np.isfinite(log_likelihood(circuit, values, rows)).all())
    last = -math.inf
    for _ in range(4):
        total = float(log_likelihood(circuit, values, rows).sum())
        assert total >= last - 1e-8 * (1 + abs(total))
        last = total
        values = maximised(circuit, values, expected_counts(circuit, values, rows))


@pytest.mark.parametrize("family", [Bernoulli(), Binomial(3)])
def test_a_probability_that_rounds_past_one_stays_a_probability(family: Distribution) -> None:
    """Flows in which every row holds the largest value: their statistic divided by their total rounded to 1 + 2⁻⁵²."""
    past = np.array([[family.mean(torch.ones(1, 1, dtype=torch.float64)).item() * (1 + 2**-52)]])
    assert from_moments(family, past) == 1.0
    with pytest.raises(AssertionError):
        from_moments(family, past * 1.001)


@examples(20)
@given(st.data())
def test_counts_of_leaves_and_flows_agree(data: st.DataObject) -> None:
    circuit = data.draw(circuits(valued=True))
    values, rows = given_values(circuit), Rows.of(data.draw(evidences(circuit, [5])))
    flows, counts = node_flows(circuit, values, rows), expected_counts(circuit, values, rows)
    for parameter, (total, _) in counts.leaves.items():
        users = [b for b in circuit.blocks if isinstance(b, InputBlock) and b.parameter is parameter]
        expected = sum(flows[b][rows.observed[:, b.variable.index]].sum(0) for b in users)
        np.testing.assert_allclose(total, expected, atol=1e-12)
