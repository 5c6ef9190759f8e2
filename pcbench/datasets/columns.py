"""From columns of numbers to variables: which are finite, which are real, and which values are wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..errors import DataError
from ..scope import Domain, Finite, Real, Variable, Variables
from .dataset import Table

#: A column of whole numbers from 0 with more values than this is read as real: a count or an identifier, not a category.
MOST_CATEGORIES = 4096

#: How a value's place is named in messages: (row, column) → « line 7, column 2 ('age') ».
Place = Callable[[int, int], str]


def table_of(numbers: np.ndarray, names: Sequence[str] | None, variables: Variables | None, place: Place, source: str) -> Table:
    """A table from float64 ``[rows, columns]`` in which NaN stands for missing."""
    if not numbers.size:
        raise DataError(f"{source}: no rows of data")
    seen = ~np.isnan(numbers)
    if np.isinf(numbers).any():
        row, column = (int(i) for i in np.argwhere(np.isinf(numbers))[0])
        raise DataError(f"{source}: {place(row, column)}: {numbers[row, column]} is not a finite number")
    if variables is None:
        domains = [_domain(numbers[seen[:, c], c]) for c in range(numbers.shape[1])]
        variables = Variables(domains, names)
        _tell_constant(numbers, seen, variables, source)
    else:
        _check_variables(numbers, seen, names, variables, place, source)
    values = torch.from_numpy(np.where(seen, numbers, 0.0))
    if variables.all_finite:
        largest = max(v.domain.size for v in variables if isinstance(v.domain, Finite))
        values = values.to(torch.uint8 if largest <= 256 else torch.int16 if largest <= 1 << 15 else torch.int64)
    return Table(values, variables, None if seen.all() else torch.from_numpy(seen), source)


def _domain(column: np.ndarray) -> Domain:
    """Whole numbers from 0 are categories; everything else is real."""
    if not column.size:
        return Finite(2)  # nothing observed: the smallest domain that says something
    whole = bool((column == np.round(column)).all()) and column.min() >= 0 and column.max() < MOST_CATEGORIES
    return Finite(max(2, int(column.max()) + 1)) if whole else Real()


def _tell_constant(numbers: np.ndarray, seen: np.ndarray, variables: Variables, source: str) -> None:
    low = np.where(seen, numbers, np.inf).min(0)
    high = np.where(seen, numbers, -np.inf).max(0)
    constant = [(v.name, low[v.index]) for v in variables if low[v.index] >= high[v.index]]
    # Images have many such pixels and nothing is wrong with them; in a table of a few columns it is worth a word.
    if constant and len(variables) <= 64 and len(numbers) > 1:
        said = ", ".join(f"{n!r} ({'never observed' if np.isinf(x) else f'always {x:g}'})" for n, x in constant[:4])
        warnings.warn(f"{source}: constant columns carry no information: {said}", UserWarning, stacklevel=4)


def _check_variables(
    numbers: np.ndarray, seen: np.ndarray, names: Sequence[str] | None, variables: Variables, place: Place, source: str
) -> None:
    if numbers.shape[1] != len(variables):
        raise DataError(f"{source}: {numbers.shape[1]} columns, expected {len(variables)} variables")
    if names is not None and list(names) != [v.name for v in variables]:
        column = next(i for i, v in enumerate(variables) if names[i] != v.name)
        raise DataError(f"{source}: column {column + 1} is called {names[column]!r}, expected {variables[column].name!r}")
    for variable in variables:
        if isinstance(variable.domain, Finite):
            values = numbers[:, variable.index]
            wrong = seen[:, variable.index] & ~((values >= 0) & (values < variable.domain.size) & (values == np.round(values)))
            if wrong.any():
                raise DataError(f"{source}: {_outside(place, int(wrong.argmax()), variable, values)}")


def _outside(place: Place, row: int, variable: Variable, values: np.ndarray) -> str:
    return f"{place(row, variable.index)}: {values[row]:g} is outside the domain {variable.domain}"
