"""CPU training step against cirkit 0.3.0 and SPFlow 1.1.0, side by side: milliseconds, memory, and whether the bars hold.

    python -m venv .peers && .peers/bin/pip install -r tests/bench/peers-requirements.txt
    python tests/bench/cpu_speed.py                          # about ten minutes; --model, --nodes and --rounds shorten it

784 variables of 256 categories, 512 rows; forward, backward and update. Two circuits: "rat" (cirkit's random binary tree
of depth 9, one repetition; SPFlow draws regions of its own, same counts) and "hclt" (one Chow-Liu tree for all; SPFlow
also puts sums above tree leaves). The bars: 4 times the faster peer on rat, 8 times on hclt, and less peak memory than
either.

Each contestant is a process of its own, once with glibc's allocator as it comes and once told to keep big blocks
(``MALLOC_MMAP_THRESHOLD_``), which alone changes some peers several-fold. They take turns, round after round, so that a
machine that drifts drifts for all. Ours counts as it comes ("default"); of a peer the best of both settings counts.
Before anything is timed, our log-likelihoods are compared with an independent float64 evaluation of the same circuit.
A peer that is several times slower than the fastest one is timed in one round only, or by its first step.
Exit status: 1 when a bar is missed, 2 when there was no peer to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE / "peers"))

import shapes  # noqa: E402  (lies beside the contestants, which run in other interpreters)

BATCH = 512
BARS = {"rat": 4.0, "hclt": 8.0}
ALLOCATORS = {
    "default": {},
    "big blocks": {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)},
}
#: A peer this many times slower than the fastest is timed in one round only.
SLOW = 3.0
#: One this many times slower is not tried under the other allocator: its first step stands for it.
HOPELESS = 10.0


@dataclass
class Contestant:
    """One library under one allocator setting: its process, and what it has answered so far."""

    library: str
    allocator: str
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    peak_mb: float = 0.0
    failure: str | None = None
    rounds: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)
    errors: IO[str] | None = field(default=None, repr=False)

    def start(self, python: str, script: Path, config: dict[str, Any]) -> None:
        """Build and take one untimed step."""
        environment = {**os.environ, **ALLOCATORS[self.allocator], "OMP_NUM_THREADS": str(config["threads"])}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), str(script.parent)])
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (lives as long as the process)
        self.process = subprocess.Popen(
            [python, str(script), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            text=True,
        )
        self.facts = self._answer()

    def step(self, seconds: float, most: int) -> None:
        """One round."""
        if self.process is None or self.process.stdin is None:
            return
        print(json.dumps({"seconds": seconds, "most": most}), file=self.process.stdin, flush=True)
        answer = self._answer()
        if self.failure is None:
            self.ms += answer["ms"]
            self.cpu_ms += answer["cpu_ms"]
            self.noise.append(answer["noise"])
            self.rounds += 1

    def stop(self) -> None:
        """End the process; what it measured stays."""
        if self.process is not None:
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process.wait()
            self.process = None

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.errors is not None
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                answer: dict[str, Any] = json.loads(line[len("ANSWER ") :])
                self.peak_mb = answer.pop("peak_mb")
                return answer
        self.stop()
        self.errors.seek(0)
        said = [line.strip() for line in self.errors if line.strip()]
        self.failure = said[-1][:200] if said else "ended without a word"
        return {}

    @property
    def best(self) -> float:
        """Fastest step in ms."""
        return min(self.ms, default=float("inf"))

    @property
    def median(self) -> float:
        """Median step in ms."""
        return statistics.median(self.ms) if self.ms else float("inf")


def compete(model: str, nodes: int, files: dict[str, str], options: argparse.Namespace) -> list[Contestant]:
    """All contestants on one circuit."""
    field_: list[Contestant] = []
    for library, python in {"pcbench": sys.executable, "cirkit": options.peers, "spflow": options.peers}.items():
        for allocator in ALLOCATORS:
            if not python:
                continue
            config = {"model": model, "nodes": nodes, "threads": options.threads, "memory": _memory_limit(), **files}
            entry = Contestant(library, allocator)
            field_.append(entry)
            entry.start(python, HERE / "peers" / f"{library}_step.py", config)
            print(f"  {library} ({allocator}): {entry.failure or _first(entry)}", file=sys.stderr, flush=True)
            if library == "pcbench" or entry.failure:
                continue
            rival = min((c.best for c in field_ if c.library not in ("pcbench", library)), default=float("inf"))
            if entry.facts["first_ms"] > HOPELESS * rival:
                entry.ms = [entry.facts["first_ms"]]
                entry.stop()
                break
            entry.step(options.seconds, options.steps)
            if entry.best > SLOW * rival:
                entry.stop()
    for _ in range(options.rounds):
        for entry in field_:
            entry.step(options.seconds, options.steps)
    for entry in field_:
        entry.stop()
    return field_


def _first(entry: Contestant) -> str:
    return f"built in {entry.facts['build_s']:.1f} s, first step {entry.facts['first_ms']:.0f} ms"


def _memory_limit() -> int:
    """Address space that a contestant may take, in bytes: what is free now, less 2 GB. (One peer asks for 17 GB.)"""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 1 << 40
    return max(4 << 30, free - (2 << 30))


def verdict(model: str, nodes: int, field_: list[Contestant]) -> dict[str, Any]:
    """One line of the table."""
    ours = next(c for c in field_ if c.library == "pcbench" and c.allocator == "default")
    tuned = next(c for c in field_ if c.library == "pcbench" and c.allocator != "default")
    peers = [c for c in field_ if c.library != "pcbench" and c.ms]
    line: dict[str, Any] = {
        "model": model,
        "nodes": nodes,
        "bar": BARS[model],
        "ours_ms": ours.best,
        "ours_median_ms": ours.median,
        "ours_big_blocks_ms": tuned.best,
        "ours_mb": ours.peak_mb,
        "difference": ours.facts.get("difference"),
        "failure": ours.failure,
        "contestants": [_plain(c) for c in field_],
    }
    if ours.ms and peers:
        fastest, leanest = min(peers, key=lambda c: c.best), min(peers, key=lambda c: c.peak_mb)
        line |= {
            "peer": f"{fastest.library}, {fastest.allocator}",
            "peer_ms": fastest.best,
            "peer_median_ms": fastest.median,
            "ratio": fastest.best / ours.best,
            "ratio_medians": fastest.median / ours.median,
            "ratio_cpu": min(fastest.cpu_ms) / min(ours.cpu_ms),
            "peer_mb": leanest.peak_mb,
        }
        line["passed"] = line["ratio"] >= line["bar"] and line["ours_mb"] < line["peer_mb"]
    elif ours.failure:
        line["passed"] = False
    return line


def _plain(entry: Contestant) -> dict[str, Any]:
    kept = {k: v for k, v in vars(entry).items() if k not in ("process", "errors")}
    return {**kept, "best_ms": entry.best, "median_ms": entry.median} if entry.ms else kept


def show(lines: list[dict[str, Any]]) -> None:
    """Print every contestant, then the comparison."""
    print("\nms a step: fastest, median, least CPU time; others: share of all cores that other processes took meanwhile")
    print("model   K library  allocator    sum edges  fastest   median      CPU steps  peak MB others")
    for line in lines:
        for c in line["contestants"]:
            head = f"{line['model']:5} {line['nodes']:3} {c['library']:8} {c['allocator']:10}"
            if not c["ms"]:
                print(f"{head} {c['failure']}")
                continue
            times = f"{c['best_ms']:8.1f} {c['median_ms']:8.1f} {min(c['cpu_ms'], default=float('nan')):8.1f} {len(c['ms']):5}"
            others = f"{statistics.mean(c['noise']):5.0%}" if c["noise"] else "first step only"
            print(f"{head} {c['facts']['edges']:11,} {times} {c['peak_mb']:8.0f}  {others}")
    print("\nmodel   K    ours ms  best peer ms                   ratio of fastest, medians, CPU   bar  peak MB ours, peers")
    for line in lines:
        head = f"{line['model']:5} {line['nodes']:3}"
        if "ratio" not in line:
            print(f"{head} {line['failure'] or 'no peer to compare with'}")
            continue
        peer = f"{line['peer_ms']:.1f} ({line['peer']})"
        ratios = f"{line['ratio']:10.2f} {line['ratio_medians']:13.2f} {line['ratio_cpu']:8.2f}"
        memory = f"{line['ours_mb']:10.0f} {line['peer_mb']:6.0f}"
        print(f"{head} {line['ours_ms']:10.1f}  {peer:28} {ratios} {line['bar']:5.0f} {memory}  "
              f"{'held' if line['passed'] else 'MISSED'}")  # fmt: skip


def prepare(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Write data, tree and plans for the contestants; returns the files of each model."""
    np.save(folder / "data.npy", shapes.pictures(BATCH, seed=0))
    tree = shapes.chow_liu(shapes.pictures(4000, seed=1))
    (folder / "tree.json").write_text(json.dumps(tree))
    (folder / "hclt.json").write_text(json.dumps(shapes.hclt_plan(tree)))
    (folder / "rat.json").write_text(json.dumps(shapes.random_tree_plan()))
    if options.peers:
        command = [options.peers, str(HERE / "peers" / "cirkit_step.py"), "--plan", str(folder / "rat.json")]
        subprocess.run(command, check=False)
    shared = {"data": str(folder / "data.npy"), "tree": str(folder / "tree.json")}
    return {model: {**shared, "plan": str(folder / f"{model}.json")} for model in BARS}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = ROOT / ".peers" / "bin" / "python"
    parser.add_argument("--peers", default=str(usual) if usual.exists() else "", help="the peers' Python interpreter")
    parser.add_argument("--model", choices=list(BARS), action="append", help="only this one")
    parser.add_argument("--nodes", type=int, action="append", help="only this K (default: 16 and 32)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds after the first (default: 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round, for each contestant")
    parser.add_argument("--steps", type=int, default=10, help="most steps of a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    return parser.parse_args()


def main() -> int:
    options = _options()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(Path(folder), options)
        for model in options.model or BARS:
            for nodes in options.nodes or (16, 32):
                print(f"{model} K={nodes}", file=sys.stderr, flush=True)
                lines.append(verdict(model, nodes, compete(model, nodes, files[model], options)))
    about = f"{platform.machine()}, {options.threads} threads of {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    print(about)
    show(lines)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": about, "lines": lines}, indent=1))
    if not all("passed" in line for line in lines):
        return 2
    return 0 if all(line["passed"] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
