"""Answers do not depend on how rows are cut, weights are laid out, parameters are held, or numbers are rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench import (
    BlockSparse,
    Categorical,
    Circuit,
    Dense,
    Evidence,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    Variables,
    mpe,
    sample,
)
from pcbench.execute import expectation, forward, maximise, node_flows

from .. import oracle
from ..strategies import BATCH_SIZES, edge_values, random_mask, random_rows, soil
from .cases import CASES, Case, retied
from .common import DTYPES, close, compiled, reference

pytestmark = pytest.mark.usefixtures("nan_filled")
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
def test_any_batch_size_gives_the_same_rows(case: Case) -> None:
    model = compiled(case.circuit())
    evidence = case.evidence("entries", max(BATCH_SIZES))
    whole = forward(model, evidence)
    flows = node_flows(model, evidence)
    for size in BATCH_SIZES:
        close(forward(model, evidence[:size]), whole[:size], what=f"batch of {size}")
    for i in (0, 31, 32, 33, 256):
        close(forward(model, evidence[i : i + 1]), whole[i : i + 1], what=f"row {i} alone")
    for block, flow in node_flows(model, evidence[:33]).items():
        close(flow, flows[block][:33], what=case.circuit().label(block))


@pytest.mark.parametrize("size", BATCH_SIZES)
def test_any_batch_size_gives_the_counts_of_its_rows(size: int) -> None:
    """No row is dropped or counted twice, whatever the batch's remainder by a tile is."""
    case = next(c for c in CASES if c.structure.name == "rat" and c.leaf == "categorical")
    circuit = case.circuit()
    model = compiled(circuit)
    evidence = case.evidence("entries", size)
    counts = oracle.expected_counts(circuit, reference(model), oracle.Rows.of(evidence))
    expected = oracle.maximised(circuit, reference(model), counts)
    for parameter, value in maximise(model, expectation(model, evidence)[0]).values().items():
        close(value, expected[parameter])


@every_case
def test_the_tile_changes_no_answer(case: Case) -> None:
    evidence = case.evidence("entries", 19)
    models = [compiled(case.circuit(), tile=tile) for tile in (32, 1, 4, 128)]
    expected = forward(models[0], evidence)
    after = maximise(models[0], expectation(models[0], evidence)[0]).values()
    for model in models[1:]:
        close(forward(model, evidence), expected)
        for parameter, value in maximise(model, expectation(model, evidence)[0]).values().items():
            close(value, after[parameter])


@every_case
def test_single_precision_agrees_with_double(case: Case) -> None:
    double = compiled(case.circuit())
    single = double.recompiled(pcbench.compile(case.circuit(), dtype=torch.float32))
    evidence = case.evidence("entries", 40)
    got, expected = forward(single, evidence), forward(double, evidence)
    assert got.dtype == torch.float64
    close(got, expected, torch.float32)
    flows = node_flows(double, evidence)
    for block, flow in node_flows(single, evidence).items():
        close(flow, flows[block], torch.float32, case.circuit().label(block))


@pytest.mark.parametrize("case", [c for c in CASES if c.tying == "tied"], ids=str)
def test_tied_and_untied_circuits_agree(case: Case) -> None:
    """The same numbers in one shared parameter or in a copy for every block: same answers, and counts that add up."""
    tied = case.circuit()
    free, origin = retied(tied, tied=False)
    assert len(free.parameters) > len(tied.parameters)
    one = compiled(tied)
    known = one.values()
    other = Model.from_values(pcbench.compile(free, dtype=torch.float64), {p: known[origin[p]] for p in free.parameters})
    evidence = case.evidence("entries", 21)
    close(forward(other, evidence), forward(one, evidence))
    flows, again_flows = node_flows(one, evidence), node_flows(other, evidence)
    for block, again in zip(tied.blocks, free.blocks, strict=True):
        close(again_flows[again], flows[block], what=tied.label(block))
    counts = oracle.expected_counts(free, reference(other), oracle.Rows.of(evidence))
    joined = oracle.Counts({}, {})
    for parameter in free.parameters:
        old = origin[parameter]
        if parameter in counts.edges:
            joined.edges[old] = joined.edges.get(old, 0) + counts.edges[parameter]
        else:
            total, held = joined.leaves.get(old, (0, 0))
            joined.leaves[old] = (total + counts.leaves[parameter][0], held + counts.leaves[parameter][1])
    expected = oracle.maximised(tied, reference(one), joined)
    for parameter, value in maximise(one, expectation(one, evidence)[0]).values().items():
        close(value, expected[parameter])


