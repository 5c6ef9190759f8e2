"""Parameters in a program's layout, and the pair of both: a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from ..circuit import Circuit, Parameter, SumBlock, check_weights, initial_values
from ..compile import Program, compile, weight_starts
from ..errors import CircuitError, ParameterError, hinted
from .leaves import LogTables, empty_leaves, gathered_table, write_logs, write_masses


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
        gathered: for each leaf table of a fused program, ``lookups`` as its kernels read them: in float16 where matrix
            products are fast; empty where the domain is not finite.
    """

    weights: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    lookups: LogTables
    flat: Tensor
    operands: Tensor
    masses: tuple[Tensor | None, ...]
    gathered: tuple[Tensor, ...] = ()

    @classmethod
    def empty(cls, program: Program) -> Parameters:
        """Memory for the parameters of a program; what it holds are not parameters yet."""
        flat, weights = weight_storage(program)
        operands = flat if program.fused is None else torch.empty_like(flat, dtype=program.fused.operands)
        operands = flat if operands.dtype == flat.dtype else operands
        inside, logs, masses = zip(*(empty_leaves(program, t) for t in range(len(program.leaf_tables))), strict=True)
        gathered: tuple[Tensor, ...] = ()
        if program.fused is not None:
            like = torch.empty(0, dtype=program.fused.logs, device=program.device)
            gathered = tuple(gathered_table(table, like) for table in program.leaf_tables)
        lookups = LogTables(program.leaf_tables, inside, logs)
        return cls(tuple(weights), inside, lookups, flat, operands, masses, gathered)

    def again(self, program: Program) -> Parameters:
        """The same memory, for other parameters: without what was made of those that it holds."""
        logs = [self.lookups.held(t) for t in range(len(self.leaves))]
        again = replace(self, lookups=LogTables(program.leaf_tables, self.leaves, logs))
        again.__dict__["places"] = self.places
        return again

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where in memory they lie: whoever reads or writes at the same places reads or writes them."""
        return tuple(t.data_ptr() for t in (self.flat, self.operands, *self.leaves, *self.gathered))

    def tabulate(self, program: Program, table: int) -> None:
        """Fill whatever is looked up of a leaf table, from its parameters."""
        layout, leaves = program.leaf_tables[table], self.leaves[table]
        for out in (self.lookups.held(table), self.gathered[table] if self.gathered else None):
            if out is not None and layout.categories is not None:
                write_logs(layout, leaves, out)
        if (masses := self.masses[table]) is not None:
            write_masses(layout, leaves, masses)

    @cached_property
    def smallest(self) -> tuple[float, ...]:
        """The smallest weight of each sum table (0 where a pattern has holes)."""
        return tuple(float(w.amin()) for w in self.weights)

    @property
    def num_bytes(self) -> int:
        """Memory held, lookup tables included, in bytes."""
        logs = [self.lookups.held(t) for t in range(len(self.leaves))]
        held = [self.flat, self.operands, *self.leaves, *self.gathered, *(t for t in (*logs, *self.masses) if t is not None)]
        # Parameters may lie within a table of masses: each piece of memory counts once.
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}.values())


def weight_storage(program: Program, zero: bool = False) -> tuple[Tensor, list[Tensor]]:
    """One buffer for the weights of all sum tables, and its views as tables ``[P, *form]``."""
    make = torch.zeros if zero else torch.empty
    flat = make(weight_starts(program.sum_tables)[-1], dtype=program.dtype, device=program.device)
    return flat, weight_views(program, flat)


def weight_views(program: Program, flat: Tensor) -> list[Tensor]:
    """A buffer for the weights of all sum tables, as tables ``[P, *form]``."""
    starts = weight_starts(program.sum_tables)
    return [flat[a : a + prod(t.shape)].view(t.shape) for a, t in zip(starts, program.sum_tables, strict=False)]


def assembled(program: Program, weights: Sequence[Tensor], leaves: Sequence[Tensor]) -> Parameters:
    """Parameters from one tensor a table, which they copy."""
    made = Parameters.empty(program)
    for into, values in zip((*made.weights, *made.leaves), (*weights, *leaves), strict=True):
        into.copy_(values)
    made.operands.copy_(made.flat)
    for t in range(len(leaves)):
        made.tabulate(program, t)
    return made


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
        made = Parameters.empty(program)
        for sums, stored in zip(program.sum_tables, made.weights, strict=True):
            for row, parameter in enumerate(sums.parameters):
                stored[row] = sums.choice.kernel.pack(values[parameter].to(program.device, program.dtype))
        made.operands.copy_(made.flat)
        for t, (leaf, stored) in enumerate(zip(program.leaf_tables, made.leaves, strict=True)):
            for row, parameter in enumerate(leaf.parameters):
                stored[row] = values[parameter].to(program.dtype)
            made.tabulate(program, t)
        return cls(program, made)

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
        return Model(self.program, assembled(self.program, self.parameters.weights, self.parameters.leaves))

    @cached_property
    def description(self) -> str:
        """One line for people."""
        return f"{self.circuit!r} on {self.program.device}"

    def __repr__(self) -> str:
        return f"Model({self.description})"
