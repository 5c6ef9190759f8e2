"""Test log-likelihood on four sets of the density estimation benchmark, against the bars.

    python tests/bench/quality.py [nltcs plants jester dna] [--data DIR] [--json FILE]
    python tests/bench/quality.py dna --candidates             # how the settings were chosen: validation figures only

DIR holds ``NAME.train.data.gz``, ``NAME.valid.data.gz`` and ``NAME.test.data.gz``; by default ``$PCBENCH_DATA`` or
``../shared/data/debd`` beside the repository. Exit status: 1 when a bar is missed (quality or time), 2 without data.

The model is one circuit: a uniform mixture of members; a member is a mixture of hidden Chow-Liu trees (one of the data,
the others of bootstrap samples) whose parameters, mixture weights among them, are learnt together by mini-batch EM with
a falling step size and then full-batch EM. Members differ by the seed of their bootstrap samples, of their first
parameters and of the order of rows. Every member keeps the epoch that is best on the validation rows.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

import pcbench as pcb  # noqa: E402
from pcbench.datasets import Dataset, debd  # noqa: E402
from pcbench.errors import DataError  # noqa: E402
from pcbench.learn import EM, Cosine, MiniBatchEM, fit  # noqa: E402
from pcbench.structures import hclt  # noqa: E402

#: Mean test log-likelihood a row, nats, that must be reached.
BARS = {"nltcs": -6.00, "plants": -13.4, "jester": -52.6, "dna": -80.0}
#: Seconds that one data set may take on 2 cores, from the files to the test figure.
MOST_SECONDS = 600.0


@dataclass(frozen=True)
class Settings:
    """Structure and EM settings of a model.

    Attributes:
        members: circuits that are trained apart, each with a seed of its own, and then averaged.
        trees: hidden Chow-Liu trees in a member.
        latents: hidden states of each variable.
        epochs: of mini-batch EM; the step size falls from ``start`` to ``end`` along half a cosine.
        polish: steps of full-batch EM afterwards.
        batch: rows of a mini-batch.
        pseudocount: at every node, relative to all training rows (a mini-batch gets its share of it).
    """

    members: int
    trees: int
    latents: int
    epochs: int
    polish: int
    batch: int
    pseudocount: float
    start: float = 1.0
    end: float = 0.05


#: What was compared on the validation rows; the first of each list is taken (`--candidates` compares them again). Averaging
#: members helped most up to four; how many there are is a matter of time: about a minute of two free cores a data set.
CANDIDATES: dict[str, tuple[Settings, ...]] = {
    "nltcs": (
        Settings(6, 4, 16, 30, 10, 500, 0.1),
        Settings(1, 4, 16, 40, 10, 500, 0.1),
        Settings(1, 16, 16, 40, 20, 500, 0.1),
        Settings(6, 1, 32, 30, 10, 500, 1.0),
        Settings(6, 4, 8, 30, 10, 500, 0.1),
    ),
    "plants": (
        Settings(1, 4, 32, 20, 10, 500, 0.1),
        Settings(1, 1, 64, 20, 10, 500, 0.1),
        Settings(1, 2, 64, 20, 10, 500, 1.0),
        Settings(1, 12, 16, 20, 10, 500, 0.1),
    ),
    "jester": (
        Settings(2, 4, 16, 20, 0, 500, 0.1),
        Settings(2, 4, 12, 20, 0, 500, 0.3),
        Settings(1, 4, 16, 20, 0, 500, 0.1),
        Settings(1, 1, 32, 20, 10, 500, 0.1),
    ),
    "dna": (
        Settings(4, 8, 6, 30, 0, 200, 0.1),
        Settings(4, 4, 8, 30, 0, 200, 0.1),
        Settings(4, 2, 16, 30, 0, 200, 0.1),
        Settings(1, 16, 6, 30, 0, 200, 0.1),
        Settings(1, 4, 12, 30, 0, 200, 1.0),
    ),
}


def train(name: str, folder: Path, settings: Settings) -> pcb.Model:
    """The mixture of all members as one model. Members are trained side by side, each by one thread."""
    data = debd(name, folder)
    seeds = range(settings.members)
    workers = min(settings.members, torch.get_num_threads())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        trained = list(pool.map(member, repeat(name), repeat(folder), repeat(settings), seeds))
    circuits = [structure(data, settings, seed) for seed in seeds]
    values = {}
    for circuit, arrays in zip(circuits, trained, strict=True):
        values |= {p: torch.from_numpy(a) for p, a in zip(circuit.parameters, arrays, strict=True)}
    weights = torch.full((1, len(circuits)), 1 / len(circuits))
    root = pcb.SumBlock([c.roots[0] for c in circuits], parameter=pcb.Parameter((1, len(circuits)), weights), name="members")
    values[root.parameter] = weights
    return pcb.Model.from_values(pcb.compile(pcb.Circuit(root, data.variables)), values)


def structure(data: Dataset, settings: Settings, seed: int) -> pcb.Circuit:
    """A mixture of hidden Chow-Liu trees."""
    return hclt(data.train, settings.latents, pcb.Bernoulli(), data.variables, num_trees=settings.trees, seed=seed)


def member(name: str, folder: Path, settings: Settings, seed: int) -> list[np.ndarray]:
    """Train one; its parameters, in the circuit's order (blocks do not travel between processes, arrays do)."""
    data = debd(name, folder)
    share = settings.pseudocount * min(1.0, settings.batch / len(data.train))
    online = MiniBatchEM(Cosine(settings.start, settings.end), pseudocount=share)
    circuit = structure(data, settings, seed)
    run = fit(
        circuit,
        data.train,
        valid=data.valid,
        epochs=settings.epochs,
        batch_size=settings.batch,
        method=online,
        validate_every=5,
        seed=seed,
    )
    if settings.polish:
        # What mini-batch EM found best is where full-batch EM starts, so it stays in the race if polishing overfits.
        method = EM(pseudocount=settings.pseudocount)
        final = fit(
            run.best_model,
            data.train,
            valid=data.valid,
            epochs=settings.polish,
            batch_size=2000,
            method=method,
            validate_every=5,
        )
        if (final.best_valid_ll or -math.inf) > (run.best_valid_ll or -math.inf):
            run = final
    values = run.best_model.values()
    return [values[p].numpy() for p in circuit.parameters]


