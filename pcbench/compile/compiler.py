"""The compiler: passes from a circuit to a checked Program."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import torch

from ..circuit import Circuit
from ..collector import collector_paused
from ..errors import CircuitError, OptionError, hinted
from .check import check
from .fuse import fuse, why_not_fused
from .group import Grouping
from .lower import lower
from .program import Program
from .relocate import relocate


@hinted
@collector_paused
def compile(
    circuit: Circuit,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    tile: int = 32,
    precision: str = "fast",
) -> Program:
    """Compile a circuit: lower (fuse products and leaves), group (layers of one shape), choose kernels, check.

    Args:
        circuit: a smooth and decomposable circuit.
        device: ``"cpu"`` or ``"cuda"`` (``"cuda:1"``, …).
        dtype: ``torch.float32`` or ``torch.float64``.
        tile: block size in which occupancy and padding are reported, a power of two.
        precision: of the GPU's matrix products in training and likelihoods. ``"fast"``: bfloat16 operands, float32 sums
            (about 1e-5 relative on log-likelihoods of images); ``"exact"``: float32 operands in three TF32 products. The
            CPU, and float64 programs, are always exact.

    Raises:
        CircuitError: when the circuit was built with ``checked=False``.
        OptionError: for a device or dtype there is no kernel for.
    """
    if not circuit.checked:
        raise CircuitError("this circuit was built with checked=False; only smooth, decomposable circuits can be compiled")
    device = _device(device)
    if precision not in ("fast", "exact"):
        raise OptionError(f"precision {precision!r}: expected 'fast' or 'exact'")
    if dtype not in (torch.float32, torch.float64):
        raise OptionError(f"dtype {dtype}: expected torch.float32 or torch.float64")
    if tile < 1 or tile & (tile - 1):
        raise OptionError(f"tile must be a power of two, got {tile}")
    grouping = Grouping(circuit, lower(circuit), device.type)
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
    return program if device.type == "cpu" else _on_gpu(program, precision)


def _device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device {device!r}: expected 'cpu' or 'cuda'") from error
    if found.type == "cpu":
        return torch.device("cpu")
    if found.type != "cuda":
        raise OptionError(f"device {str(device)!r}: there are kernels for 'cpu' and 'cuda'")
    if not torch.cuda.is_available():
        raise OptionError(f"device {str(device)!r}: this PyTorch ({torch.__version__}) sees no CUDA GPU")
    index = found.index if ":" in str(found) else torch.cuda.current_device()
    if index >= torch.cuda.device_count():
        raise OptionError(f"device {str(device)!r}: there are {torch.cuda.device_count()} GPUs")
    return torch.device("cuda", index)


def _on_gpu(program: Program, precision: str) -> Program:
    """The same program with its index tensors on the GPU, and its layers fused where the kernels allow it."""
    reason = "" if program.dtype == torch.float32 else "float64 programs run exactly, by PyTorch's own kernels"
    if not reason and importlib.util.find_spec("triton") is None:
        reason = "Triton is not installed"
    reason = reason or why_not_fused(program.layers, program.sum_tables) or ""
    fused = None
    if not reason:
        seen = {v for t in program.leaf_tables for v in t.variables.tolist()}
        columns = len(program.circuit.variables)
        known = columns if len(seen) == columns else -1
        tables = (program.layers, program.sum_tables, program.leaf_tables)
        fused = fuse(*tables, program.num_units, precision, program.device, known)
    with torch.device(program.device):
        return replace(
            program,
            layers=relocate(program.layers, program.device),
            sum_tables=relocate(program.sum_tables, program.device),
            leaf_tables=relocate(program.leaf_tables, program.device),
            fused=fused,
            unfused=reason,
        )
