"""Samples on a real GPU: are they the CPU's, and where does their time go? ``python -m tests.gpu.draws_on_gpu [case …]``.

First every structure, family and tying of the conformance tests: an exact program has to draw what the CPU draws from the same
seed. Then the time of each part for the circuits of ``pcbench bench`` that are named. Exits with the number of failures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

import pcbench
from pcbench import Evidence, Model, log_likelihood, mpe, sample
from pcbench.bench import cases
from pcbench.bench.query_check import half_observed
from pcbench.execute import Wanted, Workspace, empty_samples, fused_draw
from pcbench.execute.fused import fused_upward
from pcbench.execute.fused_evidence import fused_batch

from ..conformance.cases import CASES

#: Most draws that may differ in an exact program, where rounding moves a border past the noise.
DIFFERENT = 1e-3


def compare() -> int:
    """How many cases differ."""
    failures = compared = 0
    for case in CASES:
        on_cpu = Model.create(pcbench.compile(case.circuit()), seed=1)
        on_gpu = on_cpu.recompiled(pcbench.compile(on_cpu.circuit, "cuda", precision="exact"))
        if on_gpu.program.fused is None:
            continue
        evidence = case.evidence("some", 100)
        possible = evidence[torch.isfinite(log_likelihood(on_cpu, evidence))]
        for what, ask in (
            ("prior", lambda m: sample(m, 300, seed=3)),
            ("given", lambda m, e=possible: sample(m, evidence=e, seed=3)),
            ("several", lambda m, e=possible: sample(m, 7, e, seed=3, batch_size=150)),
        ):
            compared += 1
            share = float((ask(on_gpu) != ask(on_cpu)).double().mean())
            if share > DIFFERENT:
                failures += 1
                print(f"{case} {what}: {share:.2%} of the draws differ")
    print(f"{compared} comparisons on {torch.cuda.get_device_name()}, {failures} failed")
    return failures


def milliseconds(ask: Callable[[], object], repeat: int = 7) -> float:
    """Median; the first three compile and capture."""
    times = []
    for _ in range(repeat + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        ask()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times[3:])[repeat // 2]


def parts(case: str, rows: int) -> None:
    """One line: milliseconds of each part."""
    circuit = cases.build(case)
    model = Model.create(pcbench.compile(circuit, "cuda"), seed=0)
    program, parameters, space = model.program, model.parameters, Workspace()
    values = sample(model, rows, seed=1)
    evidence = Evidence(values, half_observed(circuit))
    wanted, into = Wanted(0, rows, 1, 0, 0), empty_samples(program, rows)

    def up() -> object:
        laid_out = fused_batch(program, evidence, space)
        assert laid_out is not None
        return fused_upward(program, parameters, laid_out, space, keep=True)

    times = {
        "layout": milliseconds(lambda: fused_batch(program, evidence, space)),
        "layout, up": milliseconds(up),
        "all": milliseconds(lambda: fused_draw(program, parameters, evidence, wanted, space, into)),
        "prior": milliseconds(lambda: fused_draw(program, parameters, None, Wanted(0, rows, rows, 0, 0), space, into)),
        "sample(evidence)": milliseconds(lambda: sample(model, evidence=evidence)),
        "sample(count)": milliseconds(lambda: sample(model, rows)),
        "mpe": milliseconds(lambda: mpe(model, evidence), 1),
    }
    told = ", ".join(f"{what} {time:.2f} ms" for what, time in times.items())
    print(f"{case}, {rows} rows: {told}; {rows / times['sample(evidence)']:,.0f} completions a ms")


def profile(case: str, rows: int) -> None:
    """Kernels of one completion by their time."""
    circuit = cases.build(case)
    model = Model.create(pcbench.compile(circuit, "cuda"), seed=0)
    evidence = Evidence(sample(model, rows, seed=1), half_observed(circuit))
    for _ in range(3):
        sample(model, evidence=evidence)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        sample(model, evidence=evidence)
    print(f"{case}, {rows} rows:")
    for event in sorted(found.key_averages(), key=lambda e: -e.device_time_total)[:12]:
        print(f"  {event.device_time_total / 1e3:8.3f} ms {event.count:5d} × {event.key[:80]}")


def main() -> None:
    failures = compare()
    for case in sys.argv[1:]:
        for rows in (512, 4096):
            parts(case, rows)
        profile(case, 512)
    sys.exit(min(failures, 100))


if __name__ == "__main__":
    main()
