"""Both precisions of the GPU engine beside each other, where the time of a step goes, and what other settings would make of it.

``python -m tests.bench.gpu_speed [CASE …] [--batch 512] [--profile] [--vary tiles.ELEMENTS=4096 …]``, cases as in
``pcbench bench``. Correct first: log-likelihoods of 8 rows against a float64 program on the CPU, expected counts and parameters
after a step of the fast path against the exact one. Then what ``pcbench bench`` times, the kernels of a step, and whole steps
under other settings: constants of ``tiles``, ``leaves``, ``blocks`` or ``fuse`` (pcbench_kernels.gpu.tiles and .leafwise,
pcbench.compile.fuse_…), or ``tile.KERNEL=ROWS,COLUMNS,INNER,WARPS,STAGES``; several at once with a ``+`` between them.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch

import pcbench
from pcbench import Circuit, Model
from pcbench.bench import cases
from pcbench.bench.limits import ANCHOR_MS, Size
from pcbench.bench.measure import Trainer, timed
from pcbench.bench.names import DEFAULT
from pcbench.compile import fuse, fuse_blocks
from pcbench.execute import Statistics, em_step, expectation, forward


@functools.cache
def build(case: str) -> Circuit:
    return cases.build(case)


def check(model: Model, data: torch.Tensor, exact: pcbench.Program) -> dict[str, float]:
    """Relative errors: log-likelihoods against float64, the fast path's counts and new parameters against exact ones."""
    few, some = data[:8], data[:67]
    other = model.recompiled(exact)
    truth = forward(model.recompiled(pcbench.compile(model.circuit, dtype=torch.float64)), few)
    out = {"fast": _off([forward(model, few)], [truth]), "exact": _off([forward(other, few)], [truth])}
    one, _ = expectation(model, some)
    two, _ = expectation(other, some)
    out["counts"] = _off(_counts(one), _counts(two))
    del one, two
    one_new, two_new = (em_step(m, some, 1.0, 0.001).model.parameters for m in (model, other))
    out["weights"], out["leaves"] = _off(one_new.weights, two_new.weights), _off(one_new.leaves, two_new.leaves)
    return out


def _counts(statistics: Statistics) -> list[torch.Tensor]:
    """Expected counts of the sum tables, then of the leaf tables (of finite ones the last row, « missing », is unused)."""
    leaves = zip(statistics.leaves, statistics.program.leaf_tables, strict=True)
    return [*statistics.weights, *(found if table.categories is None else found[:, :-1] for found, table in leaves)]


def _off(got: Any, expected: Any) -> float:
    return max(float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(got, expected, strict=True))


def run(case: str, batch: int) -> dict[str, Any]:
    """Errors, then times and their ratios."""
    circuit = build(case)
    program = pcbench.compile(circuit, device="cuda")
    model = Model.create(program)
    data = cases.rows(circuit, batch).cuda()
    row: dict[str, Any] = {"case": case, "batch": batch, "unfused": program.unfused}
    if program.fused is not None:
        row["launches"] = len(program.fused.layers)
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


def vary(case: str, batch: int, setting: str) -> None:
    """Time of a step under other settings."""
    with ExitStack() as usual:
        for part in setting.split("+"):
            _set(part, usual)
        try:
            circuit = build(case)
            model = Model.create(pcbench.compile(circuit, device="cuda"))
            row = timed(Trainer(model, cases.rows(circuit, batch).cuda()), model.program.device, repeat=9)
            print("  ", setting, {k: float(f"{v:.4g}") for k, v in row.items()}, flush=True)
        except Exception as error:  # too much shared memory, say
            print("  ", setting, f"{type(error).__name__}: {str(error)[:100]}", flush=True)


def _set(setting: str, until: ExitStack) -> None:
    from pcbench_kernels.gpu import chain, down, leafwise, tiles, up, update

    place, value = setting.split("=")
    room, name = place.split(".", 1)
    if room == "tile":
        until.enter_context(patch.dict(tiles.TILES["fast"], {name: tiles.Tile(*map(int, value.split(",")))}))
        return
    rooms = {
        "tiles": (tiles, chain, up, down, update, leafwise),
        "leaves": (leafwise,),
        "blocks": (fuse_blocks,),
        "fuse": (fuse,),
    }
    for module in rooms[room]:
        if hasattr(module, name):
            until.enter_context(patch.object(module, name, int(value)))


def profile(case: str, batch: int) -> None:
    """Where the time of three steps goes."""
    circuit = build(case)
    trainer = Trainer(Model.create(pcbench.compile(circuit, device="cuda")), cases.rows(circuit, batch).cuda())
    for _ in range(6):
        trainer.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            trainer.step()
        torch.cuda.synchronize()
    for e in sorted(seen.key_averages(), key=lambda e: -e.device_time_total)[:9]:
        print(f"  {e.device_time_total / 3000:8.3f} ms  {e.count / 3:6.1f} launches  {e.key[:60]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=DEFAULT["cuda"])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--profile", action="store_true", help="also print where the time of three steps goes")
    parser.add_argument("--vary", action="append", default=[], help="also time steps under another setting; repeatable")
    args = parser.parse_args()
    wrong = []
    for case in args.cases:
        for batch in args.batch or [512]:
            row = run(case, batch)
            print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}), flush=True)
            if not (row["error fast"] < 1e-4 and row["error exact"] < 1e-5 and row["error weights"] < 1e-2):  # NaN is wrong
                wrong.append(case)
            if args.profile:
                profile(case, batch)
            for setting in args.vary:
                vary(case, batch, setting)
    if wrong:
        sys.exit(f"wrong: {wrong}")


if __name__ == "__main__":
    main()
