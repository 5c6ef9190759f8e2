"""First values for parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from .blocks import BlockSparse, Dense, InputBlock, Parameter, ProductBlock, SumBlock, SumEdges, row_sums
from .circuit import Circuit


def initial_values(
    circuit: Circuit, seed: int = 0, data: Tensor | None = None, dtype: torch.dtype = torch.float64
) -> dict[Parameter, Tensor]:
    """A value for every parameter: the user's where given, otherwise random.

    Args:
        circuit: the circuit.
        seed: of the random numbers; the same seed gives the same values on every device.
        data: ``[B, variables]``; where given, leaves start at the location and scale of their column.
        dtype: of the sum weights; the random draws are the same in each.

    Returns:
        One tensor per distinct parameter, normalised; leaves in float64.
    """
    generator = torch.Generator().manual_seed(seed)
    values: dict[Parameter, Tensor] = {}
    for block in circuit.blocks:
        if isinstance(block, ProductBlock) or block.parameter in values:
            continue
        parameter = block.parameter
        if parameter.value is not None:
            values[parameter] = parameter.value
        elif isinstance(block, InputBlock):
            column = data[:, block.variable.index] if data is not None else None
            values[parameter] = block.distribution.initial(block.nodes, generator, column)
        else:
            values[parameter] = _random_weights(block, generator, dtype)
    return values


def _random_weights(block: SumBlock, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    # Uniform on [0.05, 1.05): far enough from zero that no edge starts dead, uneven enough that nodes differ.
    raw = torch.rand(block.parameter.shape, generator=generator).to(dtype).add_(0.05)
    total = row_sums(raw, block.edges, block.nodes)
    return raw.div_(_spread(total.to(dtype), block.edges))


def _spread(total: Tensor, edges: SumEdges) -> Tensor:
    """Row totals ``[N]`` brought to the shape in which the weights are stored."""
    if isinstance(edges, Dense):
        return total[:, None]
    if isinstance(edges, BlockSparse):
        return total.view(-1, edges.tile)[edges.rows][:, :, None]
    return total[edges.rows]
