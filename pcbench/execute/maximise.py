"""The M step: expected counts → a new model."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pcbench_kernels.cpu.em import least_mass, sum_update

from ..compile import LeafTable, SumTable
from ..distributions import Categorical
from ..errors import DataError, OptionError, hinted
from .fused_pass import flags
from .fused_update import fused_leaves, set_rates, update_of
from .leaves import write_logs, write_masses
from .model import Model, Parameters
from .statistics import Statistics
from .workspace import Workspace, chunk_bytes


@hinted
def maximise(
    model: Model, statistics: Statistics, step_size: float = 1.0, pseudocount: float = 0.0, recycle: Model | None = None
) -> Model:
    """A new model from expected counts; the old one stays as it is.

    Sum weights: ``(flow + α/degree) / (Σ flow + α)``. Leaves: mean parameters ``(Σ flow·t(x) + α·prior) / (Σ flow + α)``.
    With ``step_size`` η < 1 both are averaged with the old ones, ``(1−η)·old + η·new``, leaves in their mean parameters
    (online EM: Cappé and Moulines 2009). Nodes without flow (and α = 0) keep what they have.

    Args:
        model: the model under which the statistics were taken.
        statistics: of one batch or several.
        step_size: η in (0, 1]; 1 is full-batch EM.
        pseudocount: α ≥ 0 per node.
        recycle: a model of the same program that nobody needs any more; its memory is used for the result.

    Raises:
        DataError: when the statistics hold NaN or infinity, or come from no rows.
        OptionError: for a step size or pseudocount outside its range.
    """
    check_rates(step_size, pseudocount)
    if statistics.rows <= 0:
        raise DataError("the statistics come from no rows")
    program, old = model.program, model.parameters
    statistics.require(program)
    new = recycled(model, recycle)
    out = new.parameters
    if program.fused is None:
        for t, sums in enumerate(program.sum_tables):
            _update_sums(sums, old.weights[t], statistics.weights[t], step_size, pseudocount, out.weights[t])
        leaves = list(range(len(program.leaf_tables)))
    else:
        leaves = _maximise_fused(model, statistics, step_size, pseudocount, out)
    for t in leaves:
        table = program.leaf_tables[t]
        logs, masses = out.lookups.held(t), out.masses[t]
        _update_leaves(table, old.leaves[t], statistics.leaves[t], step_size, pseudocount, out.leaves[t], logs, masses)
        if out.gathered and table.categories is not None:
            write_logs(table, out.leaves[t], out.gathered[t])
    return new


def check_rates(step_size: float, pseudocount: float) -> None:
    """Raise :class:`OptionError` for a step size or pseudocount outside its range."""
    if not 0 < step_size <= 1:
        raise OptionError(f"step_size must lie in (0, 1], got {step_size}")
    if not (pseudocount >= 0 and math.isfinite(pseudocount)):
        raise OptionError(f"pseudocount must be finite and ≥ 0, got {pseudocount}")


def recycled(model: Model, recycle: Model | None) -> Model:
    """Where a model's successor goes: the memory of ``recycle``, or fresh memory."""
    if recycle is not None and recycle.program is not model.program:
        raise OptionError("recycle must be a model of the same program")
    if recycle is None or recycle is model:
        return Model(model.program, Parameters.empty(model.program))
    return Model(model.program, recycle.parameters.again(model.program))


def _maximise_fused(model: Model, statistics: Statistics, step: float, pseudocount: float, out: Parameters) -> list[int]:
    """The M step by kernels; the leaf tables that they have no form for."""
    from pcbench_kernels.gpu import maximise_sums

    program, old = model.program, model.parameters
    assert program.fused is not None
    workspace = Workspace()
    update = update_of(program, workspace)
    set_rates(update, workspace, step, pseudocount, torch.empty(2))
    flags(workspace, program.device).zero_()
    rounded = None if out.operands is out.flat else out.operands
    for rows in program.fused.rows:
        maximise_sums(old.flat, statistics.flat, 0, rows, out.flat, rounded, update)
    others = []
    for t, table in enumerate(program.leaf_tables):
        if isinstance(table.distribution, Categorical):
            fused_leaves(table, old.leaves[t], statistics.leaves[t], out, t, update)
        else:
            others.append(t)
    if bool(update.wrong[0].item()):
        raise DataError("the expected counts of a layer hold NaN or infinity; the model was not changed")
    return others


