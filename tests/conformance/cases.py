"""Every structure × leaf family × tying, small enough to enumerate. A new family or structure is picked up from its tuple."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcbench import (
    Bernoulli,
    Binomial,
    Block,
    BlockSparse,
    Categorical,
    Circuit,
    Dense,
    Evidence,
    Gaussian,
    InputBlock,
    Parameter,
    ProductBlock,
    SumBlock,
    Variables,
)
from pcbench.structures import STRUCTURES, Structure

from ..strategies import random_mask, soil

#: A family over a few variables: enough worlds for a law to fail in, few enough to enumerate. Images must be square.
LEAVES: dict[str, tuple[Any, Variables]] = {
    "categorical": (Categorical(3), Variables.finite(4, 3)),
    "bernoulli": (Bernoulli(), Variables.binary(9)),
    "binomial": (Binomial(3), Variables.finite(4, 4)),
    "gaussian": (Gaussian(), Variables.real(4)),
}
TYING = ("free", "tied")


@dataclass(frozen=True)
class Case:
    """One circuit to hold the laws against."""

    structure: Structure
    leaf: str
    tying: str

    def __str__(self) -> str:
        return f"{self.structure.name}-{self.leaf}-{self.tying}"

    @property
    def variables(self) -> Variables:
        return LEAVES[self.leaf][1]

    def data(self, rows: int, seed: int = 0) -> Tensor:
        """Rows in which neighbours depend on each other: int64, or float64 for real variables."""
        rng = np.random.default_rng(seed)
        family, variables = LEAVES[self.leaf]
        state = rng.integers(0, 3, (rows, 1)) + rng.integers(0, 2, (rows, len(variables))).cumsum(1)
        if isinstance(family, Gaussian):
            return torch.from_numpy(1.5 * (state % 3) + rng.normal(0, 1, state.shape))
        return torch.from_numpy(state % variables[0].domain.size)  # type: ignore[union-attr]

    def evidence(self, pattern: str, rows: int, seed: int = 1) -> Evidence:
        values = self.data(rows, seed)
        mask = random_mask(pattern, (rows, len(self.variables)), np.random.default_rng(seed))
        return Evidence(soil(values, mask), mask)

    def circuit(self) -> Circuit:
        return built(self)


_BUILT: dict[Case, Circuit] = {}


def built(case: Case) -> Circuit:
    """The circuit of a case, made once: building is tested elsewhere."""
    if case not in _BUILT:
        structure, (family, variables) = case.structure, LEAVES[case.leaf]
        options: dict[str, Any] = {"latents": 3, "distribution": family}
        options = {name: value for name, value in options.items() if name in structure.options}
        if "homogeneous" in structure.options:
            options["homogeneous"] = False  # tied below, like the others
        needed = {"data": case.data(120)} if structure.needs_data else {}
        circuit = structure.build(variables=variables, **needed, **options)
        _BUILT[case] = retied(circuit, tied=True)[0] if case.tying == "tied" else circuit
    return _BUILT[case]


def _has_case(structure: Structure, leaf: str) -> bool:
    """A structure that chooses its own leaves (literals) is built once, over categories."""
    return "distribution" in structure.options or leaf == "categorical"


CASES = [Case(s, leaf, tying) for s in STRUCTURES for leaf in LEAVES for tying in TYING if _has_case(s, leaf)]
FINITE_CASES = [c for c in CASES if c.variables.all_finite]


# -- the same circuit, otherwise written ---------------------------------------------------------------------------------
def rebuilt(circuit: Circuit, change: Callable[[Block, list[Block]], Block]) -> Circuit:
    """A copy in which every block went through ``change(block, new children)``."""
    new: dict[Block, Block] = {}
    for block in circuit.blocks:
        new[block] = change(block, [new[c] for c in block.children])
    return Circuit([new[r] for r in circuit.roots], circuit.variables)


def _edge_key(block: SumBlock) -> Any:
    edges = block.edges
    if isinstance(edges, Dense):
        return (block.nodes, block.elements)
    tile = edges.tile if isinstance(edges, BlockSparse) else 1
    return (block.nodes, block.elements, tile, edges.rows.numpy().tobytes(), edges.cols.numpy().tobytes())


def retied(circuit: Circuit, tied: bool) -> tuple[Circuit, dict[Parameter, Parameter]]:
    """All blocks of one shape and family hold one parameter (``tied``), or every block one of its own.

    Returns the circuit, and for every new parameter the old one that it came from.
    """
    known: dict[Any, Parameter] = {}
    origin: dict[Parameter, Parameter] = {}

    def fresh(block: InputBlock | SumBlock, key: Any) -> Parameter:
        if not tied or key not in known:
            old = block.parameter
            known[key] = Parameter(old.shape, old.value, old.trainable)
            origin[known[key]] = old
        return known[key]

    def change(block: Block, children: list[Block]) -> Block:
        if isinstance(block, InputBlock):
            key = (block.distribution, block.nodes)
            return InputBlock(block.variable, block.distribution, block.nodes, fresh(block, key))
        if isinstance(block, ProductBlock):
            return ProductBlock(children, block.index)
        return SumBlock(children, block.nodes, block.edges, fresh(block, _edge_key(block)))

    return rebuilt(circuit, change), origin
