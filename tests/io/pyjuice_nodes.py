"""Stand-ins with the attributes of PyJuice's nodes, and their likelihood straight from what the attributes mean."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class Categorical:
    def __init__(self, num_cats: int) -> None:
        self.num_cats = num_cats


class Bernoulli:
    pass


class Gaussian:
    def __init__(self, mu: float | None = None, sigma: float | None = None, min_sigma: float = 0.01) -> None:
        self.mu, self.sigma, self.min_sigma = mu, sigma, min_sigma


class DiscreteLogistic:
    pass


class Nodes:
    """What all kinds of node have in common. Like PyJuice's, false once it has been walked over."""

    def __init__(self, blocks: int, block_size: int, chs: list[Nodes], source: Nodes | None = None) -> None:
        self.num_node_blocks, self.block_size, self.chs, self._source_node = blocks, block_size, chs, source
        self._params: Tensor | None = None
        self.scope: list[int] = sorted({i for c in chs for i in c.scope})

    def __len__(self) -> int:
        return 0

    def is_input(self) -> bool:
        return isinstance(self, InputNodes)

    def is_prod(self) -> bool:
        return isinstance(self, ProdNodes)

    def is_sum(self) -> bool:
        return isinstance(self, SumNodes)

    def is_tied(self) -> bool:
        return self._source_node is not None

    def get_source_ns(self) -> Nodes:
        return self if self._source_node is None else self._source_node

    def get_params(self) -> Tensor | None:
        return self._params


class InputNodes(Nodes):
    def __init__(
        self, scope: list[int], dist: Any, blocks: int, block_size: int, params: Any = None, source: Nodes | None = None
    ) -> None:
        super().__init__(blocks, block_size, [], source)
        self.scope, self.dist = scope, dist
        self._params = None if params is None else torch.as_tensor(params, dtype=torch.float32).reshape(-1)


class ProdNodes(Nodes):
    def __init__(self, chs: list[Nodes], edge_ids: Any = None, blocks: int | None = None) -> None:
        count = blocks or (chs[0].num_node_blocks if edge_ids is None else len(edge_ids))
        super().__init__(count, chs[0].block_size, chs)
        if edge_ids is None:
            edge_ids = torch.arange(count)[:, None].repeat(1, len(chs))
        self.edge_ids = torch.as_tensor(edge_ids)


class SumNodes(Nodes):
    def __init__(
        self, chs: list[Nodes], blocks: int, block_size: int, edge_ids: Any = None, source: Nodes | None = None
    ) -> None:
        chs = [ProdNodes([c]) if isinstance(c, InputNodes) else c for c in chs]
        super().__init__(blocks, block_size, chs, source)
        elements = sum(c.num_node_blocks for c in chs)
        if edge_ids is None:
            edge_ids = torch.cartesian_prod(torch.arange(blocks), torch.arange(elements)).T
        self.edge_ids = torch.as_tensor(edge_ids)
        self.ch_block_size = chs[0].block_size


class ExternalParamsSumNodes(SumNodes):
    external_params = "low rank"


def categorical(variable: int, blocks: int, block_size: int, categories: int = 3, seed: int = 0) -> InputNodes:
    raw = torch.rand(blocks * block_size, categories, generator=torch.Generator().manual_seed(100 * variable + seed)) + 0.05
    return InputNodes([variable], Categorical(categories), blocks, block_size, raw / raw.sum(1, keepdim=True))


def weighted(node: SumNodes, seed: int = 0, mask: Tensor | None = None) -> SumNodes:
    """The same node with random weights, normalised as PyJuice does."""
    shape = (node.edge_ids.shape[1], node.block_size, node.ch_block_size)
    raw = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) + 0.05
    if mask is not None:
        raw[mask] = 0
        node._zero_param_mask = mask  # type: ignore[attr-defined]
    total = torch.zeros(node.num_node_blocks, node.block_size).index_add_(0, node.edge_ids[0], raw.sum(2))
    node._params = raw / total[node.edge_ids[0]][:, :, None]
    return node


def likelihood(node: Any, row: list[float]) -> list[float]:
    """The value of each of a node's nodes for one row, by the meaning of PyJuice's attributes."""
    size = node.block_size
    count = node.num_node_blocks * size
    source = node.get_source_ns()
    params = [] if source._params is None else source._params.double().tolist()
    if isinstance(node, InputNodes):
        x = row[node.scope[0]]
        family = type(node.dist).__name__
        if family == "Categorical":
            return [params[n * node.dist.num_cats + int(x)] for n in range(count)]
        if family == "Bernoulli":
            return [params[n] if x > 0 else 1 - params[n] for n in range(count)]
        moments = [(params[2 * n], params[2 * n + 1]) for n in range(count)]
        return [math.exp(-0.5 * ((x - m) / s) ** 2) / (s * math.sqrt(2 * math.pi)) for m, s in moments]
    below = [likelihood(c, row) for c in node.chs]
    if isinstance(node, ProdNodes):
        edges = node.edge_ids.tolist()
        if len(edges) == node.num_node_blocks:
            edges = [[e * size + i for e in edge] for edge in edges for i in range(size)]
        return [math.prod(below[c][e] for c, e in enumerate(edge)) for edge in edges]
    elements = [v for values in below for v in values]
    out = [0.0] * count
    for e, (block, child) in enumerate(node.edge_ids.T.tolist()):
        for i in range(size):
            for j in range(node.ch_block_size):
                out[block * size + i] += params[e][i][j] * elements[child * node.ch_block_size + j]
    return out
