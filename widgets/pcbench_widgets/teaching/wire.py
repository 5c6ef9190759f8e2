"""A circuit as the lab takes it: small ones node by node with all numbers, large ones block by block without."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pcbench import Circuit, Dense, Finite, InputBlock, Model, Parameter, ProductBlock, Real, SumBlock, deterministic
from pcbench.circuit import Block, BlockSparse, Sparse, decomposable, initial_values, kind_of, smooth
from pcbench.scope import Domain

from ..builder.source import source_of

MOST_NODES = 600
MOST_NUMBERS = 20_000
"""Edges and table entries of a circuit that the view evaluates itself, at every click."""
_COMPARISONS = 20_000
"""How long to look for determinism: a few hundredths of a second."""

Values = Mapping[Parameter, Tensor]


@dataclass(frozen=True)
class Subject:
    """What the lab is about: a circuit with a value for every parameter."""

    circuit: Circuit
    values: Values
    random: bool
    """Whether some values were drawn because nobody gave them."""

    @classmethod
    def of(cls, given: Circuit | Model) -> Subject:
        if isinstance(given, Model):
            return cls(given.circuit, given.values(), False)
        random = any(parameter.value is None for parameter in given.parameters)
        return cls(given, initial_values(given), random)

    def small(self) -> bool:
        """Whether the view can answer for itself."""
        blocks = self.circuit.blocks
        if any(_unknown(block) for block in blocks) or sum(block.nodes for block in blocks) > MOST_NODES:
            return False
        return sum(_numbers(block) for block in blocks) <= MOST_NUMBERS


def lesson(subject: Subject, title: str, summary: str = "", marks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """JSON types; `nodes` are units of blocks where the circuit is small, and else the blocks themselves."""
    circuit, small = subject.circuit, subject.small()
    starts, nodes = _unit_nodes(subject) if small else _block_nodes(circuit)
    of = {block: i for i, block in enumerate(circuit.blocks)}
    wrong = [*smooth(circuit).violations, *decomposable(circuit).violations]
    return {
        "title": title,
        "summary": summary,
        "small": small,
        "variables": [{"name": v.name, "size": _size(v.domain)} for v in circuit.variables],
        "nodes": nodes,
        "outputs": [
            starts[of[root]] + (unit if small else 0) for root in circuit.roots for unit in range(root.nodes if small else 1)
        ],
        "violations": [{"node": starts[of[violation.block]], "text": violation.message} for violation in wrong],
        "deterministic": small and not wrong and bool(deterministic(circuit, dict(subject.values), _COMPARISONS)),
        "random": subject.random,
        "source": source_of(given(circuit, subject.values)) if small else None,
        "marks": dict(marks or {}),
    }


def given(circuit: Circuit, values: Values) -> Circuit:
    """An equal circuit that carries these values; ties, names and holes stay as they are."""
    held = {p: Parameter(p.shape, values[p], p.trainable, p.name) for p in circuit.parameters}
    made: dict[Block, Block] = {}
    for block in circuit.blocks:
        if isinstance(block, InputBlock):
            made[block] = InputBlock(block.variable, block.distribution, block.nodes, held[block.parameter], block.name)
        elif isinstance(block, ProductBlock):
            made[block] = ProductBlock([made[child] for child in block.children], block.index, block.name)
        else:
            children = [made[child] for child in block.children]
            made[block] = SumBlock(children, block.nodes, block.edges, held[block.parameter], block.name)
    return Circuit([made[root] for root in circuit.roots], circuit.variables, circuit.checked)


def _size(domain: Domain) -> int | None:
    return domain.size if isinstance(domain, Finite) else None


def _unknown(block: Block) -> bool:
    """The view has tables for finite variables, and of real families the normal one."""
    return isinstance(block, InputBlock) and isinstance(block.variable.domain, Real) and block.distribution.name != "gaussian"


def _numbers(block: Block) -> int:
    if isinstance(block, InputBlock):
        return block.nodes * (_size(block.variable.domain) or 2)
    return block.nodes * len(block.children) if isinstance(block, ProductBlock) else block.num_edges


def _block_nodes(circuit: Circuit) -> tuple[list[int], list[dict[str, Any]]]:
    of = {block: i for i, block in enumerate(circuit.blocks)}
    nodes = []
    for i, block in enumerate(circuit.blocks):
        node: dict[str, Any] = {"kind": kind_of(block), "name": circuit.label(block), "block": i, "units": block.nodes}
        if isinstance(block, InputBlock):
            node["variable"] = block.variable.index
        else:
            node["children"] = [of[child] for child in block.children]
        nodes.append(node)
    return list(range(len(nodes))), nodes


def _unit_nodes(subject: Subject) -> tuple[list[int], list[dict[str, Any]]]:
    starts: list[int] = []
    nodes: list[dict[str, Any]] = []
    of = {block: i for i, block in enumerate(subject.circuit.blocks)}
    for i, block in enumerate(subject.circuit.blocks):
        starts.append(len(nodes))
        label = subject.circuit.label(block)
        if isinstance(block, InputBlock):
            units = _leaves(block, subject.values[block.parameter].double())
        elif isinstance(block, ProductBlock):
            units = _products(block, [starts[of[child]] for child in block.children])
        else:
            weights = dense_weights(block, subject.values[block.parameter].double())
            elements = [starts[of[child]] + unit for child in block.children for unit in range(child.nodes)]
            units = [_sum(row, elements) for row in weights.tolist()]
        for n, unit in enumerate(units):
            name = label if block.nodes == 1 else f"{label}[{n}]"
            nodes.append({"kind": kind_of(block), "name": name, "block": i, **unit})
    return starts, nodes


def _leaves(block: InputBlock, values: Tensor) -> list[dict[str, Any]]:
    variable, domain = block.variable.index, block.variable.domain
    if not isinstance(domain, Finite):
        return [{"variable": variable, "mean": m, "variance": v} for m, v in values.T.tolist()]
    table = block.distribution.log_table(values, domain).T.tolist()
    return [{"variable": variable, "logs": [x if math.isfinite(x) else None for x in row]} for row in table]


def _products(block: ProductBlock, starts: list[int]) -> list[dict[str, Any]]:
    picks = [[n] * len(starts) for n in range(block.nodes)] if block.index is None else block.index.tolist()
    return [{"children": [start + unit for start, unit in zip(starts, row, strict=True)]} for row in picks]


def _sum(row: list[float], elements: list[int]) -> dict[str, Any]:
    """Edges without weight are not there: nothing ever comes through them."""
    kept = [(weight, element) for weight, element in zip(row, elements, strict=True) if weight > 0]
    return {"weights": [weight for weight, _ in kept], "children": [element for _, element in kept]}


def dense_weights(block: SumBlock, stored: Tensor) -> Tensor:
    """Weights as ``[N, E]``, zero where there is no edge."""
    edges = block.edges
    if isinstance(edges, Dense):
        return stored
    full = torch.zeros(block.nodes, block.elements, dtype=torch.float64)
    if isinstance(edges, Sparse):
        full[edges.rows, edges.cols] = stored
        return full
    assert isinstance(edges, BlockSparse)
    tiles = full.view(block.nodes // edges.tile, edges.tile, block.elements // edges.tile, edges.tile)
    tiles[edges.rows, :, edges.cols, :] = stored
    return full
