"""Both precisions of the GPU engine beside each other, and where the time of a step goes.

``python -m tests.bench.gpu_speed [CASE …] [--batch 512] [--profile] [--sweep]``, cases as in ``pcbench bench``: correct first
(log-likelihoods of 8 rows against a float64 program on the CPU, expected counts of the fast path against the exact one),
then what ``pcbench bench`` times, the kernels of a step, and the same kernels under other tiles.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import replace
from typing import Any

import torch

import pcbench
from pcbench import Circuit, Model
from pcbench.bench import cases
from pcbench.bench.limits import ANCHOR_MS, Size
from pcbench.bench.measure import Trainer, timed
from pcbench.bench.names import DEFAULT
from pcbench.execute import expectation, forward


@functools.cache
def build(case: str) -> Circuit:
    return cases.build(case)


def check(model: Model, data: torch.Tensor, exact: pcbench.Program) -> dict[str, float]:
    """Relative errors: fast and exact log-likelihoods against float64, fast counts against exact ones."""
    few = data[:8]
    other = Model(exact, replace(model.parameters, operands=model.parameters.flat))
    truth = forward(model.recompiled(pcbench.compile(model.circuit, dtype=torch.float64)), few)
    out = {"fast": _off(forward(model, few), truth), "exact": _off(forward(other, few), truth)}
    one, _ = expectation(model, data[:67])
    two, _ = expectation(other, data[:67])
    out["counts"] = max(_off(a, b) for a, b in zip(one.weights, two.weights, strict=True))
    out["leaf counts"] = max(_off(a[:, :-1], b[:, :-1]) for a, b in zip(one.leaves, two.leaves, strict=True))
    return out


def _off(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def run(case: str, batch: int) -> dict[str, Any]:
    """Errors, then times and their ratios."""
    circuit = build(case)
    program = pcbench.compile(circuit, device="cuda")
    model = Model.create(program)
    data = cases.rows(circuit, batch).cuda()
    row: dict[str, Any] = {"case": case, "batch": batch, "unfused": program.unfused, "layers": len(program.layers)}
    errors = check(model, data, pcbench.compile(circuit, "cuda", precision="exact"))
    row.update({f"error {name}": error for name, error in errors.items()})
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    row.update(timed(Trainer(model, data), program.device, repeat=9))
    row["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    if (limit := Size.of(model).limit_ms(batch, torch.cuda.get_device_name())) is not None:
        row["over_limit"] = row["step_ms"] / limit
    if (case, batch) in ANCHOR_MS:
        row["faster"] = ANCHOR_MS[case, batch] / row["step_ms"]
    return row


#: Kernel → its function, and tiles to try: see ``pcbench_kernels.gpu.launch.TILES``.
SWEEP: dict[str, tuple[str, list[tuple[int, ...]]]] = {
    "narrow forward": (
        "narrow_sum_forward",
        [(32, 128, 256, 8, 1), (32, 256, 256, 8, 1), (16, 128, 256, 4, 1), (64, 64, 256, 8, 1), (32, 64, 256, 4, 1)],
    ),
    "narrow flow": (
        "narrow_sum_flow",
        [(32, 256, 128, 8, 1), (16, 256, 128, 4, 1), (64, 256, 64, 8, 1), (32, 256, 64, 4, 1), (64, 256, 128, 8, 1)],
    ),
    "wide forward": (
        "wide_sum_forward",
        [(128, 128, 64, 8, 3), (64, 256, 64, 8, 3), (64, 64, 64, 4, 4), (64, 128, 128, 8, 3), (128, 256, 64, 8, 3)],
    ),
    "wide flow": (
        "wide_sum_flow",
        [(128, 128, 64, 8, 3), (64, 256, 64, 8, 3), (64, 64, 64, 4, 4), (64, 128, 128, 8, 3), (128, 256, 64, 8, 3)],
    ),
    "edges": ("edge_flow", [(128, 256, 64, 8, 3), (128, 128, 64, 4, 4), (64, 128, 64, 4, 4), (64, 256, 64, 8, 3)]),
    "leaves": ("leaf_counts", [(64, 128, 64, 4, 3), (256, 128, 64, 8, 3), (64, 256, 64, 8, 3), (128, 256, 64, 8, 3)]),
}


def sweep(case: str, batch: int) -> None:
    """Time of each kernel under one tile after the other, the others at their usual one."""
    from pcbench_kernels.gpu import launch

    for kernel, (function, tiles) in SWEEP.items():
        usual = launch.TILES["fast"][kernel]
        for tile in [usual, *tiles]:
            launch.TILES["fast"][kernel] = launch.Tile(*tile)
            try:
                print(f"  {kernel} {tile}", end="")
                profile(case, batch, function)
            except Exception as error:  # too much shared memory, say
                print(f"  {type(error).__name__}")
        launch.TILES["fast"][kernel] = usual


def profile(case: str, batch: int, only: str | None = None) -> None:
    """Where the time of three steps goes."""
    circuit = build(case)
    trainer = Trainer(Model.create(pcbench.compile(circuit, device="cuda")), cases.rows(circuit, batch).cuda())
    for _ in range(3):
        trainer.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            trainer.step()
        torch.cuda.synchronize()
    rows = [e for e in seen.key_averages() if only is None or e.key == only]
    for e in sorted(rows, key=lambda e: -e.device_time_total)[:8]:
        print(f"  {e.device_time_total / 3000:8.3f} ms  {e.count / 3:6.1f} launches  {e.key[:60]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=DEFAULT["cuda"])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--profile", action="store_true", help="also print where the time of three steps goes")
    parser.add_argument("--sweep", action="store_true", help="also print the time of each kernel under other tiles")
    args = parser.parse_args()
    wrong = []
    for case in args.cases:
        for batch in args.batch or [512]:
            row = run(case, batch)
            print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}), flush=True)
            if not (row["error fast"] < 1e-4 and row["error exact"] < 1e-5):  # NaN is wrong
                wrong.append(case)
            if args.profile:
                profile(case, batch)
            if args.sweep:
                sweep(case, batch)
    if wrong:
        sys.exit(f"wrong: {wrong}")


if __name__ == "__main__":
    main()
