"""How long circuits take to build and to compile; the bar: Poon-Domingos with K = 64 compiles in at most 3 s on 2 cores.

    python tests/bench/compile_speed.py [--only pd] [--profile]

``--profile`` prints the functions that take longest in each part. Exit status 1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "kernels"), str(Path(__file__).resolve().parent / "peers")]

import shapes  # noqa: E402

import pcbench as pcb  # noqa: E402
from pcbench import structures  # noqa: E402

T = TypeVar("T")
BAR_S = 3.0
PIXELS = pcb.Variables.finite(shapes.VARIABLES, shapes.CATEGORIES)
TREE = shapes.chow_liu(shapes.pictures(4000, seed=1))


def poon_domingos() -> pcb.Circuit:
    """Every rectangle of a 7 × 7 grid of cells of 4 × 4 pixels; a sum block sees at most 8 of its splits."""
    return structures.poon_domingos(64, (28, 28), split_interval=4, max_splits=8, variables=PIXELS)


def hmm() -> pcb.Circuit:
    """A homogeneous chain of 4096 steps."""
    return structures.hmm(32, pcb.Variables.finite(4096, 256))


def hclt() -> pcb.Circuit:
    """Over a tree of 784 pixels; its mutual information is not timed."""
    return structures.hclt(latents=32, variables=PIXELS, tree=TREE)


def rat() -> pcb.Circuit:
    """A random binary tree of depth 9 over 784 pixels."""
    return structures.rat(32, variables=PIXELS, depth=9, repetitions=1)


def scalar(nodes: int = 100_000) -> pcb.Circuit:
    """Blocks of one node each, as circuits from other programs' files are: leaves, and sums over pairs of products."""
    variables = pcb.Variables.binary(1024)
    ways = nodes // (2 * len(variables))
    layer: list[list[pcb.Block]]  # alternatives over each scope
    layer = [[pcb.InputBlock(v, pcb.Bernoulli()) for _ in range(ways)] for v in variables]
    while len(layer) > 1:
        above: list[list[pcb.Block]] = []
        for left, right in zip(layer[::2], layer[1::2], strict=True):
            products = [pcb.ProductBlock([a, b]) for a, b in zip(left, right, strict=True)]
            above.append([pcb.SumBlock([p, products[i - 1]], 1) for i, p in enumerate(products)])
        layer = above
    return pcb.Circuit(pcb.SumBlock(layer[0], 1))


CASES: dict[str, Callable[[], pcb.Circuit]] = {
    "pd K=64": poon_domingos,
    "hmm T=4096 K=32": hmm,
    "hclt K=32": hclt,
    "rat K=32": rat,
    "100k one-node blocks": scalar,
}


def timed(work: Callable[[], T], profile: bool) -> tuple[T, float, float]:
    """Result, wall seconds, CPU seconds."""
    recorder = cProfile.Profile()
    wall, cpu = time.perf_counter(), time.process_time()
    result = recorder.runcall(work) if profile else work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if profile:
        pstats.Stats(recorder).sort_stats("tottime").print_stats(18)
    return result, wall, cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; seconds of wall clock (of CPU)")
    missed = False
    for name, make in CASES.items():
        if options.only not in name:
            continue
        circuit, build_s, build_cpu = timed(make, options.profile)
        program, compile_s, compile_cpu = timed(lambda circuit=circuit: pcb.compile(circuit), options.profile)
        barred = name.startswith("pd")
        missed |= barred and compile_s > BAR_S
        verdict = f"bar {BAR_S:.0f} s {'held' if compile_s <= BAR_S else 'MISSED'}" if barred else ""
        print(f"{name:22} build {build_s:5.2f} ({build_cpu:5.2f})  compile {compile_s:5.2f} ({compile_cpu:5.2f})  "
              f"{len(circuit.blocks):7,} blocks {circuit.num_nodes:8,} nodes {circuit.num_edges:11,} edges "
              f"{len(program.layers):5} layers  {verdict}", flush=True)  # fmt: skip
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
