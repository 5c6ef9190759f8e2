"""Posteriors, gradients and best trees on a real GPU, right and fast? ``python -m tests.gpu.queries_on_gpu [case …]``.

The circuits of ``pcbench bench`` that are named (hclt-64 where none is). First both precisions against float64 on the CPU, for
a model with few likely ways; then rows a second for 512 and 4,096 rows, and the five dearest kernels of each question. Exits
with the number of failures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

import pcbench
from pcbench import Evidence, Model, conditional, mpe, sample
from pcbench.bench import cases, query_cell, query_check
from pcbench.execute import lent_workspace
from pcbench.nn import CircuitModule

from .draws_on_gpu import milliseconds
from .on_gpu import Tally

#: Precision → most error of a posterior's probability, of gradients, and of a tree.
LIMITS = {"exact": (1e-4, 1e-4, 1e-5), "fast": (query_check.POSTERIOR, query_check.GRADIENT, query_check.TREE)}


def compare(case: str, tally: Tally) -> None:
    """Answers to eight rows, of which half of the variables are observed."""
    circuit = cases.build(case)
    reference = query_check.peaked(pcbench.compile(circuit, dtype=torch.float64))
    observed = query_check.half_observed(circuit)
    rows = Evidence(sample(reference, query_check.ROWS, seed=7), observed)
    free = (~observed).nonzero()[:, 0].tolist()
    for precision, (of_posterior, of_gradient, of_tree) in LIMITS.items():
        model = reference.recompiled(pcbench.compile(circuit, "cuda", precision=precision))
        assert model.program.fused is not None

        def told(error: Callable[[], float], what: str, model: Model = model, precision: str = precision) -> float:
            found = error()
            with lent_workspace(model) as space:
                drift = float(space.get("off", (), torch.float32, model.program.device)) if what == "posterior" else 0.0
                print(f"{case} {precision} {what}: error {found:.2e}, flows off by {drift:.2e}, given up {space.given_up}")
            return found

        questions: dict[str, tuple[Callable[[], float], float]] = {
            "posterior": (
                lambda m=model: query_check.posterior_error(reference, query_cell._posteriors(m, rows, free), rows, free),
                of_posterior,
            ),
            "gradient": (lambda m=model: query_check.gradient_error(reference, CircuitModule(m), rows), of_gradient),
            "tree": (lambda m=model: query_cell._tree_error(m, reference, rows), of_tree),
        }
        for name, (error, most) in questions.items():
            tally.ask(f"{case} {precision} {name}", lambda e=error, n=name, t=told: t(e, n), most)  # type: ignore[misc]


def questions(model: Model, evidence: Evidence) -> dict[str, Callable[[], object]]:
    """What is timed."""
    module = CircuitModule(model)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        (-module(evidence).mean()).backward()
        optimiser.step()

    return {
        "posteriors": lambda: conditional(model, evidence),
        "posteriors, read": lambda: [p.probabilities for p in conditional(model, evidence).values()],
        "a gradient step": step,
        "explanations": lambda: mpe(model, evidence),
    }


def profile(case: str, name: str, ask: Callable[[], object]) -> None:
    """The five dearest kernels of one answer, and what all of them take."""
    for _ in range(3):
        ask()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        ask()
        torch.cuda.synchronize()
    events = sorted(found.key_averages(), key=lambda e: -e.device_time_total)
    total, count = sum(e.device_time_total for e in events) / 1e3, sum(e.count for e in events)
    print(f"{case}, 512 rows, {name}: {total:.3f} ms of {count} kernels and copies")
    for event in events[:5]:
        print(f"  {event.device_time_total / 1e3:8.3f} ms {event.count:5d} × {event.key[:80]}")


def main() -> None:
    tally, named = Tally(), sys.argv[1:] or ["hclt-64"]
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for case in named:
        compare(case, tally)
    print(f"{tally.checks} checks, {tally.failures} failed", flush=True)
    for case in named:
        circuit = cases.build(case)
        model = Model.create(pcbench.compile(circuit, "cuda"), seed=0)
        drawn, observed = sample(model, 4096, seed=1), query_check.half_observed(circuit)
        for size in (512, 4096):
            for name, ask in questions(model, Evidence(drawn[:size], observed)).items():
                time = milliseconds(ask, 5)
                print(f"{case}, {size} rows, {name}: {time:.2f} ms, {1e3 * size / time:,.0f} rows/s", flush=True)
        for name, ask in questions(model, Evidence(drawn[:512], observed)).items():
            if name != "posteriors, read":
                profile(case, name, ask)
    sys.exit(min(tally.failures, 100))


if __name__ == "__main__":
    main()
