"""Errors of other engines that raise nothing: each is a test here, by name."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Categorical,
    Circuit,
    Evidence,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    SumBlock,
    Variables,
    conditional,
    log_likelihood,
    marginal,
    mpe,
    sample,
)
from pcbench.errors import DataError, QueryError
from pcbench.execute import Batch, Statistics, Workspace, expectation, forward, maximise, node_flows, upward
from pcbench.structures import hclt, hmm, rat

from . import oracle

pytestmark = pytest.mark.usefixtures("nan_filled")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def model_of(circuit: Circuit, dtype: torch.dtype = torch.float64, tile: int = 32) -> Model:
    return Model.create(pcbench.compile(circuit, dtype=dtype, tile=tile))


def coin(variable: pcbench.Variable, *heads: float) -> InputBlock:
    """Coins with the given probabilities of 1."""
    value = torch.tensor([heads], dtype=torch.float64)
    return InputBlock(variable, Bernoulli(), len(heads), Parameter((1, len(heads)), value))


def weighed(children: list, *rows: list[float]) -> SumBlock:
    value = torch.tensor(rows, dtype=torch.float64)
    return SumBlock(children, len(rows), parameter=Parameter(tuple(value.shape), value))


def small_tree() -> Circuit:
    return hclt(latents=3, variables=Variables.finite(5, 4), tree=[-1, 0, 0, 1, 1])


def rows_of(circuit: Circuit, count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(v.domain.size, (count,), generator=generator) for v in circuit.variables], 1)


# -- samples dropped when the batch is not a multiple of the tile -----------------------------------------------------------
@pytest.mark.parametrize("tile", [1, 16, 32, 64])
def test_samples_dropped_when_the_batch_is_not_a_multiple_of_the_tile(tile: int) -> None:
    model = model_of(small_tree(), torch.float32, tile)
    root = model.circuit.roots[0]
    for count in (1, 15, 16, 17, 31, 32, 33, 63, 65, 100, 257):
        data = rows_of(model.circuit, count)
        statistics, found = expectation(model, data)
        assert found.shape == (count, 1)
        assert statistics.rows == count
        # Every row sends one unit of flow through the root's edges, and one to the leaves of each variable.
        last = next(t for t, table in enumerate(model.program.sum_tables) if root.parameter in table.parameters)
        at = model.program.sum_tables[last].parameters.index(root.parameter)
        assert float(statistics.weights[last][at].sum()) == pytest.approx(count, rel=1e-5)
        leaves = sum(float(counts[:, :-1].sum()) for counts in statistics.leaves)
        assert leaves == pytest.approx(count * len(model.circuit.variables), rel=1e-5)


# -- max-product flows wrong in log space ---------------------------------------------------------------------------------
@DTYPES
def test_max_product_wrong_in_log_space(dtype: torch.dtype) -> None:
    """Children far apart in scale: the best tree is found by enumerating trees, one pick a sum."""
    x, y = Variables.binary(2)
    low = weighed([coin(x, 1e-12, 0.3)], [0.9, 0.1], [1e-6, 1 - 1e-6])
    pairs = ProductBlock([low, coin(y, 0.2, 1e-9)])
    single = ProductBlock([coin(x, 0.5), coin(y, 0.5)])
    circuit = Circuit(weighed([pairs, single], [0.6, 0.399, 0.001]))
    model = model_of(circuit, dtype)
    values = oracle.numbers(model.values())
    worlds = torch.tensor(list(itertools.product((0, 1), repeat=2)))
    expected = oracle.best_values(circuit, values, oracle.Rows.of(worlds))[circuit.roots[0]][:, 0]
    np.testing.assert_allclose(mpe(model, worlds).log_tree, expected, rtol=1e-5)
    by_hand = max(  # both observed as 1: every tree, written out
        0.6 * 0.9 * 1e-12 * 0.2,
        0.6 * 0.1 * 0.3 * 0.2,
        0.399 * 1e-6 * 1e-12 * 1e-9,
        0.399 * (1 - 1e-6) * 0.3 * 1e-9,
        0.001 * 0.25,
    )
    assert float(mpe(model, worlds[3:]).log_tree) == pytest.approx(math.log(by_hand), rel=1e-5)


# -- noise reused between variables when sampling -------------------------------------------------------------------------
def test_noise_reused_between_variables() -> None:
    """Independent coins, and independent mixtures with tied parameters, come out independent."""
    variables = Variables.binary(8)
    emission = Parameter((1, 2), torch.tensor([[0.2, 0.8]]))
    weights = Parameter((1, 2), torch.tensor([[0.5, 0.5]]))
    parts = [SumBlock([InputBlock(v, Bernoulli(), 2, emission)], 1, parameter=weights) for v in variables]
    drawn = sample(model_of(Circuit(ProductBlock(parts))), 6000, seed=0).double()
    correlation = np.corrcoef(drawn.T.numpy()) - np.eye(8)
    assert np.abs(correlation).max() < 5 / math.sqrt(6000)


def test_noise_reused_between_seeds_and_rows() -> None:
    variables = Variables.binary(64)
    model = model_of(Circuit(ProductBlock([coin(v, 0.5) for v in variables])))
    one, two = sample(model, 500, seed=0), sample(model, 500, seed=1)
    for shift in range(-3, 4):
        agreement = (one[10:400] == two[10 + shift : 400 + shift]).double().mean()
        assert abs(float(agreement) - 0.5) < 0.02
    assert len(torch.unique(one, dim=0)) == 500
    repeated = Evidence(torch.zeros(400, 64, dtype=torch.long), torch.zeros(64, dtype=torch.bool))
    assert len(torch.unique(sample(model, evidence=repeated), dim=0)) == 400


# -- tied flows counted twice -------------------------------------------------------------------------------------------
def test_tied_flows_counted_twice() -> None:
    """One coin seen through two variables: the estimate is the plain frequency, and each observation counts once."""
    x, y = Variables.binary(2)
    shared = Parameter((1, 1), torch.tensor([[0.5]]))
    circuit = Circuit(ProductBlock([InputBlock(v, Bernoulli(), 1, shared) for v in (x, y)]))
    model = model_of(circuit)
    data = torch.tensor([[1, 1], [1, 0], [1, 0], [0, 0]])
    statistics, _ = expectation(model, data)
    np.testing.assert_allclose(statistics.leaves[0].reshape(-1)[:2], [4, 4])
    assert float(maximise(model, statistics).values()[shared]) == pytest.approx(0.5)
    # A prior of α counts once for the parameter, not once for every place that uses it: (4·0.5 + 2·0.5 …)
    tilted = maximise(model, expectation(model, data[:1])[0], pseudocount=2.0).values()[shared]
    assert float(tilted) == pytest.approx((2 + 1) / (2 + 2))


def test_tied_flows_of_a_shared_block_counted_twice() -> None:
    """A block with two parents is one place: its flow is the sum of what both send."""
    x, y = Variables.binary(2)
    common = weighed([coin(x, 0.3, 0.6)], [0.5, 0.5])
    left, right = ProductBlock([common, coin(y, 0.2)]), ProductBlock([common, coin(y, 0.9)])
    circuit = Circuit(weighed([left, right], [0.4, 0.6]))
    model = model_of(circuit)
    data = rows_of(circuit, 7)
    np.testing.assert_allclose(node_flows(model, data)[common], np.ones((7, 1)))
    counts = oracle.expected_counts(circuit, oracle.numbers(model.values()), oracle.Rows.of(data))
    after = maximise(model, expectation(model, data)[0]).values()[common.parameter]
    np.testing.assert_allclose(after, counts.edges[common.parameter] / 7)


# -- state left behind by partial evaluation --------------------------------------------------------------------------------
def test_state_left_behind_by_partial_evaluation() -> None:
    model = model_of(small_tree())
    data = rows_of(model.circuit, 40)
    expected = forward(model, data)
    before = {p: v.clone() for p, v in model.values().items()}
    marginal(model, data, ["x0"])
    conditional(model, Evidence(data, torch.tensor([True, False, True, False, True])))
    mpe(model, Evidence(data[:3], torch.zeros(5, dtype=torch.bool)))
    sample(model, 5)
    expectation(model, data[:7])
    with pytest.raises(DataError):
        forward(model, data + 100)
    assert torch.equal(forward(model, data), expected)
    for parameter, value in model.values().items():
        assert torch.equal(value, before[parameter])


def test_state_left_behind_in_a_workspace() -> None:
    """Buffers that served another size, another circuit and a run that broke off give the same answer again."""
    model, other = model_of(small_tree()), model_of(hmm(latents=3, variables=Variables.finite(7, 3)))
    data = rows_of(model.circuit, 33)
    expected_ll, expected_counts = forward(model, data), expectation(model, data)[0]
    space = Workspace()
    forward(other, rows_of(other.circuit, 50), space)
    upward(model.program, model.parameters, Batch.of(model.program, Evidence.of(rows_of(model.circuit, 64))), space, True)
    for buffer in space._buffers.values():
        buffer.fill_(torch.nan)
    assert torch.equal(forward(model, data, space), expected_ll)
    statistics, found = expectation(model, data, space)
    assert torch.equal(found, expected_ll)
    for one, two in zip(statistics.weights + statistics.leaves, expected_counts.weights + expected_counts.leaves, strict=True):
        torch.testing.assert_close(one, two)


# -- NaN that never goes away ---------------------------------------------------------------------------------------------
def test_nan_that_never_goes_away() -> None:
    """Statistics that once held NaN are clean after they are reset, and a model is never made from NaN."""
    model = model_of(small_tree())
    data = rows_of(model.circuit, 20)
    good, _ = expectation(model, data)
    spoilt, _ = expectation(model, data)
    for tensor in spoilt.weights + spoilt.leaves:
        tensor.fill_(torch.nan)
    with pytest.raises(DataError, match="NaN"):
        maximise(model, spoilt)
    again, _ = expectation(model, data, into=spoilt.reset())
    for one, two in zip(again.weights + again.leaves, good.weights + good.leaves, strict=True):
        torch.testing.assert_close(one, two)
    spoilt.weights[0].fill_(torch.nan)
    added = spoilt.reset().add_(good)
    assert all(bool(torch.isfinite(t).all()) for t in added.weights + added.leaves)


@DTYPES
def test_nan_from_an_impossible_row_spreads_to_others(dtype: torch.dtype) -> None:
    x, y = Variables.binary(2)
    parts = [ProductBlock([coin(x, 0.0, 0.2), coin(y, 0.5, 1.0)])]
    circuit = Circuit(weighed([weighed(parts, [1.0, 0.0], [0.5, 0.5])], [1.0, 0.0]))
    model = model_of(circuit, dtype)
    data = torch.tensor([[1, 0], [0, 1], [0, 0], [1, 1]])
    found = forward(model, data)[:, 0]
    assert found.tolist() == [-math.inf, pytest.approx(math.log(0.5)), pytest.approx(math.log(0.5)), -math.inf]
    for flow in node_flows(model, data).values():
        assert torch.isfinite(flow).all()
        assert (flow[[0, 3]] == 0).all()
    after = maximise(model, expectation(model, data)[0])
    alone = maximise(model, expectation(model, data[1:3])[0])
    for parameter, value in after.values().items():
        torch.testing.assert_close(value, alone.values()[parameter])
    with pytest.raises(QueryError, match="row 0"):
        sample(model, evidence=data)


# -- the sign and scale of a loss ignored -----------------------------------------------------------------------------------
def test_scale_of_the_statistics_ignored() -> None:
    """A row that stands three times counts three times, and flows follow sign and scale of what is sent into the root."""
    model = model_of(small_tree())
    data = rows_of(model.circuit, 9)
    once, thrice = expectation(model, data)[0], expectation(model, data.repeat(3, 1))[0]
    for one, three in zip(once.weights + once.leaves, thrice.weights + thrice.leaves, strict=True):
        torch.testing.assert_close(3 * one, three)
    # With a pseudocount the scale decides how far the data outweigh the prior.
    small = maximise(model, once, pseudocount=5.0).values()
    large = maximise(model, thrice, pseudocount=15.0).values()
    for parameter, value in small.items():
        torch.testing.assert_close(value, large[parameter])
    flows = node_flows(model, data)
    for factor in (-1.0, 2.5, 0.0):
        for block, flow in node_flows(model, data, torch.full((9, 1), factor, dtype=torch.float64)).items():
            torch.testing.assert_close(flow, factor * flows[block])


# -- identity layers trained as parameters ------------------------------------------------------------------------------------
def test_identity_layers_trained_as_parameters() -> None:
    """A child that skips levels costs no parameters: the program holds exactly the circuit's."""
    variables = Variables.binary(6)
    blocks: list = [InputBlock(v, Bernoulli(), 4) for v in variables]
    top = SumBlock([blocks[0]], 4)
    for leaf in blocks[1:5]:
        top = SumBlock([ProductBlock([top, leaf])], 4)
    circuit = Circuit(SumBlock([ProductBlock([top, blocks[5]])], 1))  # blocks[5] skips every level
    program = pcbench.compile(circuit)
    held = sum(math.prod(t.shape) for t in (*program.sum_tables, *program.leaf_tables))
    assert held == circuit.num_parameters
    parameters = {p for t in (*program.sum_tables, *program.leaf_tables) for p in t.parameters}
    assert parameters == set(circuit.parameters)
    assert sum(len(layer.blocks) for layer in program.layers) <= len(circuit.blocks)
    assert set(Model.create(program).values()) == set(circuit.parameters)


