"""Is a step right? Log-likelihoods and expected counts against a float64 program on the CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..circuit import Parameter
from ..compile import Program, compile
from ..execute import Model, Statistics, Workspace, em_step, expectation, maximise
from . import cases

ROWS, FEW_ROWS, MANY_EDGES = 16, 4, 200_000_000
#: Of the step that is checked; its size is 1, so that the new parameters are the counts alone.
PSEUDOCOUNT = 0.001


@dataclass(frozen=True)
class Tolerance:
    """Greatest relative errors: of any row's log-likelihood, and of the counts and parameters of any table (in the 2-norm)."""

    log_likelihood: float
    flows: float


#: A GPU multiplies bfloat16 operands, whose 8 bits of mantissa show in the counts.
TOLERANCE = {"cpu": Tolerance(1e-5, 1e-3), "cuda": Tolerance(1e-4, 1e-2)}


class Disagreement(Exception):
    """Two engines that should hold the same circuit do not."""


@dataclass(frozen=True)
class Verdict:
    """What was compared and how far it was off: log-likelihoods, expected counts, and parameters after a whole step of EM."""

    rows: int
    log_likelihood_error: float
    flow_error: float
    parameter_error: float
    tolerance: Tolerance

    @property
    def right(self) -> bool:
        # Written so that NaN is wrong.
        worst = max(self.flow_error, self.parameter_error)
        return self.log_likelihood_error <= self.tolerance.log_likelihood and worst <= self.tolerance.flows


def reference(precise: Model, data: Tensor) -> tuple[Statistics, Tensor]:
    """Expected counts, and log-likelihoods ``[rows, outputs]``, of a float64 model."""
    return expectation(precise, data)


def verify(model: Model, batch: int) -> Verdict:
    """Check the step as it is timed: a batch of the full size, in which a few different rows are repeated."""
    count = min(batch, ROWS if model.circuit.num_edges <= MANY_EDGES else FEW_ROWS)
    few = cases.rows(model.circuit, count, seed=2)
    repeated = torch.arange(batch) % count
    data, space = few[repeated].to(model.program.device), Workspace()
    statistics, got = expectation(model, data, space)
    precise = model.recompiled(compile(model.circuit, dtype=torch.float64))
    exact, values = reference(precise, few)
    whole, rest = divmod(batch, count)
    for flows in [*exact.weights, *exact.leaves]:
        flows.mul_(whole)
    if rest:
        more, _ = reference(precise, few[:rest])
        for flows, others in zip([*exact.weights, *exact.leaves], [*more.weights, *more.leaves], strict=True):
            flows.add_(others)
    truth = values[repeated]
    off = (got.cpu().double() - truth).abs() / truth.abs().clamp(min=1)
    flow_error = _worst(model.program, by_parameter(statistics), by_parameter(exact))
    del statistics
    moved = em_step(model, data, pseudocount=PSEUDOCOUNT, workspace=space).model.values()
    still = maximise(precise, exact, pseudocount=PSEUDOCOUNT).values()
    parameter_error = _worst(model.program, moved, still)
    return Verdict(count, float(off.max()), flow_error, parameter_error, TOLERANCE[model.program.device.type])


def by_parameter(statistics: Statistics) -> dict[Parameter, Tensor]:
    """Expected counts of each parameter of a circuit, in its shape; of normal leaves flow, flow · value, and flow · value²."""
    out: dict[Parameter, Tensor] = {}
    program = statistics.program
    for table, counts in zip(program.sum_tables, statistics.weights, strict=True):
        for row, parameter in enumerate(table.parameters):
            out[parameter] = table.choice.kernel.unpack(counts[row]).reshape(parameter.shape)
    for leaf, counts in zip(program.leaf_tables, statistics.leaves, strict=True):
        for row, parameter in enumerate(leaf.parameters):
            out[parameter] = counts[row] if leaf.categories is None else counts[row, :-1]
    return out


def _worst(program: Program, got: Mapping[Parameter, Tensor], expected: Mapping[Parameter, Tensor]) -> float:
    """The greatest distance in the 2-norm, relative to what was expected, of the parameters of a table; NaN where one is.

    By parameters, as a program for another device may lay the same ones out in other tables.
    """
    errors = []
    for parameters in [t.parameters for t in program.sum_tables] + [t.parameters for t in program.leaf_tables]:
        apart = math.hypot(*(float((got[p].cpu().double() - expected[p]).norm()) for p in parameters))
        errors.append(apart / max(math.hypot(*(float(expected[p].norm()) for p in parameters)), 1e-300))
    return math.nan if any(math.isnan(e) for e in errors) else max(errors)


def relative(got: Tensor, expected: Tensor) -> float:
    """Distance in the 2-norm, relative to what was expected."""
    if got.shape != expected.shape:
        return math.inf
    return float((got.cpu().double() - expected).norm() / expected.norm().clamp(min=1e-300))
