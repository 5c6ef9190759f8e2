"""The compiler: passes from a circuit to a checked Program."""

from __future__ import annotations

import torch

from ..circuit import Circuit
from ..collector import collector_paused
from ..errors import CircuitError, OptionError, hinted
from .check import check
from .group import Grouping
from .lower import lower
from .program import Program


@hinted
@collector_paused
def compile(
    circuit: Circuit, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, tile: int = 32
) -> Program:
    """Compile a circuit: lower (fuse products and leaves), group (layers of one shape), choose kernels, check.

    Args:
        circuit: a smooth and decomposable circuit.
        device: ``"cpu"``.
        dtype: ``torch.float32`` or ``torch.float64``.
        tile: block size in which occupancy and padding are reported, a power of two.

    Raises:
        CircuitError: when the circuit was built with ``checked=False``.
        OptionError: for a device or dtype there is no kernel for.
    """
    if not circuit.checked:
        raise CircuitError("this circuit was built with checked=False; only smooth, decomposable circuits can be compiled")
    name = str(device)
    if name != "cpu":
        raise OptionError(f"device {name!r}: this version has kernels for 'cpu' only")
    device = torch.device(name)
    if dtype not in (torch.float32, torch.float64):
        raise OptionError(f"dtype {dtype}: expected torch.float32 or torch.float64")
    if tile < 1 or tile & (tile - 1):
        raise OptionError(f"tile must be a power of two, got {tile}")
    grouping = Grouping(circuit, lower(circuit))
    program = Program(
        circuit,
        device,
        dtype,
        tile,
        grouping.layers,
        grouping.sum_tables,
        grouping.leaf_tables,
        grouping.value_rows,
        grouping.element_rows,
        grouping.num_units,
        grouping.address,
        grouping.term_of,
        grouping.leaf_use,
    )
    check(program)
    return program
