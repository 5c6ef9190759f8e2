"""Hypothesis strategies: circuits of every shape the engine promises to take, and evidence for them.

A circuit is grown from a root scope downwards. Every choice is drawn, so failures shrink; the numbers inside parameters
come from a NumPy generator whose seed is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
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
    Finite,
    Gaussian,
    InputBlock,
    Parameter,
    ProductBlock,
    Real,
    Sparse,
    SumBlock,
    Variables,
)

#: Every small size, and sizes around and off the powers of two that kernels like.
BATCH_SIZES: tuple[int, ...] = (*range(1, 41), 96, 100, 200, 257)
MISSING = ("none", "all", "columns", "entries", "one row")


def examples(count: int) -> settings:
    """How many examples a property looks at; ``PCBENCH_EXAMPLES`` multiplies them all."""
    return settings(max_examples=count * int(os.environ.get("PCBENCH_EXAMPLES", "1")))


# -- parameter values ---------------------------------------------------------------------------------------------------
def simplex(rng: np.random.Generator, shape: tuple[int, ...], axis: int, zeros: float) -> np.ndarray:
    """Random distributions along ``axis``; each number is zero with probability ``zeros``, but never all of them."""
    raw = rng.gamma(0.7, size=shape) + 1e-3
    keep = rng.random(shape) >= zeros
    first = np.zeros(shape, dtype=bool)
    np.put_along_axis(first, raw.argmax(axis, keepdims=True), True, axis)
    raw = np.where(keep | first, raw, 0.0)
    return raw / raw.sum(axis, keepdims=True)


def leaf_value(family: Any, nodes: int, rng: np.random.Generator, literal: bool, extreme: bool = False) -> Tensor:
    """Parameters ``[S, nodes]``; ``literal`` leaves put all mass on one value, ``extreme`` ones nearly all (down to e^-80)."""
    if isinstance(family, Gaussian):
        return torch.from_numpy(np.stack((rng.normal(0, 2, nodes), rng.uniform(0.2, 3, nodes))))
    if isinstance(family, Categorical):
        if literal:
            return torch.from_numpy(np.eye(family.size)[:, rng.integers(0, family.size, nodes)])
        raw = simplex(rng, (family.size, nodes), 0, 0.1)
        if extreme:
            raw = np.where(raw > 0, np.exp(-rng.uniform(0, 80, raw.shape)), 0)
        return torch.from_numpy(raw / raw.sum(0))
    if literal:
        return torch.from_numpy(rng.integers(0, 2, (1, nodes)).astype(np.float64))
    if extreme and not isinstance(family, Binomial):
        return torch.from_numpy(np.exp(-rng.uniform(0, 80, (1, nodes))))
    return torch.from_numpy(rng.uniform(0.02, 0.98, (1, nodes)))


def edge_values(edges: Any, nodes: int, elements: int, rng: np.random.Generator, zeros: float) -> Tensor:
    """Normalised weights in the stored shape; some are zero."""
    if isinstance(edges, Dense):
        return torch.from_numpy(simplex(rng, (nodes, elements), 1, zeros))
    tile = edges.tile if isinstance(edges, BlockSparse) else 1
    mask = np.zeros((nodes // tile, elements // tile), dtype=bool)
    mask[edges.rows.numpy(), edges.cols.numpy()] = True
    full = np.where(mask.repeat(tile, 0).repeat(tile, 1), rng.gamma(0.7, size=(nodes, elements)) + 1e-3, 0.0)
    dropped = np.where(rng.random(full.shape) < zeros, 0.0, full)
    full = np.where(dropped.sum(1, keepdims=True) > 0, dropped, full)
    full /= full.sum(1, keepdims=True)
    tiles = full.reshape(nodes // tile, tile, elements // tile, tile).transpose(0, 2, 1, 3)
    picked = tiles[edges.rows.numpy(), edges.cols.numpy()]
    return torch.from_numpy(picked.reshape(-1) if isinstance(edges, Sparse) else picked.copy())


def random_edges(kind: str, nodes: int, elements: int, tile: int, rng: np.random.Generator, density: float) -> Any:
    """Dense, sparse or block-sparse edges; every node has at least one."""
    if kind == "dense":
        return Dense()
    if nodes % tile or elements % tile or kind == "sparse":
        tile = 1
    rows, cols = nodes // tile, elements // tile
    mask = rng.random((rows, cols)) < density
    mask[np.arange(rows), rng.integers(0, cols, rows)] = True
    r, c = (torch.from_numpy(i) for i in mask.nonzero())
    order = torch.from_numpy(rng.permutation(len(r)))  # edges come in any order
    return Sparse(r[order], c[order]) if kind == "sparse" else BlockSparse(tile, r[order], c[order])


# -- circuits ----------------------------------------------------------------------------------------------------------
@dataclass
class Grower:
    """Grows one circuit; keeps what may be shared or tied."""

    rng: Random
    variables: Variables
    values: np.random.Generator
    max_nodes: int = 4
    max_depth: int = 5
    zeros: float = 0.15
    valued: bool = True
    frozen: float = 0.1
    pool: dict[int, list[Block]] = field(default_factory=dict)
    leaves: dict[Any, list[Parameter]] = field(default_factory=dict)
    sums: dict[tuple[int, int], list[tuple[Any, Parameter]]] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def family(self, column: int) -> Any:
        domain = self.variables[column].domain
        if isinstance(domain, Real):
            return Gaussian()
        choices: list[Any] = [Categorical(domain.size), Categorical(domain.size)]
        choices += [Binomial(domain.size - 1)] if domain.size > 1 else []
        choices += [Bernoulli()] if domain.size == 2 else []
        return self.rng.choice(choices)

    def parameter(self, shape: tuple[int, ...], make: Callable[[], Tensor]) -> Parameter:
        return Parameter(shape, make() if self.valued else None, trainable=not self.chance(self.frozen))

    def leaf(self, column: int) -> InputBlock:
        family, nodes = self.family(column), self.rng.randint(1, self.max_nodes)
        known = self.leaves.setdefault((family, nodes), [])
        if not known or self.chance(0.7):
            literal, extreme = self.chance(0.15), self.chance(0.15)
            known.append(
                self.parameter((family.num_parameters, nodes), lambda: leaf_value(family, nodes, self.values, literal, extreme))
            )
        return InputBlock(self.variables[column], family, nodes, self.rng.choice(known))

    def sum_over(self, children: Sequence[Block], nodes: int) -> SumBlock:
        elements = sum(c.nodes for c in children)
        known = self.sums.setdefault((nodes, elements), [])
        if not known or self.chance(0.6):
            kind, tile = self.rng.choice(["dense", "sparse", "block"]), self.rng.choice([1, 2, 4])
            edges = random_edges(kind, nodes, elements, tile, self.values, self.rng.choice([0.2, 0.6]))
            zeros = self.zeros if self.chance(0.5) else 0.0
            shape = edges.weight_shape(nodes, elements)
            known.append((edges, self.parameter(shape, lambda: edge_values(edges, nodes, elements, self.values, zeros))))
        edges, parameter = self.rng.choice(known)
        return SumBlock(list(children), nodes, edges, parameter)

    def product_of(self, children: Sequence[Block]) -> ProductBlock:
        if len({c.nodes for c in children}) == 1 and self.chance(0.6):
            return ProductBlock(children)
        nodes = self.rng.randint(1, self.max_nodes)
        picks = [[self.rng.randrange(c.nodes) for c in children] for _ in range(nodes)]
        return ProductBlock(children, torch.tensor(picks))

    def grow(self, columns: Sequence[int], depth: int = 0) -> Block:
        scope = sum(1 << c for c in columns)
        pool = self.pool.setdefault(scope, [])
        if pool and self.chance(0.35):
            return self.rng.choice(pool)  # a shared sub-circuit, and where depths differ a skip connection
        block = self._fresh(list(columns), depth)
        pool.append(block)
        return block

    def _fresh(self, columns: list[int], depth: int) -> Block:
        deep = depth >= self.max_depth
        if len(columns) == 1:
            if deep or self.chance(0.55):
                return self.leaf(columns[0])
            if self.chance(0.15):
                return self.product_of([self.grow(columns, depth + 1)])  # one child, permuted or repeated
        elif deep or self.chance(0.55):
            shuffled = self.rng.sample(columns, len(columns))
            cuts = sorted(self.rng.sample(range(1, len(columns)), self.rng.randint(1, min(2, len(columns) - 1))))
            parts = [sorted(shuffled[i:j]) for i, j in zip([0, *cuts], [*cuts, len(columns)], strict=True)]
            return self.product_of([self.grow(p, depth + 1) for p in parts])
        children = [self.grow(columns, depth + 1) for _ in range(self.rng.randint(1, 3))]
        if self.chance(0.1):
            children.append(children[0])  # the same child twice
        return self.sum_over(children, self.rng.randint(1, self.max_nodes))


@st.composite
def variables(draw: st.DrawFn, real: bool = True, most: int = 5) -> Variables:
    """One to ``most`` variables with domains of 1 to 4 values, or real."""
    finite = st.sampled_from([Finite(2), Finite(3), Finite(4), Finite(1)])
    domain = st.one_of(finite, st.just(Real())) if real else finite
    return Variables(draw(st.lists(domain, min_size=1, max_size=most)))


@st.composite
def circuits(
    draw: st.DrawFn, real: bool = True, roots: int = 2, valued: bool | None = None, most: int = 5, frozen: float = 0.1
) -> Circuit:
    """Any valid circuit. ``valued=False`` leaves all parameters to be drawn by the model, ``True`` gives them all values."""
    over = draw(variables(real, most))
    rng = draw(st.randoms(use_true_random=False))
    given = draw(st.booleans()) if valued is None else valued
    values = np.random.default_rng(draw(st.integers(0, 2**16)))
    grower = Grower(rng, over, values, draw(st.sampled_from([1, 3, 4, 9])), valued=given, frozen=frozen)
    columns = range(len(over))
    tops = [grower.grow(columns) for _ in range(draw(st.integers(1, roots)))]
    if roots == 1 and tops[0].nodes > 1:
        tops = [grower.sum_over(tops, 1)]
    return Circuit(tops, over)


@st.composite
def deterministic_circuits(draw: st.DrawFn, most: int = 5) -> Circuit:
    """Decision trees as circuits: every sum chooses by a literal, so that at most one child is positive."""
    over = draw(variables(real=False, most=most))
    rng = draw(st.randoms(use_true_random=False))
    grower = Grower(rng, over, np.random.default_rng(draw(st.integers(0, 2**16))), frozen=0.0)

    def decide(columns: list[int], nodes: int) -> Block:
        column = rng.choice(columns)
        domain = over[column].domain
        assert isinstance(domain, Finite)
        family = Categorical(domain.size)
        if len(columns) == 1:
            return InputBlock(
                over[column], family, nodes, Parameter((domain.size, nodes), leaf_value(family, nodes, grower.values, False))
            )
        literals = InputBlock(over[column], family, domain.size, Parameter((domain.size, domain.size), torch.eye(domain.size)))
        rest = [c for c in columns if c != column]
        below = decide(rest, rng.randint(1, 3))
        picks = [[value, rng.randrange(below.nodes)] for value in range(domain.size)]
        return grower.sum_over([ProductBlock([literals, below], torch.tensor(picks))], nodes)

    return Circuit(decide(list(range(len(over))), 1), over)


# -- evidence ----------------------------------------------------------------------------------------------------------
def random_rows(over: Variables, size: int, rng: np.random.Generator) -> Tensor:
    """Uniform values ``[size, V]``: int64, or float64 when some variable is real."""
    columns = [rng.integers(0, v.domain.size, size) if isinstance(v.domain, Finite) else rng.normal(0, 2, size) for v in over]
    return torch.from_numpy(np.stack(columns, 1))


def random_mask(pattern: str, shape: tuple[int, int], rng: np.random.Generator) -> Tensor | None:
    """Which entries are observed, by the name of a missing pattern."""
    if pattern == "none":
        return None
    if pattern == "all":
        return torch.zeros(shape, dtype=torch.bool)
    if pattern == "columns":
        return torch.from_numpy(rng.random(shape[1]) < 0.5)
    mask = torch.from_numpy(rng.random(shape) < 0.6)
    if pattern == "one row":
        mask[:] = True
        mask[rng.integers(0, shape[0])] = False
    return mask


def soil(values: Tensor, observed: Tensor | None) -> Tensor:
    """Put values that no variable has where nothing is observed: whoever reads them is found out."""
    if observed is None:
        return values
    bad = torch.tensor(torch.nan if values.is_floating_point() else 99, dtype=values.dtype)
    return torch.where(observed, values, bad)


@st.composite
def evidences(draw: st.DrawFn, circuit: Circuit, sizes: Sequence[int] = BATCH_SIZES, soft: bool = False) -> Evidence:
    """Rows for a circuit with one of the missing patterns; what is missing holds nonsense."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = draw(st.sampled_from(sizes))
    shape = (size, len(circuit.variables))
    mask = random_mask(draw(st.sampled_from(MISSING)), shape, rng)
    values = soil(random_rows(circuit.variables, size, rng), mask)
    weighed = {}
    if soft:
        for v in circuit.variables:
            if isinstance(v.domain, Finite) and draw(st.booleans()):
                likelihood = rng.random((size, v.domain.size)) + 0.01
                weighed[v.index] = torch.from_numpy(likelihood if draw(st.booleans()) else likelihood[0])
    return Evidence(values, mask, weighed)
