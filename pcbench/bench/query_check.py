"""Are samples, posteriors, best trees and gradients right? Against a float64 program on the CPU; draws, by statistics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..circuit import Circuit, Dense, InputBlock, Parameter, ProductBlock, Sparse
from ..circuit.blocks import row_sums
from ..compile import Program
from ..execute import Evidence, Model, expectation
from ..nn import CircuitModule
from ..queries import conditional, log_likelihood, mpe, sample

#: Standard errors that a statistic of right samples may be off. Some thousand are looked at: chance alone stays below 5.
LIMIT = 6.0
#: Rows of evidence that are completed again and again, completions of each at least, and draws whose likelihood is looked at.
ROWS, DRAWS, WEIGHED = 8, 64, 256
#: How much the parameters of :func:`peaked` differ, in nats.
SHARPNESS = 32.0
#: Greatest error of a probability, and relative one of the best tree's log probability.
POSTERIOR, TREE = 1e-3, 1e-4
#: Greatest error of the gradients of a table, relative to the expected counts that they are made of: 16 bits at many levels.
GRADIENT = 3e-2


def peaked(program: Program, seed: int = 0) -> Model:
    """A model with few likely ways: parameters ∝ exp(−32·u), u uniform.

    In a model with the usual first parameters variables hardly depend on each other; whoever ignored the evidence would pass.
    """
    generator = torch.Generator().manual_seed(seed)
    values: dict[Parameter, Tensor] = {}
    for block in program.circuit.blocks:
        if isinstance(block, ProductBlock) or block.parameter in values:
            continue
        raw = torch.exp(-SHARPNESS * torch.rand(block.parameter.shape, generator=generator, dtype=torch.float64))
        if isinstance(block, InputBlock):
            values[block.parameter] = raw / raw.sum(0)
            continue
        total = row_sums(raw, block.edges, block.nodes)
        if isinstance(block.edges, Dense):
            values[block.parameter] = raw / total[:, None]
        elif isinstance(block.edges, Sparse):
            values[block.parameter] = raw / total[block.edges.rows]
        else:
            values[block.parameter] = raw / total.reshape(-1, block.edges.tile)[block.edges.rows][:, :, None]
    return Model.from_values(program, values)


def half_observed(circuit: Circuit) -> Tensor:
    """``[V]``: the left half of an image, otherwise the first half of the variables."""
    count = len(circuit.variables)
    side = math.isqrt(count)
    places = torch.arange(count)
    return places % side < side // 2 if side * side == count and side > 2 else places < count // 2


def sampling_error(reference: Model, draws: Tensor, evidence: Evidence) -> float:
    """How many standard errors the worst of these is off: the share of draws up to the median of each variable, for each row
    and for all together, and the mean log-likelihood beside that of the reference's own draws.

    Args:
        reference: a float64 model on the CPU.
        draws: ``[R, M, V]``, M completions of each row.
        evidence: the R rows; infinity is returned where an observed value was not kept.
    """
    kept = torch.ones(draws.shape[2], dtype=torch.bool) if evidence.observed is None else evidence.observed
    if not bool((draws == evidence.values[:, None].to(draws.dtype))[..., kept].all()):
        return math.inf
    worst = 0.0
    for name, posterior in conditional(reference, evidence).items():
        assert posterior.probabilities is not None  # every case is over finite variables
        cumulative = posterior.probabilities.double().cumsum(1)
        median = (cumulative >= 0.5).int().argmax(1)
        p = cumulative.gather(1, median[:, None])[:, 0].clamp(max=1.0)
        column = draws[:, :, reference.circuit.variables[name].index]
        share = (column <= median[:, None]).double().mean(1)
        # A share that must be one has no spread: an addend of half a draw keeps rounding errors from looking infinite.
        half = 0.5 / draws.shape[1]
        spread = (p * (1 - p) / draws.shape[1]).sqrt() + half
        together = float((p * (1 - p)).sum() / draws.shape[1]) ** 0.5 + half
        worst = max(worst, float(((share - p).abs() / spread).max()), abs(float((share - p).sum())) / together)
    return max(worst, _likelihood_error(reference, draws[:, : WEIGHED // len(draws)], evidence))


def _likelihood_error(reference: Model, draws: Tensor, evidence: Evidence) -> float:
    rows, count, _ = draws.shape
    own = sample(reference, evidence=evidence, count=count, seed=12345)
    found, expected = (log_likelihood(reference, x.reshape(rows * count, -1)).reshape(rows, count) for x in (draws, own))
    if not bool(torch.isfinite(found).all()):
        return math.inf
    variance = (found.var(1) + expected.var(1)).sum() / count
    return float((found.mean(1) - expected.mean(1)).sum().abs() / variance.clamp(min=1e-20).sqrt())


def posterior_error(reference: Model, found: Tensor, evidence: Evidence, columns: list[int]) -> float:
    """Greatest error of a probability: ``found`` is ``[R, columns, C]``, of the given unobserved variables."""
    names = reference.circuit.variables
    truth = conditional(reference, evidence, [names[c].name for c in columns])
    return max(_largest(found[:, i], truth[names[c].name].probabilities) for i, c in enumerate(columns))


def _largest(found: Tensor, expected: Tensor | None) -> float:
    assert expected is not None
    worst = float((found.cpu().double() - expected.double()).abs().max())
    return math.inf if math.isnan(worst) else worst


def tree_error(reference: Model, states: Tensor, trees: Tensor, evidence: Evidence) -> float:
    """Of most probable explanations: best tree's log probability, relative; infinity where an observed value was not kept."""
    kept = torch.ones(states.shape[1], dtype=torch.bool) if evidence.observed is None else evidence.observed
    if not bool((states == evidence.values.to(states.dtype))[:, kept].all()):
        return math.inf
    truth = mpe(reference, evidence).log_tree
    # A state must be worth what is said of it: its tree is a part of its likelihood.
    if bool((log_likelihood(reference, states) < trees.double() - TREE * trees.abs().double()).any()):
        return math.inf
    return float(((trees.double() - truth).abs() / truth.abs().clamp(min=1)).max())


def gradient_error(reference: Model, module: CircuitModule, evidence: Evidence, upstream: Tensor | None = None) -> float:
    """Of the gradients of the log-likelihood of all rows: the error of the worst table, relative to its gradients or expected
    counts, whichever are larger (gradients by logits are differences of counts).

    ``upstream``: float64 ``[B, outputs]``, of absolute values around one; weighs the rows.
    """
    exact = CircuitModule(reference)
    for asked in (module, exact):
        asked.zero_grad()
        out = asked(evidence)
        out.backward(torch.ones_like(out) if upstream is None else upstream.to(out.device))
    counts, _ = expectation(reference, evidence)
    found, worst = dict(module.named_parameters()), 0.0
    for name, parameter in exact.named_parameters():
        kind, table = name.split("_")
        size = (counts.weights if kind == "sum" else counts.leaves)[int(table)].double()
        size = size[:, :-1] if kind == "leaf" else size
        truth, gradient = parameter.grad, found[name].grad
        assert truth is not None and gradient is not None
        error = float((gradient.cpu().double() - truth).norm() / torch.maximum(size.norm(), truth.norm()).clamp(min=1e-30))
        worst = math.inf if math.isnan(error) else max(worst, error)
    return worst
