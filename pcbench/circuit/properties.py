"""Structural properties of a circuit: whether they hold, and where and why not."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import DecomposabilityError, SmoothnessError
from .blocks import Block, ProductBlock, SumBlock
from .circuit import Circuit


@dataclass(frozen=True)
class Violation:
    """One place where a property fails: the block, and a sentence with the offending values."""

    block: Block
    message: str


@dataclass(frozen=True)
class Report:
    """Whether a property holds, and every place where it does not."""

    name: str
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        return not self.violations

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        if self.holds:
            return f"{self.name}: yes"
        return f"{self.name}: no\n" + "\n".join(f"  · {v.message}" for v in self.violations)


def smooth(circuit: Circuit) -> Report:
    """Every sum's children have the same scope; without it a marginal is not a marginal."""
    found = []
    for block in circuit.blocks:
        if isinstance(block, SumBlock):
            for child in block.children:
                if child.scope != block.scope:
                    lacking = circuit.variables.names(block.scope & ~child.scope)
                    found.append(
                        Violation(
                            block,
                            f"{circuit.label(block)} is not smooth: its child {circuit.label(child)} does not depend on "
                            f"{lacking}, which other children do; multiply it with inputs over {lacking}",
                        )
                    )
    return Report("smooth", tuple(found))


def decomposable(circuit: Circuit) -> Report:
    """Every product's children have disjoint scopes; without it values are squared and sums do not distribute."""
    found = []
    for block in circuit.blocks:
        if isinstance(block, ProductBlock):
            seen = 0
            for child in block.children:
                if overlap := seen & child.scope:
                    first = next(c for c in block.children if c.scope & overlap)
                    found.append(
                        Violation(
                            block,
                            f"{circuit.label(block)} is not decomposable: its children {circuit.label(first)} and "
                            f"{circuit.label(child)} both depend on {circuit.variables.names(overlap)}",
                        )
                    )
                seen |= child.scope
    return Report("decomposable", tuple(found))


def require_valid(circuit: Circuit) -> None:
    """Raise on the first violation of smoothness or decomposability."""
    if not (report := decomposable(circuit)):
        raise DecomposabilityError(report.violations[0].message)
    if not (report := smooth(circuit)):
        raise SmoothnessError(report.violations[0].message)


def _splits(circuit: Circuit) -> dict[int, dict[tuple[int, ...], Block]]:
    """For every product scope, the distinct ways in which it is split, with a block that does so."""
    out: dict[int, dict[tuple[int, ...], Block]] = {}
    for block in circuit.blocks:
        if isinstance(block, ProductBlock) and len(block.children) > 1:
            split = tuple(sorted(c.scope for c in block.children))
            out.setdefault(block.scope, {}).setdefault(split, block)
    return out


def structured_decomposable(circuit: Circuit) -> Report:
    """Products over one scope all split it in the same way, so that two such circuits can be multiplied."""
    found = list(decomposable(circuit).violations)
    for ways in _splits(circuit).values():
        if len(ways) > 1:
            (split, first), (_, other) = list(ways.items())[:2]
            parts = " | ".join(circuit.variables.names(s, 4) for s in split)
            found.append(
                Violation(
                    other,
                    f"{circuit.label(other)} splits {circuit.variables.names(other.scope)} otherwise than "
                    f"{circuit.label(first)} does ({parts})",
                )
            )
    return Report("structured-decomposable", tuple(found))


__all__ = [
    "Report",
    "Violation",
    "decomposable",
    "require_valid",
    "smooth",
    "structured_decomposable",
]
