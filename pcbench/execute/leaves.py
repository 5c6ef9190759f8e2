"""What is kept of a leaf table: parameters, and what its values are looked up in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from ..scope import Finite
from .domain import logs_wanted, may_be_linear


class LogTables:
    """Log probabilities ``[P, C+1, N]`` of leaf tables; the last row is 0: « missing ». ``None``: the domain is not finite.

    Those that no training step reads are made when they are first asked for. (Not a ``Sequence``: checkers of types look at
    items of sequences, which would make tables of parameters that are not written yet.)
    """

    def __init__(self, tables: Sequence[LeafTable], leaves: Sequence[Tensor], held: Sequence[Tensor | None]) -> None:
        self._tables, self._leaves, self._made = tables, leaves, list(held)
        self._held = [t is not None for t in held]

    def held(self, table: int) -> Tensor | None:
        """A table that every step keeps up to date; ``None`` for the others, even when they have been made."""
        return self._made[table] if self._held[table] else None

    def __getitem__(self, index: int) -> Tensor | None:
        made = self._made[index]
        if made is None and self._tables[index].categories is not None:
            made = empty_table(self._tables[index], self._leaves[index])
            write_logs(self._tables[index], self._leaves[index], made)
            self._made[index] = made
        return made

    def __len__(self) -> int:
        return len(self._made)


def empty_table(table: LeafTable, like: Tensor) -> Tensor:
    """``[P, C+1, N]``, uninitialised."""
    assert table.categories is not None
    return like.new_empty(len(table.parameters), table.categories + 1, table.nodes)


def gathered_table(table: LeafTable, like: Tensor) -> Tensor:
    """What fused kernels look up of a leaf table ``[P, C+1, N]``, uninitialised; empty where the domain is not finite."""
    return like.new_empty(0) if table.categories is None else empty_table(table, like)


def empty_leaves(program: Program, index: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Uninitialised parameters ``[P, S, N]``, log table and mass table (each ``[P, C+1, N]``, or ``None`` when not kept).

    A family whose parameters are its masses keeps them within the mass table.
    """
    table = program.leaf_tables[index]
    like = torch.empty(0, dtype=program.dtype, device=program.device)
    finite = table.categories is not None
    logs = empty_table(table, like) if finite and logs_wanted(program, index) else None
    if not (finite and may_be_linear(program)):
        return like.new_empty(table.shape), logs, None
    masses = empty_table(table, like)
    inside = masses[:, :-1]
    if table.distribution.mass_table(inside, Finite(table.categories or 0)) is inside:
        return inside, logs, masses
    return like.new_empty(table.shape), logs, masses


def write_logs(table: LeafTable, leaves: Tensor, out: Tensor) -> None:
    """The log probabilities of some rows of a leaf table."""
    assert table.categories is not None
    out[:, :-1] = table.distribution.log_table(leaves, Finite(table.categories))
    out[:, -1] = 0


def write_masses(table: LeafTable, leaves: Tensor, out: Tensor) -> None:
    """The probabilities of some rows of a leaf table."""
    assert table.categories is not None
    masses = table.distribution.mass_table(leaves, Finite(table.categories))
    assert masses is not None
    if masses is not leaves:
        out[:, :-1] = masses
    out[:, -1] = 1
