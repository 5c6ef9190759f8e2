"""First pass: which blocks become units, and which are fused into the sum or product above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from ..circuit import Block, Circuit, InputBlock, ProductBlock, SumBlock
from ..scope import Finite

#: A child and the node of it that each element takes (``None``: its own position).
FactorSpec: TypeAlias = tuple[Block, Tensor | None]


@dataclass
class TermSpec:
    """A product of factors and fused leaves, ``width`` elements wide."""

    width: int
    factors: list[FactorSpec]
    leaves: list[InputBlock]


@dataclass
class Unit:
    """A block with a value of its own, and the terms it is computed from (none for inputs, one for products)."""

    block: Block
    terms: list[TermSpec]
    level: int


def lower(circuit: Circuit) -> list[Unit]:
    """Units in topological order. Products of products are flattened; products and leaves with one parent are fused."""
    parents = circuit.parents()
    roots = set(circuit.roots)
    factors: dict[Block, list[FactorSpec]] = {}
    uses: dict[Block, int] = dict.fromkeys(circuit.blocks, 0)
    fused: set[Block] = set()

    for block in circuit.blocks:
        if isinstance(block, ProductBlock):
            factors[block] = _flattened(block, factors, fused)
            only = parents[block]
            if block not in roots and len(only) == 1 and not isinstance(only[0], InputBlock):
                fused.add(block)

    specs: list[tuple[Block, list[TermSpec]]] = []
    for block in circuit.blocks:
        if block not in fused:
            terms = _terms(block, factors, fused)
            for child in (c for t in terms for c, _ in t.factors):
                uses[child] += 1
            specs.append((block, terms))
    for _, terms in specs:
        if len(terms) == 1:
            _fuse_leaves(terms[0], uses, roots, fused)
    return _with_levels(specs, fused)


def _terms(block: Block, factors: dict[Block, list[FactorSpec]], fused: set[Block]) -> list[TermSpec]:
    if isinstance(block, ProductBlock):
        return [TermSpec(block.nodes, factors[block], [])]
    if isinstance(block, SumBlock):
        return [TermSpec(c.nodes, factors[c] if c in fused else [(c, None)], []) for c in block.children]
    return []


def _with_levels(specs: list[tuple[Block, list[TermSpec]]], fused: set[Block]) -> list[Unit]:
    """Units with their longest distance from an input; what stands on fused leaves alone is one above them."""
    level: dict[Block, int] = {}
    units: list[Unit] = []
    for block, terms in specs:
        if block not in fused:
            level[block] = 1 + max((level[c] for t in terms for c, _ in t.factors), default=0 if terms else -1)
            units.append(Unit(block, terms, level[block]))
    return units


def _flattened(block: ProductBlock, factors: dict[Block, list[FactorSpec]], fused: set[Block]) -> list[FactorSpec]:
    out: list[FactorSpec] = []
    for c, child in enumerate(block.children):
        columns = None if block.index is None else block.index[:, c]
        if child in fused:
            out += [
                (b, columns if inner is None else inner if columns is None else inner[columns]) for b, inner in factors[child]
            ]
        else:
            out.append((child, columns))
    return out


def _fuse_leaves(term: TermSpec, uses: dict[Block, int], roots: set[Block], fused: set[Block]) -> None:
    kept: list[FactorSpec] = []
    for child, columns in term.factors:
        lone = uses[child] == 1 and child not in roots and columns is None
        if isinstance(child, InputBlock) and lone and isinstance(child.variable.domain, Finite):
            fused.add(child)
            term.leaves.append(child)
        else:
            kept.append((child, columns))
    term.factors = kept