# -- likelihoods clamped at a constant ----------------------------------------------------------------------------------------
@DTYPES
def test_likelihoods_clamped_at_a_constant(dtype: torch.dtype) -> None:
    """−5,000 and −20,000 nats are what they are, not −100 a factor nor some floor."""
    for count, each in ((1000, 5.0), (4000, 5.0), (500, 80.0)):
        variables = Variables.binary(count)
        p = math.exp(-each)
        circuit = Circuit(ProductBlock([coin(v, p) for v in variables]))
        model = model_of(circuit, dtype)
        ones = torch.ones(2, count, dtype=torch.uint8)
        np.testing.assert_allclose(forward(model, ones), -each * count, rtol=1e-6)
        np.testing.assert_allclose(
            log_likelihood(model, Evidence(ones, torch.arange(count) < count // 2)), -each * count / 2, rtol=1e-6
        )


@DTYPES
def test_star_shaped_products_underflow(dtype: torch.dtype) -> None:
    """Fifty children of e^-30 beside fifty of 1: e^-1500 of the other element, and yet a node that has no other edge."""
    variables = Variables.binary(50)
    leaves = [coin(v, math.exp(-30), 1.0) for v in variables]
    star = ProductBlock(leaves)
    nodes = weighed([star], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5])
    extra = Variables.binary(51)[50]
    choose = ProductBlock([nodes, coin(extra, 1.0, 0.0, 0.5)])
    # Tiny node times one, huge node times zero: only what underflowed beside its neighbour is left.
    circuit = Circuit(weighed([choose], [0.5, 0.5, 0.0]))
    model = model_of(circuit, dtype)
    data = torch.ones(3, 51, dtype=torch.long)
    np.testing.assert_allclose(forward(model, data), math.log(0.5) - 1500, rtol=1e-6)
    flows = node_flows(model, data)
    np.testing.assert_allclose(flows[nodes], [[1, 0, 0]] * 3, atol=1e-6)
    for leaf in leaves:
        np.testing.assert_allclose(flows[leaf], [[1, 0]] * 3, atol=1e-6)
    after = maximise(model, expectation(model, data)[0])
    np.testing.assert_allclose(forward(after, data), 0, atol=1e-5)
    np.testing.assert_allclose(mpe(model, data).log_tree, math.log(0.5) - 1500, rtol=1e-6)


@DTYPES
@pytest.mark.parametrize("layout", ["edges", "tiles", "dense"])
def test_nodes_that_do_not_see_the_best_element_underflow(layout: str, dtype: torch.dtype) -> None:
    """All weights are far from zero, and yet the elements of one node are e^-720 below those of the others."""
    size, tile = 128, 16
    variables = Variables.binary(12)
    heads = torch.full((1, size), 0.9, dtype=torch.float64)
    heads[0, :tile] = math.exp(-60)
    star = ProductBlock([InputBlock(v, Bernoulli(), size, Parameter((1, size), heads)) for v in variables])
    place = torch.arange(size // tile)
    edges, value = {
        "edges": (pcbench.Sparse(torch.arange(size), torch.arange(size)), torch.ones(size)),
        "tiles": (pcbench.BlockSparse(tile, place, place), torch.full((size // tile, tile, tile), 1 / tile)),
        "dense": (pcbench.Dense(), torch.eye(size)),
    }[layout]
    below = SumBlock([star], size, edges, Parameter(tuple(value.shape), value))
    top = torch.zeros(1, size)
    top[0, 0] = 1
    model = model_of(Circuit(SumBlock([below], 1, parameter=Parameter((1, size), top))), dtype)
    assert model.program.sum_tables[0].choice.kernel.name == layout
    data = torch.ones(2, 12, dtype=torch.long)
    np.testing.assert_allclose(forward(model, data), -720, rtol=1e-6)
    np.testing.assert_allclose(mpe(model, data).log_tree, -720 - (math.log(tile) if layout == "tiles" else 0), rtol=1e-6)
    flows = node_flows(model, data)[star]
    np.testing.assert_allclose(flows[:, :tile].sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(flows[:, tile:], 0, atol=1e-12)
    assert torch.isfinite(forward(maximise(model, expectation(model, data)[0]), data)).all()


@DTYPES
@pytest.mark.parametrize("count", [1e-320, 1e-310, 1e-42, 1e-30])
def test_counts_close_to_nothing_become_infinite_parameters(count: float, dtype: torch.dtype) -> None:
    """One over a denormal number is infinite; a node with such a count keeps or learns parameters, and they are finite."""
    model = model_of(small_tree(), dtype)
    for step in (1.0, 0.3):
        statistics, _ = expectation(model, rows_of(model.circuit, 9))
        for tensor in statistics.weights + statistics.leaves:
            tensor.fill_(count)
        after = maximise(model, statistics, step)
        for value in after.values().values():
            assert torch.isfinite(value).all()
        Model.from_values(model.program, after.values())  # and normalised


@DTYPES
def test_underflow_of_half_a_mixture(dtype: torch.dtype) -> None:
    """Two variables disagree by hundreds of nats about which component is best."""
    variables = Variables.binary(40)
    one = ProductBlock([coin(v, math.exp(-20), 1 - 1e-9) for v in variables[:20]])
    two = ProductBlock([coin(v, 1 - 1e-9, math.exp(-21)) for v in variables[20:]])
    circuit = Circuit(weighed([ProductBlock([one, two])], [0.3, 0.7]))
    model = model_of(circuit, dtype)
    data = torch.ones(1, 40, dtype=torch.long)
    first = math.log(0.3) - 400 + 20 * math.log1p(-1e-9)
    second = math.log(0.7) - 420 + 20 * math.log1p(-1e-9)
    assert float(forward(model, data)) == pytest.approx(np.logaddexp(first, second), rel=1e-6)
    flow = node_flows(model, data)[one][0]
    assert float(flow[1]) == pytest.approx(math.exp(second - np.logaddexp(first, second)), rel=1e-3)


# -- EM that turns to NaN after five steps on 784 binary variables ------------------------------------------------------------
@DTYPES
def test_em_turns_to_nan_on_784_binary_variables(dtype: torch.dtype) -> None:
    """Bernoulli leaves reach 0 and 1 within five steps: pixels that are always black, and images that repeat."""
    rng = np.random.default_rng(1)
    pixels = torch.from_numpy((rng.random((64, 784)) < rng.choice([0.0, 0.02, 0.5, 1.0], 784)).astype(np.uint8))
    pixels[32:] = pixels[:32]
    circuit = rat(latents=6, depth=4, variables=Variables.binary(784), distribution=Bernoulli())
    model = model_of(circuit, dtype)
    last = -math.inf
    for _ in range(12):
        statistics, found = expectation(model, pixels)
        total = float(found.sum())
        assert math.isfinite(total)
        assert total >= last - 1e-6 * abs(total)
        last = total
        model = maximise(model, statistics)
    for value in model.values().values():
        assert torch.isfinite(value).all()
        assert ((value >= 0) & (value <= 1 + 1e-6)).all()


# -- out-of-range categories that read a neighbour's parameter ----------------------------------------------------------------
@pytest.mark.parametrize("wrong", [4, 5, 255, -1])
def test_out_of_range_categories_read_a_neighbours_parameter(wrong: int) -> None:
    model = model_of(small_tree())
    data = rows_of(model.circuit, 4)
    data[2, 1] = wrong
    for question in (forward, expectation, log_likelihood, mpe, node_flows):
        with pytest.raises(DataError, match=rf"row 2, variable 'x1'.*{wrong}"):
            question(model, data)
    observed = torch.ones(4, 5, dtype=torch.bool)
    observed[2, 1] = False
    values = data.clone()
    values[2, 1] = 0
    assert torch.equal(forward(model, Evidence(data, observed)), forward(model, Evidence(values, observed)))


# -- masks of the wrong length accepted ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(4,), (6,), (1,), (3, 5), (4, 4), (1, 5), (4, 5, 1), ()])
def test_masks_of_the_wrong_length_accepted(shape: tuple[int, ...]) -> None:
    model = model_of(small_tree())
    evidence = Evidence(rows_of(model.circuit, 4), torch.ones(shape, dtype=torch.bool))
    for question in (forward, expectation, log_likelihood, mpe, conditional, node_flows):
        with pytest.raises(DataError, match="observed needs shape"):
            question(model, evidence)


# -- further ones of the same family ----------------------------------------------------------------------------------------
def test_statistics_of_no_rows_are_added() -> None:
    model = model_of(small_tree())
    some, _ = expectation(model, rows_of(model.circuit, 9))
    total = Statistics.zeros(model.program).add_(some)
    kept = [t.clone() for t in total.weights + total.leaves]
    total.add_(expectation(model, rows_of(model.circuit, 5))[0].reset())
    for one, two in zip(total.weights + total.leaves, kept, strict=True):
        assert torch.equal(one, two)


def test_categories_beyond_the_domain_take_mass_away() -> None:
    """A family that knows more values than the variable would not sum to one, so it is refused."""
    variable = Variables.finite(1, 3)[0]
    for family in (Categorical(5), Categorical(2), Bernoulli(), pcbench.Binomial(4), pcbench.Gaussian()):
        with pytest.raises(pcbench.errors.CircuitError, match="domain"):
            InputBlock(variable, family)
