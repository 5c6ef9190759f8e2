"""Data with its variables: one table, and a data set of up to three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import DataError, OptionError, hinted, hinted_class
from ..scope import Variables


@hinted_class
@dataclass(frozen=True, eq=False)
class Table:
    """Rows of data.

    Attributes:
        values: ``[B, V]``; integers when every variable is finite, otherwise float64. 0 where missing.
        variables: one per column.
        observed: booleans ``[B, V]``, false where missing; ``None`` when nothing is.
        source: where the rows come from, for messages.
    """

    values: Tensor
    variables: Variables
    observed: Tensor | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.variables):
            expected = f"[rows, {len(self.variables)}]"
            raise DataError(f"{self.source or 'table'}: values need shape {expected}, got {list(self.values.shape)}")
        if self.observed is not None and self.observed.shape != self.values.shape:
            raise DataError(
                f"{self.source or 'table'}: observed needs shape {list(self.values.shape)}, got {list(self.observed.shape)}"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Tensor) -> Table:
        """Some of the rows."""
        observed = None if self.observed is None else self.observed[rows]
        return Table(self.values[rows], self.variables, observed, self.source)

    @property
    def missing(self) -> int:
        """Number of missing values."""
        return 0 if self.observed is None else int((~self.observed).sum())


@hinted_class
@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test rows of the same variables.

    Attributes:
        name: of the data set.
        train, valid, test: values ``[B, V]``; ``valid`` and ``test`` may be absent.
        variables: one per column.
        observed: for each of ``"train"``, ``"valid"``, ``"test"`` with missing values, booleans ``[B, V]``.
        labels: for each of them, class labels ``[B]``, where there are some.
        image_shape: (height, width) when rows are images, row by row.
        source: where the data come from, and under which licence.
    """

    name: str
    train: Tensor
    variables: Variables
    valid: Tensor | None = None
    test: Tensor | None = None
    observed: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    image_shape: tuple[int, int] | None = None
    source: str = ""

    @classmethod
    @hinted
    def of(cls, name: str, train: Table, valid: Table | None = None, test: Table | None = None) -> Dataset:
        """A data set of tables over the same variables."""
        parts = {"train": train, "valid": valid, "test": test}
        for part, table in parts.items():
            if table is not None and table.variables != train.variables:
                raise DataError(f"{name}: the {part} table has other variables than the train table")
        masks = {part: t.observed for part, t in parts.items() if t is not None and t.observed is not None}
        others = [None if t is None else t.values for t in (valid, test)]
        return cls(name, train.values, train.variables, others[0], others[1], masks, source=train.source)

    def table(self, part: str) -> Table | None:
        """One of ``"train"``, ``"valid"``, ``"test"`` with its mask; ``None`` when there is none."""
        values: dict[str, Tensor | None] = {"train": self.train, "valid": self.valid, "test": self.test}
        if part not in values:
            raise OptionError(f"a data set has the parts {', '.join(values)}; there is no {part!r}")
        found = values[part]
        return None if found is None else Table(found, self.variables, self.observed.get(part), f"{self.name} ({part})")

    def __repr__(self) -> str:
        parts = [
            f"{len(v):,} {part}"
            for part, v in (("train", self.train), ("valid", self.valid), ("test", self.test))
            if v is not None
        ]
        return f"Dataset({self.name}: {', '.join(parts)} rows × {len(self.variables)} variables)"


@hinted
def hold_out(data: Dataset, fraction: float = 0.1, seed: int = 0) -> Dataset:
    """The same data with a random share of the training rows set apart for validation.

    Args:
        data: a data set without validation rows.
        fraction: of the training rows, in (0, 1).
        seed: of the choice; rows keep their order.
    """
    if data.valid is not None:
        raise OptionError(f"{data.name} already has {len(data.valid):,} validation rows")
    if not 0 < fraction < 1:
        raise OptionError(f"fraction must lie between 0 and 1, got {fraction}")
    count = round(len(data.train) * fraction)
    if not 0 < count < len(data.train):
        raise DataError(f"{data.name}: {fraction:.3g} of {len(data.train)} rows leaves nothing to train or to validate on")
    apart = torch.zeros(len(data.train), dtype=torch.bool)
    apart[torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:count]] = True
    observed, labels = dict(data.observed), dict(data.labels)
    for mapping in (observed, labels):
        if "train" in mapping:
            mapping["valid"] = mapping["train"][apart]
            mapping["train"] = mapping["train"][~apart]
    return Dataset(
        data.name,
        data.train[~apart],
        data.variables,
        data.train[apart],
        data.test,
        observed,
        labels,
        data.image_shape,
        data.source,
    )
