"""What a run is to do, checked before it starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..compile import Program
from ..errors import DataError, OptionError
from ..execute import Data, Evidence
from ..scope import Real, Variables
from .em import batch_bounds
from .method import Method


@dataclass(frozen=True, eq=False)
class Plan:
    """The options of a run. Which rows make which batch depends on nothing but these, the epoch and the batch."""

    program: Program
    train: Evidence
    valid: Evidence | None
    method: Method
    epochs: int
    batch_size: int
    validate_every: int
    patience: int | None
    seed: int
    checkpoint: Path | None
    checkpoint_every: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every", "checkpoint_every"):
            _require_count(name, getattr(self, name))
        if self.patience is not None:
            _require_count("patience", self.patience)
            if self.valid is None:
                raise OptionError(f"patience={self.patience} stops a run by its validation data; pass valid=…")
        if self.checkpoint is not None and not self.checkpoint.absolute().parent.is_dir():
            raise OptionError(f"checkpoint={str(self.checkpoint)!r}: there is no folder {str(self.checkpoint.parent)!r}")
        if self.checkpoint is not None and self.checkpoint.is_dir():
            raise OptionError(f"checkpoint={str(self.checkpoint)!r} is a folder; give the name of a file")

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """First and past-the-last place of each batch, in the epoch's order of rows. Every step asks how many there are."""
        return batch_bounds(len(self.train), self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        batches = len(self.bounds)
        return -(-batches // self.method.batches_per_step(batches))

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def order(self, epoch: int) -> Tensor | None:
        """The order of rows in an epoch, from the seed and the epoch's number alone; ``None`` is the data's own."""
        if not self.method.shuffles:
            return None
        digest = hashlib.sha256(f"{self.seed}/{epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return torch.randperm(len(self.train), generator=generator)


def _require_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} must be a whole number, at least 1, got {value!r}")


def checked(data: Data, variables: Variables, what: str) -> Evidence:
    """Evidence that fits the variables.

    Raises:
        DataError: saying whether it is the training or the validation data, and row, variable, value and domain.
    """
    evidence = Evidence.of(data)
    try:
        evidence.check(variables)
    except DataError as error:
        raise DataError(f"{what}: {error}") from None
    return evidence


def filled(evidence: Evidence) -> Tensor:
    """Values ``[B, V]`` in which each missing one is replaced by an observed one of its column, for first parameters.

    Location and spread of a column stay those of its observed values; a column without any gets zeros.
    """
    mask = evidence.mask()
    if bool(mask.all()):
        return evidence.values
    out = evidence.values.clone()
    for column in (~mask.all(0)).nonzero()[:, 0].tolist():
        present, missing = out[mask[:, column], column], ~mask[:, column]
        count = int(missing.sum())
        if len(present):
            out[missing, column] = present.repeat(-(-count // len(present)))[:count]
        else:
            out[:, column] = 0
    return out


def constant_columns(evidence: Evidence, variables: Variables) -> list[str]:
    """Names of the real variables whose observed values are all the same: densities over them grow without meaning."""
    mask = evidence.mask()
    names = []
    for variable in variables:
        if not isinstance(variable.domain, Real):
            continue
        present = evidence.values[mask[:, variable.index], variable.index]
        if len(present) > 1 and bool((present == present[0]).all()):
            names.append(variable.name)
    return names


def fingerprint(evidence: Evidence | None, rows: int = 512) -> str | None:
    """A hash of shape, mask and up to ``rows`` evenly spread rows, to recognise data by."""
    if evidence is None:
        return None
    some = torch.linspace(0, len(evidence) - 1, min(rows, len(evidence)), dtype=torch.float64).long()
    part = evidence[some]
    mask = part.mask()
    digest = hashlib.sha256(repr(tuple(evidence.values.shape)).encode())
    digest.update(mask.numpy().tobytes())
    digest.update(torch.where(mask, part.values.double(), 0.0).numpy().tobytes())
    for variable, likelihood in sorted(part.soft.items()):
        digest.update(f"{variable}".encode() + likelihood.double().contiguous().numpy().tobytes())
    return digest.hexdigest()
