"""Circuits that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    BlockSparse,
    Categorical,
    Circuit,
    Finite,
    Gaussian,
    InputBlock,
    ProductBlock,
    Sparse,
    SumBlock,
    Variables,
)
from pcbench.circuit import topological_order
from pcbench.errors import (
    CircuitError,
    CycleError,
    DecomposabilityError,
    SmoothnessError,
)

from .models import X, Y, Z, leaf

BAD_CIRCUITS: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "overlapping scopes": (
        DecomposabilityError,
        lambda: Circuit(ProductBlock([leaf(X), ProductBlock([leaf(X), leaf(Y)])], name="both")),
        r"both is not decomposable.*input#.*\{x\}",
    ),
    "unsmooth sum": (
        SmoothnessError,
        lambda: Circuit(SumBlock([leaf(X), ProductBlock([leaf(X), leaf(Y)])], name="mix")),
        r"mix is not smooth.*input#.*\{y\}",
    ),
    "no roots": (CircuitError, lambda: Circuit([]), "at least one root"),
    "a gap in the columns": (CircuitError, lambda: Circuit(leaf(Z)), "column 0.*variables="),
    "two variables for one column": (
        CircuitError,
        lambda: Circuit(ProductBlock([leaf(X), InputBlock(Variables.finite(1, 2, ["u"])[0], Bernoulli(), 2)])),
        "column 0|decomposable",
    ),
    "a variable of other variables": (CircuitError, lambda: Circuit(leaf(X), Variables.finite(1, 3)), "column 0"),
    "sum without children": (CircuitError, lambda: SumBlock([], name="s"), "sum block s: needs at least one child"),
    "product without children": (CircuitError, lambda: ProductBlock([], name="p"), "product block p: needs at least one"),
    "no nodes": (CircuitError, lambda: leaf(X, 0), "at least one node, got nodes=0"),
    "no sum nodes": (CircuitError, lambda: SumBlock([leaf(X)], 0), "at least one node, got nodes=0"),
    "children of different sizes": (CircuitError, lambda: ProductBlock([leaf(X, 2), leaf(Y, 3)]), r"\[2, 3\].*index"),
    "index out of range": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.tensor([[0, 2]])), "0…1, got 2"),
    "index negative": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.tensor([[-1, 0]])), "0…1, got -1"),
    "index of floats": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.zeros(2, 2)), "integers.*float32"),
    "index of another width": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.zeros(2, 3).long()), "3"),
    "family of another domain": (CircuitError, lambda: InputBlock(X, Gaussian()), "'x'.*0…1"),
    "too many categories": (CircuitError, lambda: InputBlock(X, Categorical(5)), "'x'.*0…1"),
    "edge out of range": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0]), torch.tensor([2]))),
        "edge columns.*0…1, got 2",
    ),
    "edge twice": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0, 0]), torch.tensor([1, 1]))),
        "same edge.*more than once",
    ),
    "node without edges": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 2, Sparse(torch.tensor([0]), torch.tensor([1]))),
        "node 1 has no edges",
    ),
    "edge lists of different lengths": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0, 0]), torch.tensor([1]))),
        "equally long",
    ),
    "tile that does not fit": (
        CircuitError,
        lambda: SumBlock([leaf(X, 4)], 3, BlockSparse(2, torch.tensor([0]), torch.tensor([0]))),
        "3 nodes and 4 elements are not multiples of the tile 2",
    ),
    "two variables of one name": (CircuitError, lambda: Variables.binary(2, ["x", "x"]), "'x' is used more than once"),
    "names missing": (CircuitError, lambda: Variables.binary(3, ["x"]), "3 domains but 1 names"),
    "an empty domain": (CircuitError, lambda: Finite(0), "size=0"),
    "no categories": (CircuitError, lambda: Categorical(0), "size ≥ 1, got 0"),
    "no trials": (CircuitError, lambda: Binomial(0), "trials ≥ 1, got 0"),
    "a spike": (CircuitError, lambda: Gaussian(0.0), "min_variance > 0"),
    "unchecked": (
        CircuitError,
        lambda: pcbench.compile(Circuit(SumBlock([leaf(X), leaf(Y)]), checked=False)),
        "checked=False",
    ),
}


@pytest.mark.parametrize("mistake", BAD_CIRCUITS)
def test_circuits_that_are_none(mistake: str) -> None:
    kind, make, message = BAD_CIRCUITS[mistake]
    with pytest.raises(kind, match=message):
        make()


def test_cycles_are_named_along_their_way() -> None:
    with pytest.raises(CycleError, match="b → c → b"):
        topological_order(["a"], {"a": ["b"], "b": ["c"], "c": ["b"]})
    loop = ProductBlock([leaf(X)], name="loop")
    above = SumBlock([loop], 2, name="above")
    object.__setattr__(loop, "children", (above,))  # only by force: blocks are frozen
    with pytest.raises(CycleError, match="descendant"):
        Circuit(above)
