"""The same circuit compiled in other ways: what another block size or precision would change."""

from __future__ import annotations

from typing import Any

import torch

import pcbench
from pcbench import Program
from pcbench.errors import OptionError

TILES = (16, 32, 64)
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_TOTALS = ("layers", "edges", "tiles", "flops", "parameter_bytes", "value_bytes", "padding", "tile_padding")


def choices(program: Program) -> dict[str, Any]:
    """What can be chosen for a comparison, and what the program on the screen has."""
    gpu = program.device.type == "cuda"
    precisions = ["float32", "float64"] if not gpu else ["fast", "exact", "float64"]
    return {"tiles": sorted({*TILES, program.tile}), "precisions": precisions, "tile": program.tile, "precision": _of(program)}


def _of(program: Program) -> str:
    return program.fused.precision if program.fused is not None else str(program.dtype)[6:]


def compiled(program: Program, tile: int, precision: str) -> Program:
    """The program's circuit, compiled with another block size and precision.

    Raises:
        OptionError: for a precision that is none of float32, float64, fast and exact.
    """
    if precision in ("fast", "exact"):
        return pcbench.compile(program.circuit, device=program.device, tile=tile, precision=precision)
    if precision not in _DTYPES:
        raise OptionError(f"precision {precision!r}: expected one of {', '.join([*_DTYPES, 'fast', 'exact'])}")
    return pcbench.compile(program.circuit, device=program.device, dtype=_DTYPES[precision], tile=tile)


def summary(program: Program) -> dict[str, Any]:
    """Totals and layers of a program, as far as they are compared."""
    described = program.describe()
    keys = ("index", "kind", "kernel", "edges", "tiles", "padding", "tile_padding", "parameter_bytes", "value_bytes", "flops")
    return {
        "tile": program.tile,
        "precision": _of(program),
        "totals": {key: described["totals"][key] for key in _TOTALS},
        "layers": [{key: layer[key] for key in keys} | _eligible(layer) for layer in described["layers"]],
    }


def _eligible(layer: dict[str, Any]) -> dict[str, Any]:
    return {"tensor_cores": layer["tensor_cores"]["eligible"]}
