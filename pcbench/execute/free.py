"""Parameters in unconstrained coordinates: what optimisers move, and how an engine's tables follow from it.

Sum weights are the softmax of one number an edge; leaves have the coordinates of their family (``Distribution.free``).
A parameter on its border, such as a weight of zero, would have an infinite coordinate. It stays there: the coordinate is
kept apart as its sign, and a finite number that nothing depends on stands in for it, which no optimiser can turn into NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pcbench_kernels.cpu.softmax import row_softmax, softmax_gradient

from ..compile import LeafTable, Program, SumTable
from ..scope import Finite
from .leaves import LogTables
from .model import Model, Parameters


def cut_limits(coordinates: Tensor) -> tuple[Tensor, Tensor | None]:
    """Coordinates with 0 in place of infinite ones, and the signs of those: ``int8``, 0 elsewhere; ``None`` without any."""
    infinite = torch.isinf(coordinates)
    if not bool(infinite.any()):
        return coordinates, None
    signs = torch.where(infinite, coordinates.sign(), 0.0).to(torch.int8)
    return coordinates.masked_fill(infinite, 0.0), signs


def with_limits(free: Tensor, limits: Tensor | None) -> Tensor:
    """The inverse of :func:`cut_limits`; differentiable, and no gradient reaches what stands in for an infinite one."""
    return free if limits is None else torch.where(limits == 0, free, limits.to(free.dtype) * torch.inf)


def free_weights(weights: Tensor) -> tuple[Tensor, Tensor | None]:
    """Coordinates of stored sum weights ``[P, *form]``, and their limits: weights of zero stay zero."""
    return cut_limits(weights.log())


def weights_of(table: SumTable, free: Tensor, limits: Tensor | None) -> Tensor:
    """Sum weights of coordinates: ``[P, *form]`` → the same shape, each node's summing to one."""
    kernel = table.choice.kernel
    return row_softmax(with_limits(free, limits), kernel.row_index(), table.pattern.nodes)


def free_leaves(table: LeafTable, leaves: Tensor) -> tuple[Tensor, Tensor | None]:
    """Coordinates ``[P, F, N]`` of leaf parameters ``[P, S, N]``, and their limits."""
    return cut_limits(table.distribution.free(leaves))


def leaf_target(table: LeafTable, free: Tensor, limits: Tensor | None) -> Tensor:
    """What the engine can say a gradient by, as a differentiable function of coordinates.

    Over a finite domain the log probabilities ``[P, C, N]``, elsewhere the parameters ``[P, S, N]``.
    """
    coordinates, family = with_limits(free, limits), table.distribution
    return (
        family.from_free(coordinates)
        if table.categories is None
        else family.free_log_table(coordinates, Finite(table.categories))
    )


def joined(trainable: Tensor | None, learnt: Tensor | None, frozen: Tensor | None) -> Tensor:
    """One table from its trainable rows and the others."""
    if frozen is None:
        assert learnt is not None
        return learnt
    if learnt is None:
        return frozen
    assert trainable is not None
    out = learnt.new_empty(len(learnt) + len(frozen), *learnt.shape[1:])
    out[trainable], out[~trainable] = learnt, frozen
    return out


def sum_gradient(table: SumTable, weights: Tensor, flows: Tensor) -> Tensor:
    """Gradient by coordinates of the trainable rows, from weights and edge flows ``[P, *form]`` of all rows."""
    rows = table.trainable
    if rows is not None:
        weights, flows = weights[rows], flows[rows]
    return softmax_gradient(weights, flows, table.choice.kernel.row_index(), table.pattern.nodes)


def assemble(
    program: Program,
    weights: Sequence[Tensor],
    leaves: Sequence[Tensor],
    logs: Sequence[Tensor | None] | None = None,
    recycle: Model | None = None,
) -> Parameters:
    """Parameters from one tensor a table; they share no memory with these.

    Args:
        program: whose tables they are.
        weights, leaves: as :class:`Parameters` holds them.
        logs: log probabilities ``[P, C, N]`` of leaf tables over a finite domain; computed from ``leaves`` where left out.
        recycle: a model of the same program that nobody needs any more; its memory is used.
    """
    made = Parameters.empty(program) if recycle is None else recycle.parameters.again(program)
    for into, values in zip((*made.weights, *made.leaves), (*weights, *leaves), strict=True):
        into.copy_(values)
    made.operands.copy_(made.flat)
    for t in range(len(program.leaf_tables)):
        made.tabulate(program, t)
    if logs is None:
        return made
    # The last row is « missing »: log 1.
    known = [None if table is None else torch.nn.functional.pad(table, (0, 0, 0, 1)) for table in logs]
    return replace(made, lookups=LogTables(program.leaf_tables, made.leaves, known))
