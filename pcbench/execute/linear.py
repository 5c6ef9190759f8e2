"""The upward pass on linear values, for programs that allow it (:mod:`pcbench.execute.domain`).

What a unit hands up is linear, relative to one scale per sample; the scale stays a float64 logarithm. A sum layer
multiplies its elements together, divides each row by its mean, and becomes a matrix product:
``y_n = Σ_e w_ne x_e`` with mean x = 1, so ``y_n ≥ min w``. Rows whose mean nearly underflows, and layers of long
products, are computed from logarithms as in :mod:`pcbench.execute.upward`; nothing is clamped.

A unit that is impossible in a row has the scale −∞ there, and values of 1 so that its flow, 0, can be divided by them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcbench_kernels.cpu.gather import load, take
from pcbench_kernels.cpu.rows import row_means

from ..compile import Factor, Program, SumLayer, Term, cut
from .domain import least_mean, least_weight, many_factors, may_be_linear
from .evidence import Batch
from .model import Parameters
from .upward import FLOOR, Activations, child_values, evaluate, fill_elements, masses, prepare, upward
from .workspace import Workspace


def fastest_upward(
    program: Program,
    parameters: Parameters,
    batch: Batch,
    workspace: Workspace | None = None,
    keep_elements: bool = False,
) -> Activations:
    """Sum-product evaluation for likelihoods and expected counts: on linear values where that is safe, else on logarithms."""
    if batch.soft or not may_be_linear(program) or min(parameters.smallest, default=1.0) < least_weight(program.dtype):
        return upward(program, parameters, batch, workspace, keep_elements)
    act = prepare(program, parameters, batch, workspace or Workspace(), keep_elements, linear=True)
    evaluate(act, _evaluate_sums)
    return act


def _evaluate_sums(act: Activations, layer: SumLayer, a: int, b: int) -> None:
    if act.elements:
        x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
    else:
        x = act.scratch("chunk", b - a, layer.elements)
    if any(many_factors(act.program, t) for t in layer.terms):
        impossible = _fill_from_logs(act, layer, a, b, x)
    else:
        impossible = _fill(act, layer, a, b, x)
    y = act.values[layer.nodes][layer.value_row + a : layer.value_row + b]
    act.program.sum_tables[layer.table].choice.kernel.apply(x, act.weights(layer, a, b), y)
    if impossible is not None:
        y.masked_fill_(impossible[:, :, None], 1.0)


def _fill_from_logs(act: Activations, layer: SumLayer, a: int, b: int, x: Tensor) -> Tensor | None:
    """Elements of blocks ``a … b``, each row divided by its maximum, and the blocks' scales; returns impossible rows."""
    peak = fill_elements(act, layer, a, b, x)[:, :, 0]
    x.exp_()
    if not float(peak.amin()) <= FLOOR:
        return None
    impossible = peak <= FLOOR
    act.scales[layer.unit + a : layer.unit + b].masked_fill_(impossible, -torch.inf)
    return impossible


def _fill(act: Activations, layer: SumLayer, a: int, b: int, x: Tensor) -> Tensor | None:
    """Elements of blocks ``a … b``, each row divided by its mean, and the blocks' scales; returns impossible rows."""
    scales = act.scales[layer.unit + a : layer.unit + b]
    impossible = None
    parts = [x] if len(layer.terms) == 1 else [x[:, :, t.offset : t.offset + t.width] for t in layer.terms]
    shifts = [_multiply(act, t, a, b, part) for t, part in zip(layer.terms, parts, strict=True)]
    means = [row_means(part) for part in parts]
    least = least_mean(act.dtype)
    low = [mean < least for mean in means if float(mean.amin()) < least]
    logs = [mean.log().double() if shift is None else shift + mean.log() for mean, shift in zip(means, shifts, strict=True)]
    if len(parts) == 1:
        scales.copy_(logs[0])
        x.mul_(means[0].reciprocal_()[:, :, None])
    else:
        # Terms meet at the scale of the one with the greatest mean.
        torch.amax(torch.stack(logs), 0, out=scales)
        base = scales.clamp(min=FLOOR)
        for part, shift in zip(parts, shifts, strict=True):
            part.mul_((-base if shift is None else shift - base).exp_().to(x.dtype)[:, :, None])
        if float(base.amin()) <= FLOOR:
            impossible = base <= FLOOR
    if not low:
        return impossible
    weak = low[0] if len(low) == 1 else torch.stack(low).any(0)
    return _mend(act, layer, (a, b), x, weak, impossible)


def _mend(
    act: Activations, layer: SumLayer, blocks: tuple[int, int], x: Tensor, weak: Tensor, impossible: Tensor | None
) -> Tensor | None:
    """Compute the rows ``weak [b−a, B]`` from logarithms; returns impossible rows, those found before included."""
    a, b = blocks
    scales = act.scales[layer.unit + a : layer.unit + b]
    kept = scales.clone()
    logs = act.scratch("logs", b - a, layer.elements)
    lost = _fill_from_logs(act, layer, a, b, logs)
    x[weak] = logs[weak]
    torch.where(weak, scales, kept, out=scales)
    if lost is None:
        return impossible
    lost &= weak
    return lost if impossible is None else lost | impossible


def _multiply(act: Activations, term: Term, a: int, b: int, out: Tensor) -> Tensor | None:
    """The products of a term for blocks ``a … b`` into ``out``; returns their scale ``[b−a, B]``, ``None`` for 0."""
    first: Tensor | None = None  # a factor that waits for the next one: both are multiplied in one pass
    filled = False

    def multiply(values: Tensor) -> None:
        nonlocal first, filled
        part = out[: len(values)]
        if filled:
            part.mul_(values)
        elif first is None:
            first = values
        else:
            filled = True
            if len(values) < len(first):
                out[len(values) :].copy_(first[len(values) :])
            torch.mul(first[: len(values)], values, out=part)

    shift: Tensor | None = None
    for leaf in term.leaves:
        multiply(masses(act, leaf, a, b))
    for factor in term.factors:
        stop = min(b, factor.count)
        if stop <= a:
            break  # factors cover ever shorter prefixes of the layer
        scale = take(act.scales, cut(factor.units, a, stop))
        if shift is None and stop == b:
            shift = scale.clone() if isinstance(factor.units, slice) else scale
        else:
            shift = torch.zeros(b - a, act.batch.size, dtype=torch.float64) if shift is None else shift
            shift[: stop - a].add_(scale)
        multiply(_gathered(act, factor, a, stop, "second" if first is not None else "first"))
    if not filled:
        assert first is not None  # a term has at least one factor
        out.copy_(first)
    return shift


def _gathered(act: Activations, factor: Factor, a: int, b: int, name: str) -> Tensor:
    """:func:`child_values`, gathered into memory that is there already."""
    if factor.columns is not None or isinstance(factor.rows, slice):
        return child_values(act, factor, a, b)
    out = act.scratch(name, b - a, factor.width)
    load(act.values[factor.width], cut(factor.rows, a, b), out)
    return out
