"""Every structure, family and tying of the conformance tests on a real GPU, against the CPU: ``python -m tests.gpu.on_gpu``.

Likelihoods, expected counts, updates, steps in place, samples, best trees, conditionals, gradients (by soft evidence, too);
prints each failure, and exits with their number.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import torch

import pcbench
from pcbench import Evidence, Finite, Model, conditional, log_likelihood, mpe, sample
from pcbench.bench import query_check
from pcbench.circuit import Parameter
from pcbench.execute import Data, Statistics, Workspace, em_step, em_steps, expectation, maximise
from pcbench.nn import CircuitModule

from ..conformance.cases import CASES, Case


def off(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative distance; infinities must be equal."""
    got, expected = got.double().cpu(), expected.double().cpu()
    same = got == expected
    difference = torch.where(same, 0.0, got - expected)
    return float(difference.norm() / torch.where(same, 0.0, expected).norm().clamp(min=1.0))


def learnt(model: Model, *batches: Data) -> dict[Parameter, torch.Tensor]:
    """Parameters after a step of EM over all batches, whose counts are added up."""
    space, statistics = Workspace(), Statistics.zeros(model.program)
    for batch in batches:
        expectation(model, batch, space, into=statistics)
    return maximise(model, statistics, 0.5, 0.1).values()


def soft_evidence(case: Case, evidence: Evidence) -> Evidence:
    """The same with likelihoods of the values of the first finite variable, if there is one."""
    finite = [v for v in case.circuit().variables if isinstance(v.domain, Finite)][:1]
    generator = torch.Generator().manual_seed(7)
    soft = {v.index: 0.1 + torch.rand(len(evidence), v.domain.size, generator=generator) for v in finite}
    return Evidence(evidence.values, evidence.observed, soft)


def questions(case: Case, on_cpu: Model, on_gpu: Model) -> dict[str, Callable[[], float]]:
    """What is asked of both → how far the answers are apart."""
    data, evidence = case.data(33), case.evidence("some", 33)
    possible = evidence[torch.isfinite(log_likelihood(on_cpu, evidence))]  # nothing can be drawn given the others

    def likelihood() -> float:
        return max(off(log_likelihood(on_gpu, x), log_likelihood(on_cpu, x)) for x in (data, evidence))

    def counts() -> float:
        moved, still = (learnt(model, data, evidence) for model in (on_gpu, on_cpu))
        return max(off(moved[p], still[p]) for p in still)

    def steps() -> float:
        """In place, by captured graphs from the third on, and launched ahead, against steps that leave each model as it was.

        The same bits where kernels of our own run; but several of them may add to what is shared, in any order."""
        elsewhere, here, space = on_gpu, on_gpu.clone(), Workspace()
        ahead = [stepped.model for stepped in em_steps(on_gpu.clone(), [evidence] * 6, 0.5, 0.1)][-1]
        for _ in range(6):
            elsewhere = em_step(elsewhere, evidence, 0.5, 0.1).model
            here = em_step(here, evidence, 0.5, 0.1, space, recycle=here).model
        still = elsewhere.values()
        own = on_gpu.program.fused is not None and case.tying == "free"

        def apart(moved: dict[Parameter, torch.Tensor]) -> float:
            return max(float(not torch.equal(moved[p], still[p])) if own else off(moved[p], still[p]) for p in still)

        return max(apart(here.values()), apart(ahead.values()))

    def samples() -> float:
        one, two = sample(on_gpu, evidence=possible, seed=3), sample(on_cpu, evidence=possible, seed=3)
        return (
            float((~torch.isclose(one.double(), two.double(), atol=1e-3)).double().mean()) * 1e-2
        )  # a tie may fall either way

    def best() -> float:
        one, two = mpe(on_gpu, possible), mpe(on_cpu, possible)
        states = off(log_likelihood(on_gpu, one.state), log_likelihood(on_cpu, two.state))
        return max(states, off(one.log_tree, two.log_tree))

    def softly() -> float:
        """What is drawn, explained and concluded where a variable has soft evidence."""
        given = soft_evidence(case, possible)
        if not given.soft:
            return 0.0
        one, two = sample(on_gpu, evidence=given, seed=3), sample(on_cpu, evidence=given, seed=3)
        apart = float((~torch.isclose(one.double(), two.double(), atol=1e-3)).double().mean()) * 1e-2
        trees = off(mpe(on_gpu, given).log_tree, mpe(on_cpu, given).log_tree)
        got, expected = (conditional(m, soft_evidence(case, case.evidence("columns", 33))) for m in (on_gpu, on_cpu))
        found = [(got[v].probabilities, expected[v].probabilities) for v in expected]
        return max([apart, trees, *(off(p, q) for p, q in found if p is not None and q is not None)])

    def posteriors() -> float:
        columns = case.evidence("columns", 33)
        one, two = conditional(on_gpu, columns), conditional(on_cpu, columns)
        means = max((off(one[v].mean, two[v].mean) for v in two), default=0.0)
        found = [(one[v].probabilities, two[v].probabilities) for v in two]
        return max([means, *(off(p, q) for p, q in found if p is not None and q is not None)])

    return {f.__name__: f for f in (likelihood, counts, steps, samples, best, posteriors, softly)}


