"""Variables, their domains, and scopes (sets of variables).

A scope is a Python integer used as a bit set: bit ``i`` stands for the variable with index ``i``. Union and overlap are
then one machine operation per 64 variables, which keeps circuits over thousands of variables cheap to check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

from .errors import CircuitError, VariableIndexError, hinted, hinted_class, suggest

Scope: TypeAlias = int


@hinted_class
@dataclass(frozen=True)
class Finite:
    """Values 0, 1, …, size−1."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise CircuitError(f"a finite domain needs at least one value, got size={self.size}")

    def __str__(self) -> str:
        return f"0…{self.size - 1}"


@dataclass(frozen=True)
class Real:
    """Any finite real number."""

    def __str__(self) -> str:
        return "ℝ"


Domain: TypeAlias = Finite | Real


@dataclass(frozen=True)
class Variable:
    """A random variable: the column ``index`` of the data, a name for people, and a domain."""

    index: int
    name: str
    domain: Domain


@hinted_class
class Variables(Sequence[Variable]):
    """The variables of a circuit, in column order.

    Args:
        domains: one domain per variable.
        names: one distinct name per variable; ``x0, x1, …`` where left out.
    """

    def __init__(self, domains: Iterable[Domain], names: Iterable[str] | None = None) -> None:
        domains = tuple(domains)
        names = tuple(names) if names is not None else tuple(f"x{i}" for i in range(len(domains)))
        if len(names) != len(domains):
            raise CircuitError(f"{len(domains)} domains but {len(names)} names")
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise CircuitError(f"variable name {twice!r} is used more than once")
        self._items = tuple(Variable(i, n, d) for i, (n, d) in enumerate(zip(names, domains, strict=True)))
        self._index = {v.name: v.index for v in self._items}

    @classmethod
    @hinted
    def finite(cls, count: int, size: int, names: Iterable[str] | None = None) -> Variables:
        """``count`` variables with values 0…size−1."""
        return cls((Finite(size),) * count, names)

    @classmethod
    @hinted
    def binary(cls, count: int, names: Iterable[str] | None = None) -> Variables:
        """``count`` variables with values 0 and 1."""
        return cls.finite(count, 2, names)

    @classmethod
    @hinted
    def real(cls, count: int, names: Iterable[str] | None = None) -> Variables:
        """``count`` real variables."""
        return cls((Real(),) * count, names)

    @overload
    def __getitem__(self, key: int | str) -> Variable: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Variable, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Variable | tuple[Variable, ...]:
        if isinstance(key, str):
            if key not in self._index:
                raise CircuitError(f"no variable {key!r}; {suggest(key, list(self._index)[:200])}")
            key = self._index[key]
        if isinstance(key, int) and not -len(self) <= key < len(self):
            raise VariableIndexError(f"no variable {key}: columns are 0…{len(self) - 1}")
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variables) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        shown = ", ".join(f"{v.name}∈{v.domain}" for v in self._items[:4])
        return f"Variables({shown}{', …' if len(self) > 4 else ''}; {len(self)} in all)"

    @property
    def all_finite(self) -> bool:
        """Whether every variable has a finite domain (data may then be integers)."""
        return all(isinstance(v.domain, Finite) for v in self._items)

    def names(self, scope: Scope, limit: int = 6) -> str:
        """The names of a scope's variables, for messages; at most ``limit`` of them."""
        members = scope_indices(scope)
        shown = ", ".join(self._items[i].name if i < len(self) else f"#{i}" for i in members[:limit])
        return "{" + shown + (f", … {len(members)} in all" if len(members) > limit else "") + "}"


def scope_of(indices: Iterable[int]) -> Scope:
    """The scope that holds the given variable indices."""
    scope = 0
    for i in indices:
        scope |= 1 << i
    return scope


def scope_indices(scope: Scope) -> list[int]:
    """The variable indices of a scope, ascending."""
    out = []
    while scope:
        low = scope & -scope
        out.append(low.bit_length() - 1)
        scope ^= low
    return out
