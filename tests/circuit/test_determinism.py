"""Determinism: certificates against enumeration, and reports that say where and why not."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcbench.circuit import (
    Block,
    BlockSparse,
    Circuit,
    InputBlock,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    initial_values,
)
from pcbench.circuit.determinism import deterministic
from pcbench.distributions import Bernoulli, Categorical, Gaussian
from pcbench.errors import OptionError
from pcbench.scope import Variables
from pcbench.structures import chow_liu, hclt, hmm, rat

ABC = Variables.binary(3, ["a", "b", "c"])


def literals(i: int) -> InputBlock:
    """Node 0 is « x = 0 », node 1 is « x = 1 »."""
    return InputBlock(ABC[i], Bernoulli(), 2, Parameter((1, 2), torch.tensor([[0.0, 1.0]])), ABC[i].name)


def coin(i: int, nodes: int = 1) -> InputBlock:
    return InputBlock(ABC[i], Bernoulli(), nodes, name=ABC[i].name)


def test_literals_are_exclusive_and_coins_are_not() -> None:
    assert deterministic(Circuit(SumBlock([literals(0)], 1)))
    report = deterministic(Circuit(SumBlock([coin(0, 2)], 1, name="root")))
    assert not report
    assert report.violations[0].message == (
        "root: node 0 is not deterministic: its children a[0] and a[1] are both positive at all values"
    )


def test_a_weight_of_zero_is_no_edge() -> None:
    one = Parameter((2, 2), torch.eye(2))
    assert deterministic(Circuit(SumBlock([coin(0, 2)], 2, parameter=one)))
    circuit = Circuit(SumBlock([coin(0, 2)], 2))
    assert not deterministic(circuit)
    assert deterministic(circuit, {circuit.parameters[1]: torch.eye(2)})
    sparse = SumBlock([coin(0, 2)], 2, Sparse(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 0])))
    assert not deterministic(Circuit(sparse))
    assert deterministic(Circuit(sparse), {sparse.parameter: torch.tensor([1.0, 0.0, 1.0])})
    tiles = SumBlock([coin(0, 2)], 2, BlockSparse(2, torch.tensor([0]), torch.tensor([0])))
    assert not deterministic(Circuit(tiles))
    assert deterministic(Circuit(tiles), {tiles.parameter: torch.eye(2)[None]})


def test_a_child_that_is_never_positive_harms_nothing() -> None:
    never = ProductBlock([literals(0), InputBlock(ABC[1], Categorical(2), 2, Parameter((2, 2), torch.eye(2)))])
    dead = SumBlock([never], 1, Sparse(torch.tensor([0]), torch.tensor([0])))
    assert deterministic(Circuit(SumBlock([dead], 1)))
    # Inside a product a factor of mass zero somewhere is enough: (¬a ∧ ¬b) excludes (a ∧ b).
    assert deterministic(Circuit(SumBlock([never], 1)))


def test_products_exclude_each_other_through_any_factor() -> None:
    a, b = literals(0), coin(1, 2)
    assert deterministic(Circuit(SumBlock([ProductBlock([a, b])], 1)))
    same = ProductBlock([a, b], torch.tensor([[0, 0], [0, 1]]), name="pair")
    report = deterministic(Circuit(SumBlock([same], 1, name="root")))
    assert "pair[0] and pair[1] are both positive at a=0" in report.violations[0].message


def test_exclusion_below_a_sum_and_across_levels() -> None:
    """a·b against (¬a·b + a·¬b): no factor pair of whole scopes decides it, the sum must be opened first."""
    a, b = literals(0), literals(1)
    both = ProductBlock([a, b], torch.tensor([[1, 1]]))
    either = SumBlock([ProductBlock([a, b], torch.tensor([[0, 1], [1, 0]]))], 1)
    assert deterministic(Circuit(SumBlock([both, either], 1)))
    neither = ProductBlock([a, b], torch.tensor([[0, 0], [1, 0]]), name="rest")
    report = deterministic(Circuit(SumBlock([either, neither], 1, name="root")))
    message = report.violations[0].message
    assert re.search(r"sum#\d\[0\] and rest\[1\] are both positive at a=1, b=0$", message)


def test_not_shown_is_not_said_to_be_wrong() -> None:
    """Equal products split in two ways: (a xor b)·c against a·(b xor c) restricted so that no single factor pair decides."""
    a, b, c = literals(0), literals(1), literals(2)
    index = torch.tensor([[0, 0], [1, 1]])
    ab = SumBlock([ProductBlock([a, b], index)], 1, name="a=b")
    bc = SumBlock([ProductBlock([b, c], torch.tensor([[0, 1], [1, 0]]))], 1, name="b≠c")
    one = torch.tensor([[0, 1]])
    left = ProductBlock([ab, c], one, name="left")  # a = b, c = 1
    right = ProductBlock([bc, a], one, name="right")  # b ≠ c, a = 1: together b = 1 and b = 0
    report = deterministic(Circuit(SumBlock([left, right], 1, name="root")))
    assert [v.message for v in report.violations] == [
        "root: node 0: its children left[0] and right[0] were not shown to exclude each other"
    ]


def test_budget() -> None:
    circuit = chow_liu(torch.randint(0, 16, (50, 6), generator=torch.Generator().manual_seed(0)))
    assert deterministic(circuit)
    report = deterministic(circuit, budget=20)
    assert not report
    assert report.violations[-1].message.endswith("not shown to be deterministic within 20 comparisons")
    with pytest.raises(OptionError, match="budget must be at least 1, got 0"):
        deterministic(circuit, budget=0)


def test_deep_circuits() -> None:
    # One hidden state: every sum has one child.
    assert deterministic(hmm(1, Variables.binary(4096)))
    # The hidden state is what is seen; pairs of states are told apart at once, pairs of coins only at the end of the chain.
    deep = hmm(2, Variables.binary(500))
    assert len(deterministic(deep).violations) == 500
    values = initial_values(deep)
    values[next(p for p in deep.parameters if p.name == "emission")] = torch.eye(2, dtype=torch.float64)
    assert deterministic(deep, values)


def test_densities_are_positive_everywhere() -> None:
    real = Variables.real(2)
    report = deterministic(Circuit(SumBlock([ProductBlock([InputBlock(v, Gaussian(), 2) for v in real])], 1)))
    assert "all values" in report.violations[0].message


def test_structures() -> None:
    data = torch.randint(0, 2, (50, 8), generator=torch.Generator().manual_seed(0))
    assert deterministic(chow_liu(data))
    assert not deterministic(hclt(data, 2))
    assert deterministic(hclt(data, 1))
    assert not deterministic(rat(2, 2, 2, data=data))


def test_an_undecomposable_circuit_is_told_so() -> None:
    square = Circuit(SumBlock([ProductBlock([literals(0), literals(0)])], 1), checked=False)
    assert "is not decomposable" in deterministic(square).violations[0].message


# ---------------------------------------------------------------- against enumeration
WORLDS = torch.tensor(list(itertools.product((0, 1), repeat=3)))


def positive(circuit: Circuit) -> dict[Block, Tensor]:
    """Where each node is positive: ``[8, N]`` bool for each block, by enumeration."""
    out: dict[Block, Tensor] = {}
    for block in circuit.blocks:
        if isinstance(block, InputBlock):
            assert block.parameter.value is not None
            out[block] = block.parameter.value[WORLDS[:, block.variable.index]] > 0
        elif isinstance(block, ProductBlock):
            assert block.index is not None
            out[block] = torch.stack([out[c][:, block.index[:, k]] for k, c in enumerate(block.children)]).all(0)
        else:
            assert block.parameter.value is not None
            below = torch.cat([out[c] for c in block.children], 1)
            out[block] = (below.double() @ (block.parameter.value > 0).double().T) > 0
    return out


@st.composite
def small_circuits(draw: st.DrawFn) -> Circuit:
    """Sums over products over three binary variables, with many zeros, split in either of two ways."""
    bits = st.integers(0, 2**20).map(lambda s: torch.Generator().manual_seed(s))

    def rows(shape: tuple[int, int]) -> Tensor:
        kept = (torch.rand(shape, generator=draw(bits)) < 0.6).double()
        kept[torch.arange(shape[0]), torch.randint(0, shape[1], (shape[0],), generator=draw(bits))] = 1.0
        return kept / kept.sum(1, keepdim=True)

    def product(*parts: Block) -> ProductBlock:
        nodes = draw(st.integers(1, 3))
        return ProductBlock(parts, torch.stack([torch.randint(0, p.nodes, (nodes,), generator=draw(bits)) for p in parts], 1))

    def mixed(children: list[Block], nodes: int) -> SumBlock:
        shape = (nodes, sum(c.nodes for c in children))
        return SumBlock(children, nodes, parameter=Parameter(shape, rows(shape)))

    leaves = [InputBlock(v, Categorical(2), 3, Parameter((2, 3), rows((3, 2)).T)) for v in ABC]
    tops: list[Block] = []
    for lonely in draw(st.lists(st.integers(0, 2), min_size=1, max_size=2)):
        pair = [leaves[i] for i in range(3) if i != lonely]
        inner = mixed([product(*pair)], 2)
        tops.append(product(inner, leaves[lonely]))
    return Circuit(mixed(tops, draw(st.integers(1, 2))))


@given(small_circuits())
def test_certificates_and_witnesses_hold(circuit: Circuit) -> None:
    where = positive(circuit)
    report = deterministic(circuit)
    accused = {v.block for v in report.violations}
    for block in circuit.blocks:
        if isinstance(block, SumBlock):
            below = torch.cat([where[c] for c in block.children], 1).double()
            assert block.parameter.value is not None
            most = (below @ (block.parameter.value > 0).double().T).max()
            if block not in accused:
                assert most <= 1, f"{circuit.label(block)} was certified"
    for violation in report.violations:
        found = re.search(r"children (\S+)\[(\d+)\] and (\S+)\[(\d+)\] are both positive at (.*)", violation.message)
        if found is None:
            assert "not shown" in violation.message
            continue
        fixed = dict(part.split("=") for part in found[5].split(", ")) if found[5] != "all values" else {}
        rows = torch.tensor([all(world[ABC[n].index] == int(x) for n, x in fixed.items()) for world in WORLDS])
        named = {circuit.label(b): b for b in circuit.blocks}
        for label, node in ((found[1], found[2]), (found[3], found[4])):
            assert where[named[label]][rows][:, int(node)].all()
