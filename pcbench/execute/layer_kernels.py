"""What Triton compiles for one layer of a circuit.

``python -m pcbench.execute.layer_kernels FILE LAYER TARGET PRECISION BATCH``

Prints a JSON line with the number of kernels, a line for each as it is done, and no more; a line with ``error`` says why
there are none. A program of its own: recorded launches, and Triton's interpreter, concern a whole process.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..compile import SumLayer
from ..compile.gpu_plan import GpuPlan, gpu_plan
from ..errors import OptionError, PCBenchError
from .files import load
from .model import Model

if TYPE_CHECKING:
    from pcbench_kernels.fused import FusedEdges, FusedLayer
    from pcbench_kernels.gpu.recorded import Launch
    from pcbench_kernels.gpu.report import KernelReport

TARGETS = {80: "A100", 90: "H100", 100: "B200"}
"""Compute capability → the GPU whose data sheet is meant."""


@dataclass(frozen=True)
class Chip:
    """Data sheet of a GPU.

    Attributes:
        bf16, tf32: dense FLOP/s.
        memory: bytes/s.
        registers, shared, warps: of a multiprocessor: registers of 32 bits, bytes of shared memory, most warps.
    """

    bf16: float
    tf32: float
    memory: float
    registers: int
    shared: int
    warps: int


CHIPS = {
    80: Chip(312e12, 156e12, 2.04e12, 65536, 164 << 10, 64),
    90: Chip(989e12, 494e12, 3.35e12, 65536, 228 << 10, 64),
    100: Chip(2250e12, 1125e12, 8.0e12, 65536, 228 << 10, 64),
}


def layer_launches(plan: GpuPlan, layer: int, precision: str, capability: int, batch: int) -> list[tuple[str, Launch]]:
    """(pass, launch) of a training step for one layer, each kernel once. Empty where its parents do its work."""
    from pcbench_kernels.gpu import Update, count_edges, down, learn_edges, up
    from pcbench_kernels.gpu.recorded import recording, stand_in

    fused = plan.fused
    assert fused is not None
    launches, edges = _of_layer(plan, layer)
    p = stand_in(batch, fused.operands, fused.logs, precision, fused.lookup_types)
    single = torch.empty(16, device="meta")
    rounded = None if precision == "exact" else p.operands
    told = Update(single, p.suspect, p.suspect, 1e-30)
    out: list[tuple[str, Launch]] = []
    with recording(capability) as found:
        for held in launches:
            up.value_of(p, held)
        out += [("upward", launch) for launch in found]
        found.clear()
        for held in launches:
            down.flow_through(p, held)
        out += [("downward", launch) for launch in found]
        found.clear()
        for counted in edges:
            if counted.learns:
                learn_edges(p, counted, single, rounded, told)
            else:
                count_edges(p, counted, single, 0, True)
        out += [("expected counts" if not all(e.learns for e in edges) else "counts and update", launch) for launch in found]
    seen: dict[Any, tuple[str, Launch]] = {}
    for name, launch in out:
        seen.setdefault(launch.key, (name, launch))
    return list(seen.values())


def _of_layer(plan: GpuPlan, layer: int) -> tuple[list[FusedLayer], list[FusedEdges]]:
    """The launches that hold the layer's blocks; they may hold those of other layers of one shape, too."""
    assert plan.fused is not None
    found = plan.layers[layer]
    first = found.unit
    units = range(first, first + len(found.blocks))  # type: ignore[attr-defined]  # every kind of layer has blocks
    launches = [held for held in plan.fused.layers if any(u in units for u in held.units_at.tolist())]
    if not isinstance(found, SumLayer):
        return launches, []
    nodes = {
        node
        for held in launches
        for node, unit in zip(held.nodes_at.tolist(), held.units_at.tolist(), strict=True)
        if unit in units
    }
    return launches, [edges for edges in plan.fused.edges if nodes & set(edges.nodes_at.tolist())]


def bound(launch: Launch, report: KernelReport, capability: int) -> tuple[int, str]:
    """Warps of a multiprocessor at a time, and what keeps it from more."""
    chip = CHIPS[capability]
    by_registers = chip.registers // (32 * max(8, -(-report.registers // 8) * 8)) // report.warps * report.warps
    by_shared = chip.shared // (report.shared_bytes + 1024) * report.warps if report.shared_bytes else chip.warps
    warps = min(by_registers, by_shared, chip.warps)
    if warps == chip.warps:
        return warps, "nothing: all warps fit"
    return warps, "registers" if by_registers <= by_shared else "shared memory"


def roofline(plan: GpuPlan, layer: int, precision: str, capability: int, batch: int) -> dict[str, Any] | None:
    """The least time of a training step's matrix products of a sum layer, by the data sheet; ``None`` for other layers."""
    found, chip = plan.layers[layer], CHIPS[capability]
    if not isinstance(found, SumLayer):
        return None
    groups, cells = len(found.blocks), found.nodes * found.elements
    flops = 6.0 * groups * cells * batch  # upward, downward and counts: a multiply and an add each
    peak = chip.bf16 if precision == "fast" else chip.tf32 / 3
    size = 2 if precision == "fast" else 4
    # Weights are read by two passes and written once with their counts; values and flows once a pass and node.
    traffic = groups * cells * (2 * size + 8) + groups * batch * (2 * found.nodes + 2 * found.elements) * size
    compute, memory = flops / peak, traffic / chip.memory
    return {
        "compute_us": 1e6 * compute,
        "memory_us": 1e6 * memory,
        "by": "arithmetic" if compute > memory else "memory",
        "intensity": flops / traffic,
        "balance": peak / chip.memory,
    }


def main(arguments: list[str]) -> None:
    path, layer, capability, precision, batch = arguments[0], *map(int, arguments[1:3]), arguments[3], int(arguments[4])
    try:
        if capability not in CHIPS:
            raise OptionError(f"target sm_{capability}: expected one of {', '.join(f'sm_{c}' for c in CHIPS)}")
        loaded = load(path)
        circuit = loaded.circuit if isinstance(loaded, Model) else loaded
        plan = gpu_plan(circuit, precision)
        if plan.fused is None:
            raise OptionError(f"PyTorch's kernels run this program, and Triton compiles nothing for it: {plan.reason}")
        launches = layer_launches(plan, layer, precision, capability, batch)
        limit = roofline(plan, layer, precision, capability, batch)
        _say({"total": len(launches), "roofline": limit, "gpu": TARGETS[capability]})
        for name, launch in launches:
            report = launch.report(capability)
            warps, by = bound(launch, report, capability)
            told = {"pass": name, "kernel": launch.kernel.__name__, "programs": launch.programs}
            _say({**told, **report.as_dict(), "resident_warps": warps, "most_warps": CHIPS[capability].warps, "limited_by": by})
    except (PCBenchError, ModuleNotFoundError) as error:
        _say({"error": str(error)})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
