"""A circuit as nodes of PyJuice, so that both run the same one. PyJuice comes as a module: pcbench does not depend on it.

PyJuice counts nodes in blocks; its own builders choose their size, and the same sizes are taken here (256 at most for RAT,
1024 for HCLT and HMM, 16 or 32 for Poon-Domingos), tiles for block-sparse sums, and 1 for unstructured ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..circuit import Block, BlockSparse, Circuit, Dense, InputBlock, Parameter, ProductBlock, Sparse, SumBlock
from ..distributions import Categorical, Gaussian
from ..errors import CircuitError
from .cases import parsed

#: Most nodes of a block in PyJuice's own builders, by kind of case.
MOST = {"rat": 256, "hclt": 1024, "normal": 1024, "hmm": 1024, "pd": 32, "sparse": 1, "blocks": 32}


@dataclass(frozen=True)
class Nodes:
    """A circuit in PyJuice.

    Attributes:
        root: its root nodes.
        holders: each parameter of the circuit → the nodes that hold it in PyJuice.
        layouts: each parameter → how values as PyJuice lays them out come to the parameter's own shape.
    """

    root: Any
    holders: dict[Parameter, Any]
    layouts: dict[Parameter, Callable[[Tensor], Tensor]]


def pyjuice_nodes(juice: Any, circuit: Circuit, case: str) -> Nodes:
    """Build a case's circuit in PyJuice; parameters are left open.

    Args:
        juice: the module ``pyjuice``.
        circuit: of the case.
        case: its name.

    Raises:
        CircuitError: for what none of the cases needs.
    """
    kind, number = parsed(case)
    most = 16 if kind == "pd" and number <= 32 else MOST[kind]
    return _Construction(juice, circuit, most).nodes()


class _Construction:
    def __init__(self, juice: Any, circuit: Circuit, most: int) -> None:
        self.juice, self.circuit = juice, circuit
        tiles = [b.edges.tile for b in circuit.blocks if isinstance(b, SumBlock) and isinstance(b.edges, BlockSparse)]
        counts = [b.nodes for b in circuit.blocks if b.nodes > 1]
        # The greatest power of two that fits everywhere; children of one block must agree on it.
        common = math.gcd(*tiles, *counts) if counts else 1
        self.size = min(most, common & -common)
        if any(tile != self.size for tile in tiles):
            raise CircuitError(f"tiles of {sorted(set(tiles))} do not fit PyJuice's blocks of {self.size} nodes")
        self.made: dict[Block, Any] = {}
        self.holders: dict[Parameter, Any] = {}
        self.layouts: dict[Parameter, Callable[[Tensor], Tensor]] = {}

    def nodes(self) -> Nodes:
        for block in self.circuit.blocks:  # children first
            if isinstance(block, InputBlock):
                self.made[block] = self.input(block)
            elif isinstance(block, SumBlock):
                self.made[block] = self.sum(block)
            else:
                self.made[block] = self.product(block)
        (root,) = self.circuit.roots
        return Nodes(self.made[root], self.holders, self.layouts)

    def blocks_of(self, block: Block) -> tuple[int, int]:
        """Node blocks, and nodes in each; a single node is a block of its own."""
        size = 1 if block.nodes == 1 else self.size
        return block.nodes // size, size

    def input(self, block: InputBlock) -> Any:
        variable, parameter = block.variable.index, block.parameter
        if parameter in self.holders:
            return self.holders[parameter].duplicate(variable, tie_params=True)
        count, size = self.blocks_of(block)
        families = self.juice.nodes.distributions
        if isinstance(block.distribution, Categorical):
            family = families.Categorical(num_cats=block.distribution.num_parameters)
        elif isinstance(block.distribution, Gaussian):
            family = families.Gaussian(mu=0.0, sigma=1.0, min_sigma=math.sqrt(block.distribution.min_variance))
        else:
            raise CircuitError(f"{self.circuit.label(block)}: only categorical and normal leaves are measured beside PyJuice")
        made = self.juice.inputs(variable, num_node_blocks=count, block_size=size, dist=family)
        self.holders[parameter] = made
        normal = isinstance(block.distribution, Gaussian)
        self.layouts[parameter] = lambda flat: (_normal if normal else Tensor.t)(flat.reshape(block.nodes, -1))
        return made

    def product(self, block: ProductBlock) -> Any:
        if block.index is not None:
            raise CircuitError(f"{self.circuit.label(block)}: products that pick nodes are not measured beside PyJuice")
        return self.juice.multiply(*(self.made[child] for child in block.children))

    def sum(self, block: SumBlock) -> Any:
        parameter, children = block.parameter, [self.made[child] for child in block.children]
        if parameter in self.holders:
            return self.holders[parameter].duplicate(*children, tie_params=True)
        count, size = self.blocks_of(block)
        ids, layout = _edges(block, count, size, self.size)
        made = self.juice.summate(*children, num_node_blocks=count, block_size=size, edge_ids=ids)
        self.holders[parameter], self.layouts[parameter] = made, layout
        return made


def _normal(values: Tensor) -> Tensor:
    """Means and standard deviations ``[N, 2]`` → means and variances ``[2, N]``; counts of value, square and 1 → ``[3, N]``."""
    if values.shape[1] == 2:
        return torch.stack((values[:, 0], values[:, 1].square()))
    return values.t().roll(1, 0)


def _edges(block: SumBlock, count: int, size: int, child_size: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """PyJuice's pairs ``[2, edges]`` of node blocks, and the way from its ``[edges, size, child_size]`` to ours."""
    edges = block.edges
    if isinstance(edges, Dense):
        below = block.elements // child_size
        ids = torch.cartesian_prod(torch.arange(count), torch.arange(below)).reshape(-1, 2).T.contiguous()

        def matrix(values: Tensor) -> Tensor:
            tiled = values.reshape(count, below, size, child_size)
            return tiled.permute(0, 2, 1, 3).reshape(block.nodes, block.elements)

        return ids, matrix
    if isinstance(edges, Sparse):
        return torch.stack((edges.rows, edges.cols)), lambda values: values.reshape(-1)
    return torch.stack((edges.rows, edges.cols)), lambda values: values
