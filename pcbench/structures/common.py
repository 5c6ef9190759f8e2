"""What the builders share: reading data and options, leaf families, and blocks of leaves."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt
import torch
from torch import Tensor

from ..circuit import InputBlock, Parameter
from ..distributions import Categorical, Distribution, Gaussian
from ..errors import DataError, OptionError
from ..scope import Domain, Finite, Real, Variable, Variables

#: Data as users hold it: a tensor or an array ``[B, V]``.
Data: TypeAlias = Tensor | npt.NDArray[Any]

#: A leaf family: one for all variables, a rule that names one for each, or ``None`` for the domain's usual one.
Leaves: TypeAlias = Distribution | Callable[[Variable], Distribution] | None


@dataclass(frozen=True)
class Table:
    """Checked data.

    Attributes:
        values: ``[B, V]``, whole numbers or floats.
        observed: ``[B, V]`` bool; ``None`` when everything is observed.
        variables: one a column.
    """

    values: Tensor
    observed: Tensor | None
    variables: Variables

    def resampled(self, generator: torch.Generator) -> Table:
        """As many rows, drawn with replacement (a bootstrap sample)."""
        rows = torch.randint(len(self.values), (len(self.values),), generator=generator)
        return Table(self.values[rows], None if self.observed is None else self.observed[rows], self.variables)


def whole(value: int, name: str, least: int = 1) -> int:
    """``value`` as an integer of at least ``least``.

    Raises:
        OptionError: naming the option.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise OptionError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return operator.index(value)


def read_table(data: Data, variables: Variables | None = None, observed: Data | None = None) -> Table:
    """Check data against variables, or infer the variables.

    Args:
        data: ``[B, V]``; whole numbers, or floats when a variable is real.
        variables: one a column. Where left out: real variables for floats; for whole numbers finite ones, all with the
            values 0…(greatest value of the whole table), so that columns are alike and can be computed together.
        observed: ``[B, V]`` bool; values where it is ``False`` are ignored.

    Raises:
        DataError: naming the row, the variable and the value.
    """
    values = torch.as_tensor(data).detach().cpu()
    if values.ndim != 2:
        raise DataError(f"data needs shape [rows, variables], got {tuple(values.shape)}")
    if not values.numel():
        raise DataError(f"data is empty: shape {tuple(values.shape)}")
    if values.is_complex():
        raise DataError(f"data needs whole numbers or floats, got {values.dtype}")
    values = values.to(torch.uint8) if values.dtype == torch.bool else values
    if variables is not None and len(variables) != values.shape[1]:
        raise DataError(f"data has {values.shape[1]} columns, but there are {len(variables)} variables")
    seen = None if observed is None else _mask(observed, values)
    variables = variables or _inferred(values, seen)
    _check_values(values, seen, variables)
    return Table(values, seen, variables)


def _mask(observed: Data, values: Tensor) -> Tensor | None:
    mask = torch.as_tensor(observed).detach().cpu()
    if mask.shape != values.shape or mask.dtype != torch.bool:
        raise DataError(
            f"observed needs shape {tuple(values.shape)} and dtype torch.bool, got {tuple(mask.shape)} and {mask.dtype}"
        )
    return None if bool(mask.all()) else mask


def _inferred(values: Tensor, seen: Tensor | None) -> Variables:
    if values.is_floating_point():
        return Variables.real(values.shape[1])
    kept = values if seen is None else values[seen]
    return Variables.finite(values.shape[1], max(int(kept.max()), 0) + 1 if kept.numel() else 1)


def _check_values(values: Tensor, seen: Tensor | None, variables: Variables) -> None:
    wrong = torch.zeros_like(values, dtype=torch.bool)
    if values.is_floating_point():
        wrong |= ~torch.isfinite(values)
    columns = [v.index for v in variables if isinstance(v.domain, Finite)]
    if columns:
        sizes = torch.tensor([v.domain.size for v in variables if isinstance(v.domain, Finite)])
        finite = values if len(columns) == len(variables) else values[:, columns]
        bad = (finite < 0) | (finite >= sizes)
        if values.is_floating_point():
            bad |= finite != finite.floor()
        wrong[:, columns] |= bad
    if seen is not None:
        wrong &= seen
    if bool(wrong.any()):
        row, column = (int(i) for i in wrong.nonzero()[0])
        variable = variables[column]
        domain = "a finite number" if isinstance(variable.domain, Real) else str(variable.domain)
        raise DataError(f"row {row}, variable {variable.name!r}: got {values[row, column].item()}, expected {domain}")


def variables_of(data: Data | None, variables: Variables | None, where: str) -> Variables:
    """The variables to build over: those given, checked against the data, or inferred from the data.

    Raises:
        OptionError: when there are neither variables nor data.
        DataError: for data that does not fit.
    """
    if data is not None:
        return read_table(data, variables).variables
    if variables is None:
        raise OptionError(f"{where} needs variables= or data=")
    if not len(variables):
        raise OptionError(f"{where} needs at least one variable")
    return variables


def usual_family(domain: Domain) -> Distribution:
    """The family for a domain when the user names none: categorical or Gaussian."""
    return Categorical(domain.size) if isinstance(domain, Finite) else Gaussian()


def family_of(variable: Variable, leaves: Leaves) -> Distribution:
    """The family of a variable's leaves."""
    if leaves is None:
        return usual_family(variable.domain)
    family = leaves if isinstance(leaves, Distribution) else leaves(variable)
    if not isinstance(family, Distribution):
        raise OptionError(f"distribution= must name a family for {variable.name!r}, got {family!r}")
    return family


def leaf_block(variable: Variable, leaves: Leaves, nodes: int, parameter: Parameter | None = None) -> InputBlock:
    """A block of leaves over one variable."""
    family = family_of(variable, leaves)
    parameter = parameter or Parameter((family.num_parameters, nodes))
    return InputBlock(variable, family, nodes, parameter, variable.name)
