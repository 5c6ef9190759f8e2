"""Evidence: what is observed, row by row; and the same brought into the program's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..compile import Program
from ..errors import DataError, hinted_class
from ..scope import Finite, Variables

#: What every query takes: evidence, or plain data in which everything is observed.
Data: TypeAlias = "Evidence | Tensor | npt.NDArray[np.generic]"


@hinted_class
@dataclass(frozen=True, eq=False)
class Evidence:
    """Observations of ``B`` rows over ``V`` variables.

    Attributes:
        values: ``[B, V]``; integers for finite variables (a float tensor may hold them when some variables are real).
        observed: booleans ``[B, V]`` or ``[V]``; where false, the value is ignored and the variable is marginalised.
        soft: for some finite variables, likelihoods ``[B, C]`` (or ``[C]``) of their values, each ≥ 0; the variable then
            counts as observed through them, and its entry in ``values`` is ignored.
    """

    values: Tensor
    observed: Tensor | None = None
    soft: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _tensor(self.values, "values"))
        if self.observed is not None:
            object.__setattr__(self, "observed", _tensor(self.observed, "observed"))

    @classmethod
    def of(cls, data: Data) -> Evidence:
        """Evidence as it is; a tensor or array as fully observed values."""
        if isinstance(data, Evidence):
            return data
        return cls(_tensor(data, "data"))

    @classmethod
    def none(cls, rows: int, variables: Variables) -> Evidence:
        """``rows`` rows in which nothing is observed."""
        return cls(torch.zeros(rows, len(variables), dtype=torch.uint8), torch.zeros(len(variables), dtype=torch.bool))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Tensor) -> Evidence:
        """The same evidence for some of the rows."""
        observed = self.observed[rows] if self.observed is not None and self.observed.ndim == 2 else self.observed
        soft = {v: s[rows] if s.ndim == 2 else s for v, s in self.soft.items()}
        return Evidence(self.values[rows], observed, soft)

    def mask(self) -> Tensor:
        """Which values are used: booleans ``[B, V]`` (false where missing, and where soft evidence stands instead)."""
        if self.observed is None:
            mask = torch.ones(self.values.shape, dtype=torch.bool, device=self.values.device)
        else:
            mask = self.observed.expand(self.values.shape).clone()
        for variable in self.soft:
            mask[:, variable] = False
        return mask

    def check(self, variables: Variables) -> None:
        """Raise :class:`DataError` unless this evidence fits the variables; names row, variable and value."""
        self.check_form(variables)
        partial = self.observed is not None or bool(self.soft)
        _check_domains(self.values, self.mask() if partial else None, variables)

    def check_form(self, variables: Variables) -> None:
        """The part of :meth:`check` that does not look at each value: shapes, types and soft evidence."""
        values = self.values
        if values.ndim != 2 or values.shape[1] != len(variables):
            raise DataError(f"values need shape [rows, {len(variables)}], got {list(values.shape)}")
        if len(values) == 0:
            raise DataError("the batch is empty: values have no rows")
        if values.is_complex() or values.dtype == torch.bool:
            raise DataError(f"values need an integer or float dtype, got {values.dtype}")
        _check_mask(self.observed, values)
        _check_soft(self.soft, len(values), variables)


def _tensor(data: object, what: str) -> Tensor:
    if isinstance(data, np.ndarray) and data.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(data))
    if not isinstance(data, Tensor):
        kind = f"array of {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{what} must be a tensor or array of numbers, got {kind}")
    return data


def _check_mask(observed: Tensor | None, values: Tensor) -> None:
    if observed is None:
        return
    if observed.dtype != torch.bool:
        raise DataError(f"observed must be booleans (True: observed), got {observed.dtype}")
    if tuple(observed.shape) not in (tuple(values.shape), (values.shape[1],)):
        raise DataError(f"observed needs shape {list(values.shape)} or [{values.shape[1]}], got {list(observed.shape)}")


def _check_soft(soft: Mapping[int, Tensor], rows: int, variables: Variables) -> None:
    for index, likelihood in soft.items():
        if not 0 <= index < len(variables):
            raise DataError(f"soft evidence on column {index}, but there are {len(variables)} variables")
        variable = variables[index]
        if not isinstance(variable.domain, Finite):
            raise DataError(f"soft evidence needs a finite variable; {variable.name!r} is {variable.domain}")
        size = variable.domain.size
        if tuple(likelihood.shape) not in ((rows, size), (size,)):
            raise DataError(
                f"soft evidence on {variable.name!r} needs shape [{rows}, {size}] or [{size}], got {list(likelihood.shape)}"
            )
        if not likelihood.is_floating_point() or not bool((torch.isfinite(likelihood) & (likelihood >= 0)).all()):
            raise DataError(f"soft evidence on {variable.name!r} must be finite floats ≥ 0")


def _check_domains(values: Tensor, mask: Tensor | None, variables: Variables) -> None:
    """Every used value is finite, and inside its variable's domain."""
    sizes = torch.tensor([v.domain.size if isinstance(v.domain, Finite) else 0 for v in variables], device=values.device)
    if values.is_floating_point():
        # NaN and infinity show in a sum, which takes no memory.
        if mask is None and not bool(sizes.any()) and bool(torch.isfinite(values.sum())):
            return
        _raise_at(~torch.isfinite(values), mask, values, variables, "is not finite; mark missing values with observed=False")
    finite = sizes > 0
    if not values.is_floating_point():
        # One minimum and maximum, of all or of each column, answer most calls, without a temporary of the size of the data.
        if bool(finite.all()) and mask is None and len(values):
            least, most = torch.aminmax(values)
            if int(least) >= 0 and int(most) < int(sizes.min()):
                return
            low, high = values.amin(0).long(), values.amax(0).long()
            if bool(((low >= 0) & (high < sizes)).all()):
                return
        wide = values.long()
    else:
        wide = values
        _raise_at((values != values.round()) & finite, mask, values, variables, "is not an integer")
    _raise_at(((wide < 0) | (wide >= sizes)) & finite, mask, values, variables, "is outside its domain")