def derivatives(case: Case, on_cpu: Model, on_gpu: Model) -> dict[str, Callable[[], float]]:
    """The same for gradients."""
    circuit, evidence = on_cpu.circuit, case.evidence("some", 33)

    def gradients() -> float:
        upstream = torch.randn(33, circuit.num_outputs, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        if on_gpu.program.fused is not None and on_gpu.program.fused.precision == "fast":
            return query_check.gradient_error(on_cpu, CircuitModule(on_gpu), evidence, upstream)
        found = []
        for model in (on_gpu, on_cpu):
            module, values = CircuitModule(model), evidence.values.clone()
            out = module(Evidence(values.requires_grad_(values.is_floating_point()), evidence.observed, evidence.soft))
            out.backward(upstream.to(out.device))
            found.append([p.grad for p in [values, *module.parameters()]])
        one, two = found
        return max(off(g, h) for g, h in zip(one, two, strict=True) if g is not None and h is not None)

    def soft() -> float:
        """Likelihoods of soft evidence, gradients by it, and a step of EM over batches with it and without."""
        found = []
        for model in (on_gpu, on_cpu):
            generator = torch.Generator().manual_seed(5)
            given = {
                v.index: torch.rand(33, v.domain.size, generator=generator).requires_grad_()
                for v in circuit.variables[:3]
                if isinstance(v.domain, Finite)
            }
            out = CircuitModule(model)(Evidence(evidence.values, evidence.observed, given))
            if given:
                torch.where(torch.isfinite(out), out, 0.0).sum().backward()
            softly = Evidence(evidence.values, evidence.observed, {v: s.detach() for v, s in given.items()})
            moved = learnt(model, softly, evidence, softly)
            found.append([out.detach(), *(s.grad for s in given.values() if s.grad is not None), *moved.values()])
        one, two = found
        return max(off(a, b) for a, b in zip(one, two, strict=True))

    return {f.__name__: f for f in (gradients, soft)}


class Tally:
    """What was asked, and what went wrong."""

    def __init__(self) -> None:
        self.failures = self.checks = self.fused = self.programs = 0

    def ask(self, name: str, question: Callable[[], float], most: float) -> None:
        """One check; a failure is printed at once."""
        self.checks += 1
        try:
            error = question()
            message = "" if error < most else f"off by {error:.2e}"
        except Exception:
            message = traceback.format_exc(limit=-2)
        if message:
            self.failures += 1
            print(f"{name}: {message}")


def main() -> None:
    tally = Tally()
    try:
        for case in CASES:
            circuit = case.circuit()
            on_cpu = Model.create(pcbench.compile(circuit), seed=1)
            for precision, most in (("exact", 1e-4), ("fast", 2e-2)):
                on_gpu = on_cpu.recompiled(pcbench.compile(circuit, "cuda", precision=precision))
                both = (case, on_cpu, on_gpu)
                tally.programs += 1
                tally.fused += on_gpu.program.fused is not None
                for name, question in {**questions(*both), **derivatives(*both)}.items():
                    tally.ask(f"{case} {precision} {name}", question, most)
    finally:  # an interrupt ends it with what is known by then
        print(
            f"{tally.checks} checks on {torch.cuda.get_device_name()}, {tally.fused} of {tally.programs} programs fused "
            f"(all: {2 * len(CASES)}), {tally.failures} failed"
        )
    sys.exit(min(tally.failures, 100))


if __name__ == "__main__":
    main()
