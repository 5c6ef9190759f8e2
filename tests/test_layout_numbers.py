"""What the compiled layout says of padding and of Tensor Cores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pcbench
from pcbench import BlockSparse, Circuit, Gaussian, InputBlock, Program, Sparse, SumBlock, Variables
from pcbench.compile.gpu_plan import gpu_plan


def holed(tile: int, count: int, at: list[tuple[int, int]]) -> Circuit:
    """A sum of ``count · tile`` nodes with edges in the given tiles, beneath a root. Every node has an edge."""
    names = Variables.binary(1)
    at = sorted({*at, *((i, i) for i in range(count))})
    rows, cols = torch.tensor(at).T
    edges = Sparse(rows, cols) if tile == 1 else BlockSparse(tile, rows, cols)
    leaf = InputBlock(names[0], pcbench.Bernoulli(), count * tile)
    return Circuit([SumBlock([SumBlock([leaf], count * tile, edges=edges, name="holed")], 1)], variables=names)


def layer_of(program: Program, name: str = "holed") -> tuple[int, dict[str, object]]:
    index = next(i for i, layer in enumerate(program.layers) if any(b.name == name for b in layer.blocks))  # type: ignore[attr-defined]
    return index, program.describe()["layers"][index]


@settings(max_examples=60, deadline=None)
@given(
    tile=st.sampled_from([1, 2, 3, 8, 12, 16, 40]),
    count=st.integers(1, 7),
    at=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12),
    size=st.sampled_from([4, 16, 32, 64]),
)
def test_tiles_and_their_padding_are_those_of_the_mask(tile: int, count: int, at: list[tuple[int, int]], size: int) -> None:
    circuit = holed(tile, count, [(r, c) for r, c in at if r < count and c < count])
    program = pcbench.compile(circuit, tile=size)
    index, layer = layer_of(program)
    mask = program.sum_tables[program.layers[index].table].pattern.mask().numpy()  # type: ignore[attr-defined]
    side = -(-len(mask) // size) * size
    whole = np.zeros((side, side), dtype=bool)
    whole[: len(mask), : len(mask)] = mask
    tiles = whole.reshape(side // size, size, side // size, size).any((1, 3)).sum()
    assert layer["tiles"] == tiles
    assert layer["tile_padding"] == pytest.approx(1 - mask.sum() / (tiles * size**2))


def test_the_programs_padding_is_that_of_all_its_layers() -> None:
    described = pcbench.compile(holed(16, 6, [(0, 3)]), tile=64).describe()
    edges, tiles = (sum(layer[key] for layer in described["layers"]) for key in ("edges", "tiles"))
    assert described["totals"]["tiles"] == tiles
    assert described["totals"]["tile_padding"] == pytest.approx(1 - edges / (tiles * 64**2))


def test_tensor_cores_take_what_the_fused_kernels_take() -> None:
    program = pcbench.compile(pcbench.structures.hmm(latents=8, variables=Variables.finite(3, 4)))
    for layer, told in zip(program.layers, program.describe()["layers"], strict=True):
        answer = told["tensor_cores"]
        assert answer["eligible"] == (layer.kind == "sum")
        if layer.kind == "sum":
            assert answer["reason"].startswith(f"on a GPU: bfloat16 products of {layer.nodes} × 8 weights")
            assert "fill only part of a tile of 16" in answer["reason"]


def test_why_tensor_cores_do_not_take_a_layer_is_said() -> None:
    exact = pcbench.compile(pcbench.structures.hmm(latents=8, variables=Variables.finite(3, 4)), dtype=torch.float64)
    reasons = {layer["tensor_cores"]["reason"] for layer in exact.describe()["layers"] if layer["kind"] == "sum"}
    assert len(reasons) == 1
    assert "float64" in reasons.pop()
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    product = pcbench.ProductBlock([InputBlock(v, Gaussian(), 4) for v in Variables.real(2)], pairs)
    picking = pcbench.compile(Circuit([SumBlock([product], 1)], variables=Variables.real(2)))
    told = [layer["tensor_cores"] for layer in picking.describe()["layers"]]
    assert not any(answer["eligible"] for answer in told)
    assert any("pick single nodes" in answer["reason"] for answer in told)
    assert any(answer["reason"] == "leaves are looked up or computed; no matrix is multiplied" for answer in told)


def test_a_sparse_layer_is_dense_on_a_gpu_where_zeros_are_cheap() -> None:
    """A tenth of the tiles: on a CPU they are skipped, on a GPU their zeros are multiplied; the plan says the same."""
    circuit = holed(32, 20, [(i, (3 * i + 1) % 20) for i in range(20)])
    program = pcbench.compile(circuit)
    index, layer = layer_of(program)
    assert layer["kernel"] == "tiles"
    assert layer["tensor_cores"]["eligible"]  # type: ignore[index]
    plan = gpu_plan(circuit, "fast")
    assert plan.fused is not None
    assert [len(a.blocks) for a in plan.layers] == [len(b.blocks) for b in program.layers]  # type: ignore[attr-defined]
    assert plan.layers[index].nodes == program.layers[index].nodes
