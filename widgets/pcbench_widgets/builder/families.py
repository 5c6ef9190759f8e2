"""Leaf families as they travel: a name and hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from pcbench import FAMILIES, Distribution, Finite, Real
from pcbench.errors import PCBenchError, suggest
from pcbench.scope import Domain

from .draft import Refusal

_FIRST = 2
"""What a hyperparameter without a default starts with in the palette: two categories, two trials."""


def to_wire(distribution: Distribution) -> dict[str, Any]:
    options = fields(distribution)  # type: ignore[arg-type]  # families are dataclasses
    return {"name": distribution.name} | {f.name: getattr(distribution, f.name) for f in options}


def from_wire(wire: object, node: int | None = None) -> Distribution:
    """The distribution; a `Refusal` says what is unknown or makes no sense."""
    if isinstance(wire, Distribution):
        return wire
    if not isinstance(wire, Mapping) or not isinstance(wire.get("name"), str):
        raise Refusal(f"a distribution is a name with its options, got {wire!r}", node)
    known = {family.name: family for family in FAMILIES}
    if wire["name"] not in known:
        raise Refusal(f"there is no distribution {wire['name']!r}; {suggest(wire['name'], list(known))}", node)
    try:
        return known[wire["name"]](**{key: value for key, value in wire.items() if key != "name"})
    except (PCBenchError, TypeError) as error:
        raise Refusal(str(error), node) from None


def natural_domain(distribution: Distribution) -> Domain:
    """The domain of a new variable under this family: the first that the family takes."""
    values = [value for value in to_wire(distribution).values() if isinstance(value, int)]
    for domain in _candidates(values):
        if distribution.rejects(domain) is None:
            return domain
    raise Refusal(f"{distribution} models no domain that could be guessed; open a circuit with that variable instead")


def _candidates(values: list[int]) -> Iterator[Domain]:
    yield Real()
    yield Finite(2)
    for value in values:
        yield Finite(value)
        yield Finite(value + 1)


def catalogue() -> list[dict[str, Any]]:
    """Every family for the palette: its name, and its options with the values to start from."""
    return [
        {
            "name": family.name,
            "title": family.__name__,
            "options": {f.name: _FIRST if f.default is MISSING else f.default for f in fields(family)},  # type: ignore[arg-type]
        }
        for family in FAMILIES
    ]