# -- the same weights as dense, tiled and sparse edges ---------------------------------------------------------------------
def patterned(nodes: int, tile: int, density: float, seed: int) -> tuple[Any, torch.Tensor]:
    """A block-sparse pattern of ``nodes × nodes``, and its weights in float64."""
    rng = np.random.default_rng(seed)
    mask = rng.random((nodes // tile, nodes // tile)) < density
    mask[np.arange(len(mask)), rng.integers(0, len(mask), len(mask))] = True
    rows, cols = (torch.from_numpy(i) for i in mask.nonzero())
    edges = BlockSparse(tile, rows, cols)
    return edges, edge_values(edges, nodes, nodes, rng, zeros=0.1)


def spread(edges: BlockSparse, weights: torch.Tensor, nodes: int) -> torch.Tensor:
    full = torch.zeros(nodes, nodes, dtype=torch.float64)
    t = edges.tile
    for i, (r, c) in enumerate(zip(edges.rows.tolist(), edges.cols.tolist(), strict=True)):
        full[r * t : (r + 1) * t, c * t : (c + 1) * t] = weights[i]
    return full


def layered(nodes: int, edges: Any, weights: torch.Tensor) -> Circuit:
    """Two variables, and between leaves and root two sum blocks with the given edges (tied)."""
    rng = np.random.default_rng(0)
    leaves = []
    for v in Variables.finite(2, 3):
        raw = torch.from_numpy(rng.random((3, nodes)) + 0.05)
        leaves.append(InputBlock(v, Categorical(3), nodes, Parameter((3, nodes), raw / raw.sum(0))))
    parameter = Parameter(tuple(weights.shape), weights)
    below = SumBlock([ProductBlock(leaves)], nodes, edges, parameter)
    above = SumBlock([below], nodes, edges, parameter)
    return Circuit(SumBlock([above], 1, parameter=Parameter((1, nodes), torch.full((1, nodes), 1 / nodes))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("nodes", "tile", "density"),
    [(8, 4, 0.5), (8, 1, 0.3), (96, 8, 0.1), (256, 16, 0.02), (128, 32, 0.3), (120, 1, 0.01), (128, 4, 0.05)],
)
def test_dense_tiled_and_sparse_edges_agree(nodes: int, tile: int, density: float, dtype: torch.dtype) -> None:
    edges, weights = patterned(nodes, tile, density, seed=nodes + tile)
    full = spread(edges, weights, nodes)
    mask = spread(edges, torch.ones_like(weights), nodes) > 0
    rows, cols = mask.nonzero(as_tuple=True)
    variants = [(Dense(), full), (edges, weights), (Sparse(rows, cols), full[rows, cols])]
    models = [compiled(layered(nodes, e, w), dtype) for e, w in variants]
    rng = np.random.default_rng(1)
    over = models[0].circuit.variables
    values, observed = random_rows(over, 33, rng), random_mask("entries", (33, 2), rng)
    evidence = Evidence(soil(values, observed), observed)
    expected, best = forward(models[0], evidence), mpe(models[0], evidence)
    drawn = sample(models[0], evidence=evidence, seed=1)
    after = [maximise(m, expectation(m, evidence)[0], pseudocount=0.0) for m in models]
    for model, learnt in zip(models[1:], after[1:], strict=True):
        close(forward(model, evidence), expected, dtype)
        close(mpe(model, evidence).log_tree, best.log_tree, dtype)
        if dtype == torch.float64:
            assert torch.equal(sample(model, evidence=evidence, seed=1), drawn)
        for block, other in zip(model.circuit.blocks, models[0].circuit.blocks, strict=True):
            close(node_flows(model, evidence)[block], node_flows(models[0], evidence)[other], dtype)
        close(forward(learnt, evidence), forward(after[0], evidence), dtype)


def test_every_kernel_variant_is_met() -> None:
    """The circuits above reach every layout of weights, so that agreeing means something."""
    names = set()
    for nodes, tile, density in [(8, 4, 0.5), (256, 16, 0.02), (120, 1, 0.01)]:
        edges, weights = patterned(nodes, tile, density, seed=nodes + tile)
        program = compiled(layered(nodes, edges, weights)).program
        names |= {t.choice.kernel.name for t in program.sum_tables}
    assert names == {"dense", "tiles", "edges"}


@pytest.mark.parametrize("kind", ["tiles", "edges", "dense"])
def test_values_survive_a_round_trip_through_a_program(kind: str) -> None:
    nodes, tile, density = {"tiles": (256, 16, 0.02), "edges": (120, 1, 0.01), "dense": (8, 1, 0.5)}[kind]
    edges, weights = patterned(nodes, tile, density, seed=3)
    model = compiled(layered(nodes, edges, weights))
    again = Model.from_values(model.program, model.values())
    for parameter, value in again.values().items():
        assert tuple(value.shape) == parameter.shape
        np.testing.assert_array_equal(value, model.values()[parameter])