def mean(model: pcb.Model, rows: torch.Tensor | None) -> float:
    """Mean log-likelihood a row, nats."""
    assert rows is not None  # the benchmark's sets have all three parts
    return float(pcb.log_likelihood(model, rows).mean())


def cpu_seconds() -> float:
    """Processor time of this process and of those that it waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def machine() -> str:
    """What this runs on, and when."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine()
    )
    use = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{cpu}, {use}, {time.strftime('%Y-%m-%d')}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def measure(name: str, folder: Path, settings: Settings, test: bool) -> dict[str, Any]:
    """Train one model and score it; test rows are looked at only when ``test`` says so, and after training."""
    begin, cpu = time.perf_counter(), cpu_seconds()
    model = train(name, folder, settings)
    data = debd(name, folder)
    result: dict[str, Any] = {"data": name, "valid": mean(model, data.valid)}
    if test:
        result["test"] = mean(model, data.test)
        result["bar"] = BARS[name]
    result["seconds"], result["cpu_seconds"] = time.perf_counter() - begin, cpu_seconds() - cpu
    if test:
        result["pass"] = result["test"] >= BARS[name] and result["seconds"] <= MOST_SECONDS
    return {**result, "parameters": model.circuit.num_parameters, "settings": asdict(settings)}


HEADER = (
    f"{'data set':8} {'valid LL':>9} {'test LL':>9} {'bar':>7} {'pass?':>5}"
    f" {'seconds':>8} {'CPU s':>7} {'parameters':>11}  settings"
)


def line(result: dict[str, Any]) -> str:
    """A row of the table."""
    test = f"{result['test']:9.4f} {result['bar']:7.2f} {'yes' if result['pass'] else 'NO':>5}" if "test" in result else "–" * 9
    told = " ".join(f"{k}={v:g}" for k, v in result["settings"].items())
    spent = f"{result['seconds']:8.1f} {result['cpu_seconds']:7.1f}"
    return f"{result['data']:8} {result['valid']:9.4f} {test:23} {spent} {result['parameters']:11,}  {told}"


def default_folder() -> Path:
    """Where the data are when the caller does not say."""
    return Path(os.environ.get("PCBENCH_DATA") or ROOT.parent / "shared" / "data" / "debd")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets (all of them: {' '.join(BARS)})")
    parser.add_argument("--data", type=Path, default=default_folder(), help="folder of the data sets")
    parser.add_argument("--candidates", action="store_true", help="compare all settings, on validation rows only")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    unknown = [n for n in options.names if n not in BARS]
    if unknown:
        parser.error(f"no data set {unknown[0]!r}; choose from {' '.join(BARS)}")
    print(machine())
    print(HEADER, flush=True)
    results = []
    for name in options.names or BARS:
        for settings in CANDIDATES[name] if options.candidates else CANDIDATES[name][:1]:
            try:
                results.append(measure(name, options.data, settings, test=not options.candidates))
            except DataError as error:
                print(f"{error}", file=sys.stderr)
                return 2
            print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    return 0 if all(r.get("pass", True) for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
