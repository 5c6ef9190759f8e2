"""Circuits: order, cycles, variables, counts, and reports that say where and why."""

from __future__ import annotations

import pytest
import torch

from pcbench.circuit import (
    Block,
    Circuit,
    InputBlock,
    Parameter,
    ProductBlock,
    SumBlock,
    decomposable,
    describe,
    initial_values,
    smooth,
    structured_decomposable,
    topological_order,
)
from pcbench.distributions import Bernoulli, Categorical
from pcbench.errors import CircuitError, CycleError, DecomposabilityError, SmoothnessError
from pcbench.scope import Variables
from pcbench.structures import hclt, hmm

ABC = Variables.binary(3, ["a", "b", "c"])


def leaf(i: int, nodes: int = 2) -> InputBlock:
    return InputBlock(ABC[i], Bernoulli(), nodes, name=ABC[i].name)


# ---------------------------------------------------------------- order
def test_children_come_before_parents_in_a_path_of_4096() -> None:
    circuit = hmm(2, Variables.binary(4096))
    for block in circuit.blocks:
        assert all(circuit.index[c] < circuit.index[block] for c in block.children)
    assert circuit.roots[0] is circuit.blocks[-1]


def test_order_of_a_deep_path_and_of_shared_nodes() -> None:
    path = {i: [i + 1] for i in range(50_000)}
    assert topological_order([0], {**path, 50_000: []}) == list(range(50_000, -1, -1))
    # Every node has both nodes of the next level: 2^200 paths, 400 nodes.
    ladder = {(level, side): [(level + 1, 0), (level + 1, 1)] for level in range(200) for side in (0, 1)}
    ladder |= {(200, 0): [], (200, 1): []}
    assert len(topological_order([(0, 0), (0, 1)], ladder)) == 402


def test_a_cycle_is_shown() -> None:
    graph = {"root": ["a"], "a": ["b", "leaf"], "b": ["c"], "c": ["a"], "leaf": []}
    with pytest.raises(CycleError, match="a node is its own descendant: a → b → c → a"):
        topological_order(["root"], graph)
    with pytest.raises(CycleError, match="root → root"):
        topological_order(["root"], {"root": ["root"]})


def test_a_circuit_cannot_be_its_own_child() -> None:
    """Blocks are frozen; only someone who forces a change can close a cycle, and is told."""
    inner = SumBlock([leaf(0)], 2, name="inner")
    outer = SumBlock([inner], 2, name="outer")
    object.__setattr__(inner, "children", (outer,))
    with pytest.raises(CycleError, match="is its own descendant"):
        Circuit(outer)


# ---------------------------------------------------------------- properties
def test_smooth_says_where_and_why() -> None:
    narrow = SumBlock([ProductBlock([leaf(0), leaf(1)]), leaf(0)], 1, name="mixture")
    with pytest.raises(SmoothnessError, match=r"mixture is not smooth: its child a does not depend on \{b\}"):
        Circuit(narrow)
    report = smooth(Circuit(narrow, checked=False))
    assert not report
    assert report.violations[0].block is narrow
    assert str(report).startswith("smooth: no\n  · mixture is not smooth")
    assert str(smooth(Circuit(leaf(0)))) == "smooth: yes"


def test_decomposable_says_where_and_why() -> None:
    first, second = leaf(0), SumBlock([ProductBlock([leaf(0), leaf(1)])], 2, name="both")
    product = ProductBlock([first, second], name="square")
    message = r"square is not decomposable: its children a and both both depend on \{a\}"
    with pytest.raises(DecomposabilityError, match=message):
        Circuit(product)
    report = decomposable(Circuit(product, checked=False))
    assert [v.block for v in report.violations] == [product]


def test_every_place_is_reported() -> None:
    wrong = [ProductBlock([leaf(0), leaf(0)], name=f"p{i}") for i in range(3)]
    report = decomposable(Circuit(SumBlock(wrong, 1), checked=False))
    assert sorted(v.message.split()[0] for v in report.violations) == ["p0", "p1", "p2"]


def test_structured_says_where_and_why() -> None:
    left = ProductBlock([leaf(0), SumBlock([ProductBlock([leaf(1), leaf(2)])], 2)], name="left")
    right = ProductBlock([SumBlock([ProductBlock([leaf(0), leaf(1)])], 2), leaf(2)], name="right")
    report = structured_decomposable(Circuit(SumBlock([left, right], 1)))
    assert not report
    assert "right splits {a, b, c} otherwise than left does ({a} | {b, c})" in report.violations[0].message
    assert structured_decomposable(Circuit(SumBlock([left, left], 1)))
    assert structured_decomposable(hclt(latents=2, tree=[-1, 0, 0, 1], variables=Variables.binary(4)))


# ---------------------------------------------------------------- variables, roots, counts
def test_variables_are_collected_or_contradict() -> None:
    assert Circuit(ProductBlock([leaf(0), leaf(1)])).variables.names(3) == "{a, b}"
    with pytest.raises(CircuitError, match=r"no input block models column 0; pass variables="):
        Circuit(leaf(1))
    assert len(Circuit(leaf(1), ABC).variables) == 3
    other = InputBlock(Variables.binary(1, ["z"])[0], Bernoulli())
    with pytest.raises(CircuitError, match="but column 0 is"):
        Circuit([leaf(0), other])
    with pytest.raises(CircuitError, match=r"an input block models .*'c'"):
        Circuit(leaf(2), Variables.binary(2, ["a", "b"]))
    with pytest.raises(CircuitError, match="at least one root"):
        Circuit([])


def test_counts_with_tying_sharing_and_several_roots() -> None:
    tied = Parameter((1, 2))
    a, b = InputBlock(ABC[0], Bernoulli(), 2, tied), InputBlock(ABC[1], Bernoulli(), 2, tied)
    product = ProductBlock([a, b])
    first, second = SumBlock([product], 3), SumBlock([product, product], 1)
    circuit = Circuit([first, second])
    assert circuit.num_outputs == 4
    assert circuit.num_nodes == 2 + 2 + 3 + 1
    assert circuit.num_edges == 3 * 2 + 4
    assert circuit.num_parameters == 2 + 6 + 4
    assert circuit.parents()[product] == [first, second, second]
    assert circuit.levels()[circuit.index[product]] == 1
    assert "2 variables, 8 nodes, 10 sum edges, 12 parameters" in repr(circuit)


def test_describe_is_plain_data() -> None:
    circuit = Circuit(SumBlock([ProductBlock([leaf(0), leaf(1)])], 1, name="root"))
    data = describe(circuit)
    assert [b["kind"] for b in data["blocks"]] == ["input", "input", "product", "sum"]
    assert data["edges"] == [[0, 2], [1, 2], [2, 3]]
    assert data["roots"] == [3]
    assert data["blocks"][3]["name"] == "root"
    assert data["blocks"][2]["scope"] == [0, 1]


def test_first_values_repeat_and_respect_those_given() -> None:
    given = Parameter((1, 2), torch.tensor([[0.25, 0.75]]), name="coin")
    blocks: list[Block] = [InputBlock(ABC[0], Bernoulli(), 2, given), InputBlock(ABC[1], Categorical(2), 2)]
    circuit = Circuit(SumBlock([ProductBlock(blocks)], 3))
    first, again, other = initial_values(circuit, 1), initial_values(circuit, 1), initial_values(circuit, 2)
    for parameter in circuit.parameters:
        assert torch.equal(first[parameter], again[parameter])
        assert torch.equal(first[parameter], other[parameter]) == (parameter is given)
    assert torch.allclose(first[circuit.parameters[-1]].sum(1), torch.ones(3, dtype=torch.float64))
