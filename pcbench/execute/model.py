"""Parameters in a program's layout, and the pair of both: a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from ..circuit import Circuit, Parameter, SumBlock, check_weights, initial_values
from ..compile import LeafTable, Program, compile, weight_starts
from ..errors import CircuitError, ParameterError, hinted
from ..scope import Finite


@dataclass(frozen=True, eq=False)
class Parameters:
    """All parameters of a program. Never written after they are made.

    Attributes:
        weights: one tensor ``[P, *form]`` for each sum table, linear domain.
        leaves: one tensor ``[P, S, N]`` for each leaf table.
        flat: all weights in one buffer, of which ``weights`` are views, in the order of :func:`weight_starts`.
        operands: ``flat`` as fused matrix products read it: in bfloat16 where they are fast, otherwise ``flat`` itself.
        lookups: for each leaf table over a finite domain, log probabilities ``[P, C+1, N]``; the last row is 0: « missing ».
            In float16 where fused matrix products are fast; :func:`with_exact_lookups` has them in the program's precision.
    """

    weights: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    lookups: tuple[Tensor | None, ...]
    flat: Tensor
    operands: Tensor

    @cached_property
    def smallest(self) -> tuple[float, ...]:
        """The smallest weight of each sum table (0 where a pattern has holes)."""
        return tuple(float(w.amin()) for w in self.weights)

    @property
    def num_bytes(self) -> int:
        """Memory held, lookup tables included, in bytes."""
        held = [*self.weights, *self.leaves, *(t for t in self.lookups if t is not None)]
        held += [] if self.operands is self.flat else [self.operands]
        return sum(t.numel() * t.element_size() for t in held)


def weight_storage(program: Program, zero: bool = False) -> tuple[Tensor, list[Tensor]]:
    """One buffer for the weights of all sum tables, and its views as tables ``[P, *form]``."""
    starts = weight_starts(program.sum_tables)
    make = torch.zeros if zero else torch.empty
    flat = make(starts[-1], dtype=program.dtype, device=program.device)
    return flat, [flat[a : a + prod(t.shape)].view(t.shape) for a, t in zip(starts, program.sum_tables, strict=False)]


def operands_of(program: Program, flat: Tensor) -> Tensor:
    """What fused matrix products read: see :class:`Parameters`."""
    return flat if program.fused is None else flat.to(program.fused.operands)


def lookup_table(
    table: LeafTable, leaves: Tensor, out: Tensor | None = None, dtype: torch.dtype | None = None
) -> Tensor | None:
    """The log probabilities ``[P, C+1, N]`` of a leaf table, or ``None`` when its leaves are not looked up."""
    if table.categories is None:
        return None
    if out is None:
        out = leaves.new_empty(len(leaves), table.categories + 1, table.nodes, dtype=dtype)
    out[:, :-1] = table.distribution.log_table(leaves, Finite(table.categories))
    out[:, -1] = 0
    return out


def lookups_of(program: Program, leaves: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Lookup tables of all leaf tables, as the program's passes read them."""
    dtype = program.dtype if program.fused is None else program.fused.logs
    return tuple(lookup_table(t, v, dtype=dtype) for t, v in zip(program.leaf_tables, leaves, strict=True))


def with_exact_lookups(program: Program, parameters: Parameters) -> Parameters:
    """The same parameters, with lookup tables in the precision of the program."""
    if all(t is None or t.dtype == program.dtype for t in parameters.lookups):
        return parameters
    exact = tuple(lookup_table(t, v) for t, v in zip(program.leaf_tables, parameters.leaves, strict=True))
    return replace(parameters, lookups=exact)


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
            stored = torch.empty(leaf.shape, dtype=program.dtype, device=program.device)
            for row, parameter in enumerate(leaf.parameters):
                stored[row] = values[parameter].to(program.dtype)
            leaves.append(stored)
        return cls(
            program,
            Parameters(tuple(weights), tuple(leaves), lookups_of(program, leaves), flat, operands_of(program, flat)),
        )

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
        lookups = tuple(None if t is None else t.clone() for t in p.lookups)
        leaves = tuple(v.clone() for v in p.leaves)
        return Model(self.program, Parameters(tuple(weights), leaves, lookups, flat, operands_of(self.program, flat)))

    def blank(self) -> Model:
        """Memory for a model of the same program; what it holds is not a model yet."""
        p = self.parameters
        flat, weights = weight_storage(self.program)
        lookups = tuple(None if t is None else torch.empty_like(t) for t in p.lookups)
        operands = flat if p.operands.dtype == flat.dtype else torch.empty_like(p.operands)
        leaves = tuple(torch.empty_like(v) for v in p.leaves)
        return Model(self.program, Parameters(tuple(weights), leaves, lookups, flat, operands))

    @cached_property
    def description(self) -> str:
        """One line for people."""
        return f"{self.circuit!r} on {self.program.device}"

    def __repr__(self) -> str:
        return f"Model({self.description})"
