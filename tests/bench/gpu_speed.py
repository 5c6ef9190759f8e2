"""Training steps on a GPU: correct first, then fast. ``python -m tests.bench.gpu_speed [CASE …] [--batch 512] [--json FILE]``

For each case: log-likelihoods of a few rows against a float64 program on the CPU, expected counts of the fast path against
those of the exact one; only then the time of forward, backward and mini-batch EM (median of 9 steps after 3), peak memory,
time to the first step, and the ratio to the limit of ``14·sum parameters + 8·leaf parameters + 18·sum nodes·B + 4·leaf
nodes·B`` bytes or ``6·edges·B`` operations, whichever takes longer. PyJuice's figures are those of an H100 (PyJuice 2.6.3,
torch 2.11, 2026-11-22, the better of its two paths), not of this run.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from typing import Any

import torch

import pcbench
from pcbench import Circuit, InputBlock, Model, SumBlock, Variables, structures
from pcbench.execute import Statistics, Workspace, expectation, forward, maximise

#: (case, batch) → PyJuice's step in ms and peak memory in GB, on an H100.
PYJUICE = {
    ("rat-64", 512): (2.38, 0.38), ("rat-256", 512): (9.81, 1.53), ("rat-256", 2048): (22.4, 4.98),
    ("rat-1024", 512): (60.8, 7.05), ("rat-1024", 2048): (142.6, 20.8),
    ("hclt-64", 512): (4.59, 0.55), ("hclt-256", 512): (15.3, 2.32), ("hclt-256", 2048): (40.3, 7.33),
    ("hclt-1024", 512): (117.6, 13.0), ("hclt-1024", 2048): (350.0, 33.1),
    ("hmm-512", 512): (5.15, 0.28), ("hmm-2048", 512): (22.5, 1.15), ("hmm-2048", 2048): (79.1, 3.03),
    ("hmm-6144", 512): (157.0, 3.75), ("hmm-6144", 2048): (603.0, 9.35),
    ("pd-64", 512): (6.98, 1.19), ("pd-64", 2048): (22.6, 3.98), ("pd-256", 512): (53.0, 6.45), ("pd-256", 2048): (183.0, 17.6),
}  # fmt: skip
DEFAULT = ["rat-64", "rat-256", "hclt-64", "hclt-256", "hmm-512", "hmm-2048", "pd-64", "pd-256"]


def smooth_images(rows: int) -> torch.Tensor:
    """28×28 images of 256 grey levels in which neighbours depend on each other, so that a Chow-Liu tree is no star."""
    noise = torch.randn(rows, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(noise, (2, 2, 2, 2), mode="circular")
    blurred = torch.nn.functional.avg_pool2d(padded, 5, 1)
    return ((blurred - blurred.min()) / (blurred.max() - blurred.min()) * 255).long().reshape(rows, -1)


@functools.cache
def build(case: str) -> Circuit:
    kind, latents = case.split("-")
    k, pixels = int(latents), Variables.finite(784, 256)
    if kind == "hclt":
        return structures.hclt(smooth_images(1000), k, variables=pixels, bins=16)
    if kind == "rat":
        return structures.rat(k, depth=5, repetitions=2, variables=pixels)
    if kind == "hmm":
        return structures.hmm(k, Variables.finite(32, 33279))
    if kind == "pd":
        return structures.poon_domingos(k, (28, 28), 4, 8, variables=pixels)
    raise SystemExit(f"{case}: expected rat-K, hclt-K, hmm-K or pd-K")


def limit_ms(model: Model, batch: int) -> float:
    blocks = model.circuit.blocks
    edges = sum(
        b.edges.count(b.nodes, b.elements) if hasattr(b.edges, "count") else b.nodes * b.elements
        for b in blocks
        if isinstance(b, SumBlock)
    )
    p = model.parameters
    sums, leaves = sum(w.numel() for w in p.weights), sum(v.numel() for v in p.leaves)
    sum_nodes = sum(b.nodes for b in blocks if isinstance(b, SumBlock))
    leaf_nodes = sum(b.nodes for b in blocks if isinstance(b, InputBlock))
    traffic = 14 * sums + 8 * leaves + (18 * sum_nodes + 4 * leaf_nodes) * batch
    bandwidth = 4.3e12 if "H200" in torch.cuda.get_device_name() else 3.03e12
    return max(6 * edges * batch / 788e12, traffic / bandwidth) * 1e3


def check(model: Model, data: torch.Tensor, exact: pcbench.Program) -> dict[str, float]:
    """Relative errors: fast and exact log-likelihoods against float64, fast counts against exact ones."""
    few = data[:8]
    other = Model(exact, model.parameters)
    truth = forward(model.recompiled(pcbench.compile(model.circuit, dtype=torch.float64)), few)
    out = {"fast": _off(forward(model, few), truth), "exact": _off(forward(other, few), truth)}
    one, _ = expectation(model, data[:67])
    two, _ = expectation(other, data[:67])
    out["counts"] = max(_off(a, b) for a, b in zip(one.weights, two.weights, strict=True))
    out["leaf counts"] = max(_off(a[:, :-1], b[:, :-1]) for a, b in zip(one.leaves, two.leaves, strict=True))
    return out


def _off(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def timed(model: Model, data: torch.Tensor, steps: int = 12) -> dict[str, float]:
    space, into, spare = Workspace(), Statistics.zeros(model.program), None
    laps: dict[str, list[float]] = {"forward": [], "backward": [], "update": [], "step": []}
    start = time.perf_counter()
    first = 0.0

    def lap(name: str) -> None:
        nonlocal last
        torch.cuda.synchronize()
        now = time.perf_counter()
        laps[name].append((now - last) * 1e3)
        last = now

    for i in range(steps):
        torch.cuda.synchronize()
        begin = last = time.perf_counter()
        expectation(model, data, space, into.reset(), lap)
        new = maximise(model, into, 0.01, 0.001, spare)
        spare, model = model, new
        lap("update")
        laps["step"].append((time.perf_counter() - begin) * 1e3)
        if i == 0:
            first = time.perf_counter() - start
    return {
        "first step s": first,
        **{name: statistics.median(values[3 if steps > 6 else 1 :]) for name, values in laps.items()},
    }


def run(case: str, batch: int) -> dict[str, Any]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    circuit = build(case)
    program = pcbench.compile(circuit, device="cuda")
    model = Model.create(program)
    built = time.perf_counter() - start
    generator = torch.Generator().manual_seed(0)
    size = circuit.variables[0].domain.size
    data = torch.randint(0, size, (batch, len(circuit.variables)), generator=generator).cuda()
    row: dict[str, Any] = {"case": case, "batch": batch, "unfused": program.unfused, "layers": len(program.layers)}
    row.update({k: round(v, 4) for k, v in timed(model, data).items()})
    row["build s"] = round(built, 2)
    row["peak GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
    row.update(
        {f"error {k}": f"{v:.2e}" for k, v in check(model, data, pcbench.compile(circuit, "cuda", precision="exact")).items()}
    )
    row["limit ms"] = round(limit_ms(model, batch), 3)
    row["over limit"] = round(row["step"] / row["limit ms"], 1)
    if known := PYJUICE.get((case, batch)):
        row["PyJuice ms"], row["faster"] = known[0], round(known[0] / row["step"], 2)
        row["memory share"] = round(row["peak GB"] / known[1], 2)
    return row


#: Kernel → tiles to try: see ``pcbench_kernels.gpu.launch.TILES``.
SWEEP = {
    "forward": [(16, 64, 64, 4), (32, 64, 64, 4), (32, 128, 64, 4), (32, 256, 64, 8), (64, 128, 128, 8), (64, 64, 64, 4)],
    "downward": [(16, 64, 64, 4), (32, 64, 64, 4), (32, 128, 64, 4), (32, 128, 64, 8), (64, 64, 64, 4), (64, 128, 32, 8)],
    "edges": [(32, 64, 64, 4), (64, 64, 64, 4), (64, 128, 128, 8), (32, 128, 64, 4), (64, 128, 64, 8), (32, 64, 128, 4)],
}


def sweep(case: str, batch: int) -> None:
    """Time of each kernel under one tile after the other, the others at their usual one."""
    from pcbench_kernels.gpu import launch

    for kernel, tiles in SWEEP.items():
        usual = launch.TILES[kernel]
        for tile in [usual, *tiles]:
            launch.TILES[kernel] = tile
            try:
                print(f"  {kernel} {tile}", end="")
                profile(case, batch, {"forward": "sum_forward", "downward": "element_flow", "edges": "edge_flow"}[kernel])
            except Exception as error:  # too much shared memory, say
                print(f"  {type(error).__name__}")
        launch.TILES[kernel] = usual


def profile(case: str, batch: int, only: str | None = None) -> None:
    """Where the time of three steps goes."""
    circuit = build(case)
    model = Model.create(pcbench.compile(circuit, device="cuda"))
    size = circuit.variables[0].domain.size
    data = torch.randint(0, size, (batch, len(circuit.variables))).cuda()
    space, into = Workspace(), Statistics.zeros(model.program)

    def step() -> None:
        expectation(model, data, space, into.reset())
        maximise(model, into, 0.01, 0.001)

    for _ in range(3):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    rows = [e for e in seen.key_averages() if only is None or e.key == only]
    for e in sorted(rows, key=lambda e: -e.device_time_total)[:8]:
        print(f"  {e.device_time_total / 3000:8.3f} ms  {e.count / 3:6.1f} launches  {e.key[:60]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=DEFAULT)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--json")
    parser.add_argument("--profile", action="store_true", help="also print where the time of three steps goes")
    parser.add_argument("--sweep", action="store_true", help="also print the time of each kernel under other tiles")
    args = parser.parse_args()
    rows = []
    for case in args.cases:
        for batch in args.batch or [512]:
            row = run(case, batch)
            rows.append(row)
            print(json.dumps(row), flush=True)
            if args.profile:
                profile(case, batch)
            if args.sweep:
                sweep(case, batch)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}, file, indent=1)
    wrong = [r["case"] for r in rows if not (float(r["error fast"]) < 1e-4 and float(r["error exact"]) < 1e-5)]
    if wrong:
        sys.exit(f"wrong: {wrong}")


if __name__ == "__main__":
    main()
