"""Is a step right? Log-likelihoods and expected counts against a float64 program on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..compile import compile
from ..execute import Model, Statistics, Workspace, expectation
from . import cases

ROWS, FEW_ROWS, MANY_EDGES = 16, 4, 200_000_000


@dataclass(frozen=True)
class Tolerance:
    """Greatest relative errors: of any row's log-likelihood, and of the expected counts of any table (in the 2-norm)."""

    log_likelihood: float
    flows: float


#: A GPU multiplies bfloat16 operands, whose 8 bits of mantissa show in the counts.
TOLERANCE = {"cpu": Tolerance(1e-5, 1e-3), "cuda": Tolerance(1e-4, 1e-2)}


@dataclass(frozen=True)
class Verdict:
    """What was compared and how far it was off."""

    rows: int
    log_likelihood_error: float
    flow_error: float
    tolerance: Tolerance

    @property
    def right(self) -> bool:
        # Written so that NaN is wrong.
        return self.log_likelihood_error <= self.tolerance.log_likelihood and self.flow_error <= self.tolerance.flows


def reference(model: Model, data: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Log-likelihoods ``[rows, outputs]`` and expected counts (see :func:`counts`) of a float64 model."""
    statistics, values = expectation(model, data)
    return values, counts(statistics)


def counts(statistics: Statistics) -> list[Tensor]:
    """Expected counts of the sum tables, then of the leaf tables (all finite here; the last row, « missing », is unused)."""
    return [*statistics.weights, *(leaf[:, :-1] for leaf in statistics.leaves)]


def verify(model: Model, batch: int, workspace: Workspace, statistics: Statistics) -> Verdict:
    """Check the step as it is timed: a batch of the full size, in which a few different rows are repeated."""
    count = min(batch, ROWS if model.circuit.num_edges <= MANY_EDGES else FEW_ROWS)
    few = cases.rows(model.circuit, count, seed=2)
    repeated = torch.arange(batch) % count
    _, got = expectation(model, few[repeated].to(model.program.device), workspace, statistics.reset())
    precise = model.recompiled(compile(model.circuit, dtype=torch.float64))
    values, expected = reference(precise, few)
    whole, rest = divmod(batch, count)
    for flows in expected:
        flows.mul_(whole)
    if rest:
        for flows, more in zip(expected, reference(precise, few[:rest])[1], strict=True):
            flows.add_(more)
    truth = values[repeated]
    off = (got.cpu().double() - truth).abs() / truth.abs().clamp(min=1)
    flow_errors = [_relative(a, b) for a, b in zip(counts(statistics), expected, strict=True)]
    wrong = any(math.isnan(e) for e in flow_errors)
    return Verdict(count, float(off.max()), math.nan if wrong else max(flow_errors), TOLERANCE[model.program.device.type])


def _relative(got: Tensor, expected: Tensor) -> float:
    if got.shape != expected.shape:
        return math.inf
    return float((got.cpu().double() - expected).norm() / expected.norm().clamp(min=1e-300))