def _pieces(tensor: Tensor) -> range:
    """Starts of pieces of the first dimension that stay in cache through all steps of an update."""
    row = max(1, tensor[0].numel() * tensor.element_size()) if len(tensor) else 1
    return range(0, len(tensor), max(1, chunk_bytes(tensor.device) // row))


def _update_sums(table: SumTable, old: Tensor, flows: Tensor, step: float, pseudocount: float, out: Tensor) -> None:
    kernel, pattern = table.choice.kernel, table.pattern
    support, row_index = kernel.support(), kernel.row_index()
    degree: Tensor | float = float(pattern.elements)
    if support is not None:
        degree = support.sum(-1, keepdim=True).to(old.dtype)
    elif row_index is not None:
        per_row = torch.bincount(row_index)[row_index].to(old.dtype)
        degree = per_row if flows.ndim == 2 else per_row[:, None, None] * pattern.tile
    pieces = _pieces(old)
    for start in pieces:
        part = slice(start, start + pieces.step)
        _check_finite(flows[part], "sum")
        sum_update(old[part], flows[part], degree, row_index, pattern.nodes, step, pseudocount, support, out[part])
    _keep_frozen(table.trainable, old, out)


def _update_leaves(
    table: LeafTable,
    old: Tensor,
    counts: Tensor,
    step: float,
    pseudocount: float,
    out: Tensor,
    logs: Tensor | None,
    masses: Tensor | None,
) -> None:
    family = table.distribution
    pieces = _pieces(counts)
    for start in pieces:
        part = slice(start, start + pieces.step)
        held, parameters = counts[part], old[part]
        if table.categories is not None:
            by_category = held[:, :-1]
            total = by_category.sum(1, keepdim=True)
            moments = family.moments_from_counts(by_category)
        else:
            total, moments = held[:, :1], held[:, 1:]
        _check_finite(total, "leaf")
        precise = parameters.to(moments.dtype)
        mass = total + pseudocount
        empty = mass < least_mass(mass.dtype)
        share = step / mass.masked_fill_(empty, 1.0)
        # Where the family's parameters have the shape of its moments, these are computed where the result belongs.
        place = out[part]
        mean = place if place.dtype == moments.dtype and place.shape == moments.shape else torch.empty_like(moments)
        prior = share * pseudocount * family.prior_moments(precise) if pseudocount > 0 else share.new_zeros(())
        if step == 1.0:
            torch.addcmul(prior, moments, share, out=mean)
        else:
            torch.addcmul(family.moments(precise), moments, share / (1.0 - step), out=mean)
            torch.add(prior, mean, alpha=1.0 - step, out=mean)
        fresh = family.from_moments(mean)
        if bool(empty.any()):
            fresh = torch.where(empty, precise, fresh)
        if fresh is not place:
            place.copy_(fresh)
        if table.trainable is not None:
            out[part][~table.trainable[part]] = parameters[~table.trainable[part]]
        if logs is not None:
            write_logs(table, out[part], logs[part])
        if masses is not None:
            write_masses(table, out[part], masses[part])


def _keep_frozen(trainable: Tensor | None, old: Tensor, out: Tensor) -> None:
    if trainable is not None:
        out[~trainable] = old[~trainable]


def _check_finite(flows: Tensor, what: str) -> None:
    # A sum is NaN or infinite whenever one of its addends is: one number to look at.
    if not math.isfinite(float(flows.sum())):
        raise DataError(f"the expected counts of a {what} layer hold NaN or infinity; the model was not changed")
