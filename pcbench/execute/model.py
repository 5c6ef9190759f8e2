"""Parameters in a program's layout, and the pair of both: a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from ..circuit import Circuit, Parameter, SumBlock, check_weights, initial_values
from ..compile import Program, compile, weight_starts
from ..errors import CircuitError, ParameterError, hinted
from .leaves import LogTables, empty_leaves, write_logs, write_masses


@dataclass(frozen=True, eq=False)
class Parameters:
    """All parameters of a program. Never written after they are made.

    Attributes:
        weights: one tensor ``[P, *form]`` for each sum table, linear domain.
        leaves: one tensor ``[P, S, N]`` for each leaf table.
        flat: all weights in one buffer, of which ``weights`` are views, in the order of :func:`weight_starts`.
        operands: ``flat`` as fused matrix products read it: in bfloat16 where they are fast, otherwise ``flat`` itself.
        lookups: for each leaf table over a finite domain, log probabilities ``[P, C+1, N]``; the last row is 0: « missing ».
        masses: for each leaf table that linear passes look up, probabilities ``[P, C+1, N]``; the last row is 1: « missing ».
    """

    weights: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    lookups: LogTables
    flat: Tensor
    operands: Tensor
    masses: tuple[Tensor | None, ...]

    @cached_property
    def smallest(self) -> tuple[float, ...]:
        """The smallest weight of each sum table (0 where a pattern has holes)."""
        return tuple(float(w.amin()) for w in self.weights)

    def leaf_store(self, table: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Parameters, held log table and mass table: what :func:`empty_leaves` made."""
        return self.leaves[table], self.lookups.held(table), self.masses[table]

    @property
    def num_bytes(self) -> int:
        """Memory held, lookup tables included, in bytes."""
        logs = [self.lookups.held(t) for t in range(len(self.leaves))]
        held = [*self.weights, *self.leaves, *(t for t in (*logs, *self.masses) if t is not None)]
        # Parameters may lie within a table of masses: each piece of memory counts once.
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}.values())


def weight_storage(program: Program, zero: bool = False) -> tuple[Tensor, list[Tensor]]:
    """One buffer for the weights of all sum tables, and its views as tables ``[P, *form]``."""
    starts = weight_starts(program.sum_tables)
    make = torch.zeros if zero else torch.empty
    flat = make(starts[-1], dtype=program.dtype, device=program.device)
    return flat, [flat[a : a + prod(t.shape)].view(t.shape) for a, t in zip(starts, program.sum_tables, strict=False)]


def operands_of(program: Program, flat: Tensor) -> Tensor:
    """What fused matrix products read: see :class:`Parameters`."""
    return flat if program.fused is None else flat.to(program.fused.operands)


def _parameters(program: Program, flat: Tensor, weights: list[Tensor], leaves: Sequence[Tensor]) -> Parameters:
    """Parameters from weights, which they keep, and leaf parameters, which they copy into tables of their own."""
    stores = [empty_leaves(program, t) for t in range(len(leaves))]
    for table, values, (inside, logs, masses) in zip(program.leaf_tables, leaves, stores, strict=True):
        inside.copy_(values)
        if logs is not None:
            write_logs(table, inside, logs)
        if masses is not None:
            write_masses(table, inside, masses)
    held, logs_, masses_ = zip(*stores, strict=True)
    lookups = LogTables(program.leaf_tables, held, logs_)
    return Parameters(tuple(weights), held, lookups, flat, operands_of(program, flat), masses_)


@dataclass(frozen=True, eq=False)
class Model:
    """A program and parameters for it. Both are frozen: learning makes a new model."""

    program: Program
    parameters: Parameters

    @classmethod
    @hinted
    def create(cls, circuit: Circuit | Program, seed: int = 0, data: Tensor | None = None) -> Model:
        """A model with the circuit's own parameter values, and random ones where it has none.

        Args:
            circuit: a circuit (compiled for the CPU in float32) or a program.
            seed: of the random values.
            data: ``[B, V]``; leaves then start at the location and scale of their column.
        """
        program = circuit if isinstance(circuit, Program) else compile(circuit)
        return cls._packed(program, initial_values(program.circuit, seed, data, program.dtype))

    @classmethod
    @hinted
    def from_values(cls, program: Program, values: dict[Parameter, Tensor]) -> Model:
        """A model with the given value for every parameter of the circuit.

        Raises:
            ParameterError: when one is missing, of the wrong shape, negative, not finite or not normalised.
        """
        for block in program.circuit.blocks:
            if not block.children or isinstance(block, SumBlock):
                where = program.circuit.label(block)
                parameter = block.parameter  # type: ignore[union-attr]  # products have children and are not sums
                if parameter not in values:
                    raise ParameterError(f"{where}: no value for its parameter")
                value = values[parameter]
                if tuple(value.shape) != parameter.shape:
                    raise ParameterError(f"{where}: needs shape {parameter.shape}, got {tuple(value.shape)}")
                if isinstance(block, SumBlock):
                    check_weights(value, block.edges, block.nodes, where)
                elif wrong := block.distribution.invalid(value):  # type: ignore[union-attr]  # an input block
                    raise ParameterError(f"{where}: {wrong}")
        return cls._packed(program, values)

    @classmethod
    def _packed(cls, program: Program, values: dict[Parameter, Tensor]) -> Model:
        flat, weights = weight_storage(program)
        for sums, stored in zip(program.sum_tables, weights, strict=True):
            for row, parameter in enumerate(sums.parameters):
                stored[row] = sums.choice.kernel.pack(values[parameter].to(program.device, program.dtype))
        leaves = []
        for leaf in program.leaf_tables:
            held = torch.empty(leaf.shape, dtype=program.dtype, device=program.device)
            for row, parameter in enumerate(leaf.parameters):
                held[row] = values[parameter].to(program.dtype)
            leaves.append(held)
        return cls(program, _parameters(program, flat, weights, leaves))

    @property
    def circuit(self) -> Circuit:
        return self.program.circuit

    def values(self) -> dict[Parameter, Tensor]:
        """A copy of every parameter, in the circuit's shapes."""
        out: dict[Parameter, Tensor] = {}
        for sums, stored in zip(self.program.sum_tables, self.parameters.weights, strict=True):
            for row, parameter in enumerate(sums.parameters):
                out[parameter] = sums.choice.kernel.unpack(stored[row]).reshape(parameter.shape).cpu().clone()
        for leaf, stored in zip(self.program.leaf_tables, self.parameters.leaves, strict=True):
            for row, parameter in enumerate(leaf.parameters):
                out[parameter] = stored[row].cpu().clone()
        return out

    def recompiled(self, program: Program) -> Model:
        """The same parameters under another program of the same circuit (another precision, say).

        Raises:
            CircuitError: when the program was compiled from another circuit.
        """
        if program.circuit is not self.circuit:
            raise CircuitError("the program was compiled from another circuit")
        return self._packed(program, self.values())

    def clone(self) -> Model:
        """A copy that shares no memory with this model."""
        p = self.parameters
        flat, weights = weight_storage(self.program)
        flat.copy_(p.flat)
        return Model(self.program, _parameters(self.program, flat, weights, p.leaves))

    @cached_property
    def description(self) -> str:
        """One line for people."""
        return f"{self.circuit!r} on {self.program.device}"

    def __repr__(self) -> str:
        return f"Model({self.description})"
