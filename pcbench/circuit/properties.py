"""Structural properties of a circuit: whether they hold, and where and why not."""

from __future__ import annotations

from dataclasses import dataclass

from .blocks import Block, ProductBlock
from .circuit import Circuit
from .validity import Violation, undecomposable, unsmooth


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
    return Report("smooth", tuple(unsmooth(circuit.blocks, circuit.variables, circuit.label)))


def decomposable(circuit: Circuit) -> Report:
    """Every product's children have disjoint scopes; without it values are squared and sums do not distribute."""
    return Report("decomposable", tuple(undecomposable(circuit.blocks, circuit.variables, circuit.label)))


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
    "smooth",
    "structured_decomposable",
]
