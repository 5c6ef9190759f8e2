"""Mutual information against plain counting, spanning trees against all trees, and the tree's own circuit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pcbench import Finite, Model, Real, Variables, log_likelihood
from pcbench import compile as compile_circuit
from pcbench.circuit.determinism import deterministic
from pcbench.errors import CircuitError, DataError, OptionError
from pcbench.structures import Tree, chow_liu, chow_liu_tree, mutual_information, spanning_tree
from pcbench.structures import information as information_module


def random_table(rows: int, sizes: list[int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    columns: list[Tensor] = []
    for i, size in enumerate(sizes):
        fresh = torch.randint(0, size, (rows,), generator=generator)
        copied = torch.rand(rows, generator=generator) < 0.6
        columns.append(torch.where(copied, columns[i // 2] % size, fresh) if i else fresh)
    return torch.stack(columns, 1)


def counted(x: np.ndarray, y: np.ndarray, pseudocount: float) -> float:
    """Mutual information of two columns by the definition, Σ p(a,b) log p(a,b) / (p(a) p(b))."""
    first, second = sorted(set(x.tolist())), sorted(set(y.tolist()))
    share = pseudocount / (len(first) * len(second))
    joint = np.array([[float(np.sum((x == a) & (y == b))) + share for b in second] for a in first])
    joint /= joint.sum()
    total = 0.0
    for i, j in itertools.product(range(len(first)), range(len(second))):
        if joint[i, j] > 0:
            total += joint[i, j] * math.log(joint[i, j] / (joint[i].sum() * joint[:, j].sum()))
    return total


@pytest.mark.parametrize("pseudocount", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("chunk", [4, 2048])
def test_information_by_definition(pseudocount: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(information_module, "CHUNK", chunk)
    monkeypatch.setattr(information_module, "ROWS", 50)
    data = random_table(173, [2, 3, 5, 2, 4], seed=3)
    found = mutual_information(data, pseudocount=pseudocount)
    for i, j in itertools.combinations(range(5), 2):
        assert float(found[i, j]) == pytest.approx(counted(data[:, i].numpy(), data[:, j].numpy(), pseudocount), abs=1e-12)
        assert found[i, j] == found[j, i]
    assert not found.diagonal().any()


def test_missing_values_are_left_out_pair_by_pair() -> None:
    data = random_table(211, [3, 3, 4], seed=5)
    observed = torch.rand(data.shape, generator=torch.Generator().manual_seed(1)) < 0.7
    spoilt = torch.where(observed, data, 99)  # what is not observed must not be read
    found = mutual_information(spoilt, observed=observed)
    for i, j in itertools.combinations(range(3), 2):
        both = observed[:, i] & observed[:, j]
        assert float(found[i, j]) == pytest.approx(counted(data[both, i].numpy(), data[both, j].numpy(), 1.0), abs=1e-12)


def test_a_pair_never_seen_together_has_no_information() -> None:
    data = random_table(20, [2, 2], seed=1)
    observed = torch.zeros(20, 2, dtype=torch.bool)
    observed[:10, 0], observed[10:, 1] = True, True
    assert not mutual_information(data, observed=observed, pseudocount=0.0).any()


def test_many_values_are_cut_into_levels() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randint(0, 256, (4000,), generator=generator)
    noise = torch.randint(-8, 9, (4000,), generator=generator)
    data = torch.stack((x, (x + noise).clamp(0, 255), torch.randint(0, 256, (4000,), generator=generator)), 1)
    for bins in (None, 4, 16):
        found = mutual_information(data, bins=bins)
        assert found[0, 1] > 0.7 * math.log(bins or 8)
        assert found[0, 2] < 0.05
    level = information_module._level_of_value(torch.tensor([500, 0, 10, 10, 0, 480]), 4)
    assert level.tolist()[0] == 0
    assert level.tolist()[5] == level.max()


def test_real_columns_by_correlation() -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(20000, 3, generator=generator, dtype=torch.float64)
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    found = mutual_information(1000 + 5 * x)
    rho = float(torch.corrcoef(x.T)[0, 1])
    assert float(found[0, 1]) == pytest.approx(-0.5 * math.log(1 - rho**2), rel=1e-6)
    assert found[0, 2] < 1e-3


def test_mixed_columns() -> None:
    generator = torch.Generator().manual_seed(4)
    z = torch.randint(0, 2, (3000,), generator=generator).double()
    data = torch.stack((z, 4 * z + torch.randn(3000, generator=generator), torch.randn(3000, generator=generator)), 1)
    variables = Variables([Finite(2), Real(), Real()])
    found = mutual_information(data, variables)
    assert found[0, 1] > 0.5
    assert found[0, 2] < 0.02
    assert chow_liu_tree(data, variables).parents.count(-1) == 1


@pytest.mark.parametrize("real", [False, True])
def test_a_constant_column_is_harmless(real: bool) -> None:
    data = random_table(100, [2, 3, 3, 2], seed=9)
    data[:, 2] = 1
    table = data.double() if real else data
    found = mutual_information(table)
    assert not found[2].any()
    assert len(chow_liu_tree(table)) == 4
    all_constant = chow_liu_tree(torch.ones_like(table))
    assert sorted(all_constant.order) == [0, 1, 2, 3]


def test_the_tree_is_the_best_of_all_trees() -> None:
    found = mutual_information(random_table(150, [2, 3, 2, 4, 2], seed=11))
    tree = spanning_tree(found)
    value = sum(float(found[v, p]) for v, p in enumerate(tree.parents) if p >= 0)
    pairs = list(itertools.combinations(range(5), 2))
    best = 0.0
    for edges in itertools.combinations(pairs, 4):
        reached = {0}
        for _ in range(4):
            reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
        if len(reached) == 5:
            best = max(best, sum(float(found[a, b]) for a, b in edges))
    assert value == pytest.approx(best, abs=1e-12)


def test_root() -> None:
    chain = torch.zeros(7, 7, dtype=torch.float64)
    for v in range(6):
        chain[v, v + 1] = chain[v + 1, v] = 1.0
    assert spanning_tree(chain).root == 3
    assert spanning_tree(chain).depth == 3
    assert spanning_tree(chain, root=0).parents == (-1, 0, 1, 2, 3, 4, 5)
    with pytest.raises(OptionError, match=r"root must be a variable, 0…6, got 7"):
        spanning_tree(chain, root=7)
    assert spanning_tree(torch.zeros(1, 1, dtype=torch.float64)).parents == (-1,)


def test_trees_that_are_none() -> None:
    with pytest.raises(CircuitError, match="2 of 3 variables are roots"):
        Tree((-1, -1, 0))
    with pytest.raises(CircuitError, match="variable 1 is not connected to the root: its parents form a cycle"):
        Tree((-1, 2, 1))
    with pytest.raises(CircuitError, match="variable 1 has parent 5"):
        Tree((-1, 5))
    tree = Tree((1, -1, 1, 2))
    assert tree.order[0] == 1
    assert tree.children == ((), (0, 2), (3,), ())


def test_bad_data_says_where() -> None:
    good = random_table(10, [3, 3], seed=0)
    for data, message in [
        (good[:, 0], r"shape \[rows, variables\], got \(10,\)"),
        (good[:0], r"data is empty: shape \(0, 2\)"),
        (good - 1, r"variable 'x\d': got -1, expected 0…"),
        (torch.full((3, 2), torch.nan), r"row 0, variable 'x0': got nan, expected a finite number"),
        (torch.complex(good.float(), good.float()), "got torch.complex64"),
    ]:
        with pytest.raises(DataError, match=message):
            chow_liu_tree(data)
    with pytest.raises(DataError, match=r"got 2, expected 0…1"):
        chow_liu_tree(torch.tensor([[0, 2]]), Variables.binary(2))
    with pytest.raises(DataError, match=r"got 0.5, expected 0…1"):
        chow_liu_tree(torch.tensor([[0.0, 0.5]]), Variables.binary(2))
    with pytest.raises(DataError, match="data has 2 columns, but there are 3 variables"):
        chow_liu_tree(good, Variables.finite(3, 3))
    with pytest.raises(DataError, match=r"observed needs shape \(10, 2\)"):
        chow_liu_tree(good, observed=torch.ones(10, dtype=torch.bool))
    with pytest.raises(OptionError, match="bins must be a whole number of at least 2, got 1"):
        chow_liu_tree(good, bins=1)
    with pytest.raises(OptionError, match="pseudocount must not be negative"):
        chow_liu_tree(good, pseudocount=-1.0)
    with pytest.raises(OptionError, match="did you mean 'bins'"):
        chow_liu_tree(good, bin=3)  # type: ignore[call-arg]


def test_circuit_of_a_tree_is_the_fitted_tree() -> None:
    """The circuit's likelihood is the product of the conditional tables, counted here by hand; and it is deterministic."""
    sizes = [2, 3, 2, 4]
    variables = Variables([Finite(s) for s in sizes])
    data = random_table(300, sizes, seed=21)
    tree = chow_liu_tree(data, variables)
    circuit = chow_liu(data, variables, pseudocount=0.5)
    assert deterministic(circuit)
    model = Model.create(compile_circuit(circuit, dtype=torch.float64))
    worlds = torch.tensor(list(itertools.product(*map(range, sizes))))
    found = log_likelihood(model, worlds)
    expected = torch.zeros(len(worlds), dtype=torch.float64)
    for v, p in enumerate(tree.parents):
        for row, world in enumerate(worlds):
            same = data[:, v] == world[v]
            given = data[:, p] == world[p] if p >= 0 else torch.ones(300, dtype=torch.bool)
            cells = sizes[v] * (sizes[p] if p >= 0 else 1)
            top, bottom = float((same & given).sum()) + 0.5 / cells, float(given.sum()) + 0.5 * sizes[v] / cells
            expected[row] += math.log(top / bottom)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_circuit_of_a_tree_needs_finite_variables() -> None:
    with pytest.raises(CircuitError, match="'x0' is ℝ"):
        chow_liu(torch.rand(5, 2))
