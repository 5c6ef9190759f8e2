"""Compiles what training launches for a named GPU, on a machine without one: ``python -m tests.gpu.compiled 90 fast``.

Prints one JSON line, kernel → reports. Run as a program of its own: the tests beside it put Triton in interpreter mode, which
lasts as long as its process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from triton.runtime.jit import JITFunction

import pcbench
from pcbench import Circuit, Variables, structures
from pcbench.compile.fuse import Fused, fuse
from pcbench_kernels.gpu import Pass, Samples, Update, down, leafwise, tiles, up, update
from pcbench_kernels.gpu.report import kernel_report

BATCH = 512
TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float64: "*fp64",
         torch.int64: "*i64", torch.int32: "*i32", torch.bool: "*i1"}  # fmt: skip
#: Between them they launch everything: blocks of one term and of several, small and large, weights of their own and shared.
CIRCUITS: dict[str, Circuit] = {
    "hclt": structures.hclt(latents=256, variables=Variables.finite(4, 256), tree=[-1, 0, 1, 2]),
    "pd": structures.poon_domingos(latents=64, shape=(4, 4), split_interval=1, variables=Variables.finite(16, 16)),
    "hmm": structures.hmm(latents=1024, variables=Variables.finite(3, 512)),
}


class Recorded:
    """Stands in for a kernel: a launch is written down and not done."""

    def __init__(self, kernel: Any, launches: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        self._kernel, self._launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *arguments, **options: self._launches.append((self._kernel, arguments, options))


def launches(circuit: Circuit, precision: str, capability: int) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """What one step of training launches."""
    found: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
    kernels = [(m, n, k) for m in (up, down, update, leafwise) for n, k in vars(m).items() if isinstance(k, JITFunction)]
    early = tiles._starts_early
    try:
        for module, name, kernel in kernels:
            setattr(module, name, Recorded(kernel, found))
        tiles._starts_early = lambda device: capability >= 90  # type: ignore[assignment]
        program = pcbench.compile(circuit)
        tables = (program.layers, program.sum_tables, program.leaf_tables)
        plan = fuse(*tables, program.num_units, precision, program.device, len(circuit.variables))
        _step(plan)
    finally:
        tiles._starts_early = early
        for module, name, kernel in kernels:
            setattr(module, name, kernel)
    return found


def _step(plan: Fused) -> None:
    def some(kind: torch.dtype) -> torch.Tensor:
        return torch.empty(16, dtype=kind, device="meta")

    single, flag = some(torch.float32), some(torch.int32)
    operands, logs = some(plan.operands), some(plan.logs)
    lookups, codes = (logs,) * len(plan.leaves), (flag,) * len(plan.leaves)
    seeds = torch.empty(BATCH, 1, device="meta")
    p = Pass(
        BATCH, logs, operands, operands, logs, some(torch.float64), seeds, single, operands, lookups, codes, flag, True,
        plan.precision,
    )  # fmt: skip
    told = Update(single, flag, 1e-30)
    for layer in plan.layers:
        up.value_of(p, layer)
    for layer in reversed(plan.layers):
        down.flow_through(p, layer)
    for edges in plan.edges:
        if edges.learns:
            update.learn_edges(p, edges, single, None if plan.precision == "exact" else operands, told)
        else:
            down.count_edges(p, edges, single, 0, True)
    for rows in plan.late_rows:
        update.maximise_sums(single, single, 0, rows, single, None if plan.precision == "exact" else operands, told)
    for leaves in plan.leaves:
        samples = Samples(some(torch.int64), flag, single, leafwise.parts_of(leaves, BATCH))
        if leaves.most * BATCH <= leafwise.SORTED:
            leafwise.sort(p, leaves, samples)
        leafwise.add_up(p, leaves, samples)
        leafwise.count_categories(p, leaves, samples, single, True)
        leafwise.learn_categories(p, leaves, samples, single, single, logs, told)


def compiled(kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any], capability: int) -> dict[str, Any]:
    """A launch as Triton would compile it there: sizes that are 1 are constants, those that 16 divides are known to be."""
    given = {**dict(zip(kernel.arg_names, arguments, strict=False)), **options}
    signature, constants, aligned = {}, {}, []
    for place, name in enumerate(kernel.arg_names):
        value = given[name]
        if kernel.params[place].is_constexpr or value is None or (isinstance(value, int) and value == 1):
            constants[name] = value
        elif isinstance(value, torch.Tensor):
            signature[name] = TYPES[value.dtype]
            aligned.append(name)
        elif isinstance(value, int):
            signature[name] = "i32"
            aligned += [name] if value % 16 == 0 else []
        else:
            signature[name] = "fp32"
    more = {name: options[name] for name in ("num_warps", "num_stages", "maxnreg") if name in options}
    report = kernel_report(kernel, signature, constants, capability, aligned=aligned, **more)
    return report.as_dict()


def main() -> None:
    capability, precision = int(sys.argv[1]), sys.argv[2]
    seen, reports = set(), {}
    for circuit in CIRCUITS.values():
        for kernel, arguments, options in launches(circuit, precision, capability):
            large = (kernel.__name__, options.get("BN", options.get("BM", 0)) >= 32)
            if large not in seen:  # one of each kernel, with small and with large tiles, is what a test has time for
                seen.add(large)
                reports.setdefault(kernel.__name__, []).append(compiled(kernel, arguments, options, capability))
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