def _raise_at(wrong: Tensor, mask: Tensor | None, values: Tensor, variables: Variables, what: str) -> None:
    if mask is not None:
        wrong = wrong & mask
    if bool(wrong.any()):
        row, column = (int(i) for i in wrong.nonzero()[0])
        variable = variables[column]
        raise DataError(
            f"row {row}, variable {variable.name!r} (column {column}): {values[row, column].item()} {what} "
            f"(domain {variable.domain})"
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Evidence in a program's layout.

    Attributes:
        size: number of rows ``B``.
        codes: for each leaf table, ``[uses, B]``: flat row of the lookup table (the last category of each parameter set
            stands for « missing »), or ``None`` where leaves are not looked up. On a CPU in 32 bits where they suffice.
        values, observed: sample-last ``[V, B]``, for leaves that are not looked up.
        soft: as in :class:`Evidence`.
    """

    size: int
    codes: tuple[Tensor | None, ...]
    values: Tensor
    observed: Tensor | None
    soft: Mapping[int, Tensor]

    @classmethod
    def of(cls, program: Program, evidence: Evidence) -> Batch:
        """Lay checked evidence out for a program."""
        evidence.check(program.circuit.variables)
        partial = evidence.observed is not None or bool(evidence.soft)
        device = program.device
        observed = evidence.mask().to(device).T.contiguous() if partial else None
        values = evidence.values.to(device).T
        codes: list[Tensor | None] = []
        narrow: Tensor | None = None  # integers, sample-last
        for table in program.leaf_tables:
            if table.categories is None:
                codes.append(None)
                continue
            last = len(table.parameters) * (table.categories + 1)
            kind = torch.int32 if device.type == "cpu" and last < 1 << 31 else torch.int64
            if narrow is None or narrow.dtype != kind:
                narrow = evidence.values.to(device, kind).T.contiguous()
            chosen = narrow.index_select(0, table.variables)
            if observed is not None:
                chosen.masked_fill_(~observed[table.variables], table.categories)
            codes.append(chosen.add_((table.rows * (table.categories + 1)).to(kind)[:, None]))
        soft = {v: s.to(device) for v, s in evidence.soft.items()}
        return cls(len(evidence), tuple(codes), values, observed, soft)
