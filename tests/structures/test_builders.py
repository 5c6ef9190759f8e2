"""What holds for every structure, and what each refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcbench import Bernoulli, Binomial, Evidence, Gaussian, Model, Variables, log_likelihood
from pcbench import compile as compile_circuit
from pcbench.circuit import BlockSparse, Circuit, InputBlock, SumBlock, decomposable, smooth, structured_decomposable
from pcbench.errors import CircuitError, DataError, DecomposabilityError, OptionError, SmoothnessError
from pcbench.structures import (
    STRUCTURES,
    Region,
    Structure,
    from_regions,
    hclt,
    hmm,
    poon_domingos,
    quad_tree,
    random_regions,
    rat,
)

EACH = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def table(rows: int = 60, columns: int = 9, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    data = torch.randint(0, 3, (rows, columns), generator=generator)
    copied = torch.rand(rows, columns, generator=generator) < 0.5
    for v in range(1, columns):
        data[:, v] = torch.where(copied[:, v], data[:, v - 1], data[:, v])
    return data


def shape_of(circuit: Circuit) -> list[Any]:
    """A circuit as comparable data: for every block its scope, nodes, children and edges."""
    out: list[Any] = []
    for block in circuit.blocks:
        edges = (
            [t.tolist() for t in vars(block.edges).values() if isinstance(t, Tensor)] if isinstance(block, SumBlock) else None
        )
        out.append((type(block).__name__, block.scope, block.nodes, [circuit.index[c] for c in block.children], edges))
    return out


@EACH
def test_builds_with_defaults(structure: Structure) -> None:
    data = table()
    circuit = structure.build(data=data)
    assert smooth(circuit)
    assert decomposable(circuit)
    assert circuit.num_outputs == 1
    assert circuit.scope() == (1 << 9) - 1
    assert [v.domain.size for v in circuit.variables] == [3] * 9
    assert torch.isfinite(log_likelihood(Model.create(circuit), data)).all()


@EACH
def test_total_probability_is_one(structure: Structure) -> None:
    data = table(columns=4) % 2
    model = Model.create(compile_circuit(structure.build(data=data), dtype=torch.float64), seed=1)
    worlds = torch.tensor(list(itertools.product((0, 1), repeat=4)))
    assert float(log_likelihood(model, worlds).exp().sum()) == pytest.approx(1.0, abs=1e-12)
    nothing = Evidence(worlds[:1], torch.zeros(1, 4, dtype=torch.bool))
    assert float(log_likelihood(model, nothing)) == pytest.approx(0.0, abs=1e-12)


@EACH
def test_given_variables_are_kept(structure: Structure) -> None:
    variables = Variables.finite(4, 5, names=["age", "sex", "job", "home"])
    circuit = structure.build(data=table(columns=4), variables=variables)
    assert circuit.variables == variables
    if not structure.needs_data:
        assert structure.build(variables=variables).variables == variables


@EACH
def test_same_seed_same_circuit(structure: Structure) -> None:
    options = {"seed": 3} if "seed" in structure.options else {}
    assert shape_of(structure.build(data=table(), **options)) == shape_of(structure.build(data=table(), **options))


@EACH
def test_structure_says_what_it_is(structure: Structure) -> None:
    assert structure.summary
    assert "data" not in structure.options
    with pytest.raises(OptionError, match=r"has no option 'variabels'; did you mean 'variables'\?"):
        structure.build(variabels=Variables.binary(4))


@EACH
def test_bad_options_and_data(structure: Structure) -> None:
    if "latents" in structure.options:
        with pytest.raises(OptionError, match="latents must be a whole number of at least 1, got 0"):
            structure.build(data=table(), latents=0)
    with pytest.raises(DataError, match=r"data needs shape \[rows, variables\], got \(2, 3, 4\)"):
        structure.build(data=torch.zeros(2, 3, 4, dtype=torch.long))
    with pytest.raises(DataError, match="got -1"):
        structure.build(data=table() - 1)
    with pytest.raises(DataError, match="data has 9 columns, but there are 4 variables"):
        structure.build(data=table(), variables=Variables.finite(4, 3))
    if not structure.needs_data:
        with pytest.raises(OptionError, match="needs variables= or data="):
            structure.build()


@EACH
def test_numpy_and_bool_data(structure: Structure) -> None:
    circuit = structure.build(data=(table() > 0).numpy().astype(np.uint8))
    assert shape_of(circuit) == shape_of(structure.build(data=table() > 0))


# ---------------------------------------------------------------- each its own
def test_another_seed_is_another_circuit() -> None:
    variables = Variables.binary(64)
    assert shape_of(rat(2, 3, 1, variables, seed=1)) != shape_of(rat(2, 3, 1, variables, seed=2))
    first, second = (poon_domingos(32, split_interval=1, max_splits=2, variables=Variables.binary(16), seed=s) for s in (1, 2))
    assert shape_of(first) != shape_of(second)


def test_leaf_families() -> None:
    real = rat(2, 1, 1, data=torch.rand(10, 4))
    assert {b.distribution for b in real.blocks if isinstance(b, InputBlock)} == {Gaussian()}
    chosen = hmm(2, Variables.finite(4, 3), distribution=Binomial(2))
    assert {b.distribution for b in chosen.blocks if isinstance(b, InputBlock)} == {Binomial(2)}
    by_rule = quad_tree(2, variables=Variables.binary(4), distribution=lambda v: Bernoulli() if v.index else Binomial(1))
    assert {b.variable.index: b.distribution.name for b in by_rule.blocks if isinstance(b, InputBlock)} == {
        0: "binomial", 1: "bernoulli", 2: "bernoulli", 3: "bernoulli",
    }  # fmt: skip
    with pytest.raises(CircuitError, match="Bernoulli covers the values 0 and 1"):
        hmm(2, Variables.finite(4, 3), distribution=Bernoulli())


def test_hclt_leaves_hang_on_their_parents() -> None:
    circuit = hclt(latents=3, tree=[1, -1, 1, 2, 2], variables=Variables.binary(5))
    sums = [b for b in circuit.blocks if isinstance(b, SumBlock)]
    assert sorted(bin(s.scope) for s in sums) == ["0b11100", "0b11111"]
    with_sums = hclt(latents=3, tree=[1, -1, 1, 2, 2], variables=Variables.binary(5), leaf_sums=True)
    assert sum(isinstance(b, SumBlock) for b in with_sums.blocks) == 5
    assert hclt(latents=3, tree=[-1], variables=Variables.binary(1)).num_nodes == 4


def test_hclt_mixture() -> None:
    circuit = hclt(table(200), 2, num_trees=3, seed=5)
    root = circuit.roots[0]
    assert len(root.children) == 3
    assert circuit.num_edges > 3 * 2
    assert shape_of(circuit) == shape_of(hclt(table(200), 2, num_trees=3, seed=5))
    with pytest.raises(OptionError, match="num_trees=2 trees are learnt from data"):
        hclt(table(), 2, tree=[-1, *range(8)], num_trees=2)
    with pytest.raises(OptionError, match="the tree is over 2 variables, but there are 9"):
        hclt(table(), 2, tree=[-1, 0])
    with pytest.raises(OptionError, match="needs data= to learn a tree from"):
        hclt(latents=2)


def test_hmm_is_the_forward_algorithm() -> None:
    steps, states, letters = 6, 3, 4
    circuit = hmm(states, Variables.finite(steps, letters))
    model = Model.create(compile_circuit(circuit, dtype=torch.float64), seed=2)
    named = {p.name or "initial": v.double().numpy() for p, v in model.values().items()}
    transition, emission, initial = named["transition"], named["emission"], named["initial"][0]
    data = torch.randint(0, letters, (20, steps), generator=torch.Generator().manual_seed(0))
    expected = []
    for row in data.tolist():
        belief = initial * emission[row[0]]
        for letter in row[1:]:
            belief = (belief @ transition) * emission[letter]
        expected.append(np.log(belief.sum()))
    np.testing.assert_allclose(log_likelihood(model, data).numpy(), expected, rtol=1e-10)


def test_hmm_tying() -> None:
    assert len(hmm(2, Variables.binary(10)).parameters) == 3
    assert len(hmm(2, Variables.binary(10), homogeneous=False).parameters) == 20
    mixed = Variables([*Variables.binary(2), *Variables.finite(1, 3)][i].domain for i in range(3))
    with pytest.raises(OptionError, match=r"'x0' is 0…1 .* and 'x2' is 0…2 .*pass homogeneous=False"):
        hmm(2, mixed)
    assert len(hmm(2, mixed, homogeneous=False).variables) == 3


def test_hmm_of_4096_steps() -> None:
    circuit = hmm(2, Variables.binary(4096))
    assert len(circuit.blocks) == 3 * 4096 - 1
    assert max(circuit.levels()) == 2 * 4096 - 1


def test_rat_depth() -> None:
    assert structured_decomposable(rat(2, 3, 1, Variables.binary(8)))
    assert not structured_decomposable(rat(2, 3, 2, Variables.binary(8)))
    with pytest.raises(OptionError, match="depth=4 makes 16 parts, but there are only 8 variables; depth may be at most 3"):
        rat(2, 4, 1, Variables.binary(8))
    with pytest.raises(OptionError, match="repetitions=2 of depth 0"):
        rat(2, 0, 2, Variables.binary(8))
    assert rat(2, variables=Variables.binary(1)).num_nodes == 3
    assert random_regions(7, 2).variables == tuple(range(7))


def test_image_shapes() -> None:
    for build in (poon_domingos, quad_tree):
        with pytest.raises(OptionError, match=r"shape \(2, 4\) holds 8 pixels, but there are 9 variables"):
            build(2, (2, 4), variables=Variables.binary(9))
        with pytest.raises(OptionError, match="8 variables do not make a square"):
            build(2, variables=Variables.binary(8))
        assert smooth(build(2, (2, 2, 3), variables=Variables.binary(12)))
    with pytest.raises(OptionError, match=r"split_interval=9 leaves an image of \(3, 3\) in one piece"):
        poon_domingos(2, split_interval=9, variables=Variables.binary(9))
    with pytest.raises(OptionError, match=r"cuts \(28, 28\) in [\d,]+ ways"):
        poon_domingos(2, split_interval=1, variables=Variables.binary(784))
    with pytest.raises(OptionError, match="one number for each of the 2 axes"):
        poon_domingos(2, split_interval=[1, 2, 3], variables=Variables.binary(9))
    with pytest.raises(OptionError, match="parts must be 2 or 4, got 3"):
        quad_tree(2, parts=3, variables=Variables.binary(9))
    assert structured_decomposable(quad_tree(2, variables=Variables.binary(9)))
    assert not structured_decomposable(poon_domingos(2, variables=Variables.binary(9)))


def test_regions_that_are_none() -> None:
    a, b, ab = Region((0,)), Region((1,)), Region((0, 1))
    with pytest.raises(DecomposabilityError, match=r"parts of a split share variables \[0\]"):
        Region(splits=((a, ab),))
    with pytest.raises(SmoothnessError, match=r"only one has \[1\]"):
        Region(splits=((a, b), (a,)))
    with pytest.raises(CircuitError, match="at least one variable"):
        Region()
    with pytest.raises(DecomposabilityError, match="twice"):
        Region((1, 1))
    with pytest.raises(CircuitError, match="is split into"):
        Region((0,), ((a, b),))
    with pytest.raises(OptionError, match="must hold all 3 variables"):
        from_regions(ab, 2, Variables.binary(3))
    with pytest.raises(OptionError, match="tile=3 does not divide latents=4"):
        from_regions(ab, 4, Variables.binary(2), tile=3)


@pytest.mark.parametrize("latents", [16, 32, 64, 96, 10])
def test_limited_splits(latents: int) -> None:
    """With ``max_splits`` each node mixes over so many splits, all of them different, and no split is drawn in vain."""
    circuit = poon_domingos(latents, split_interval=1, max_splits=2, variables=Variables.binary(16))
    for block in circuit.blocks:
        if isinstance(block, SumBlock) and block.nodes > 1:
            assert block.num_edges <= 2 * latents * latents
            assert block.num_edges % latents == 0
    limited = [b for b in circuit.blocks if isinstance(b, SumBlock) and b.nodes > 1 and len(b.children) >= 2]
    assert limited
    assert all(b.num_edges == 2 * latents * latents for b in limited)


def test_limited_splits_are_still_a_distribution() -> None:
    circuit = poon_domingos(32, split_interval=1, max_splits=2, variables=Variables.binary(9))
    assert any(isinstance(b, SumBlock) and isinstance(b.edges, BlockSparse) for b in circuit.blocks)
    model = Model.create(compile_circuit(circuit, dtype=torch.float64))
    worlds = torch.tensor(list(itertools.product((0, 1), repeat=9)))
    assert float(log_likelihood(model, worlds).exp().sum()) == pytest.approx(1.0, abs=1e-12)
