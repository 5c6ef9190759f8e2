"""One step of EM, full-batch and mini-batch: expected counts of rows, then new parameters."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import DataError, OptionError, hinted
from ..execute import Clock, Data, Evidence, Model, Statistics, Workspace, em_step, expectation, maximise


class EMStep(NamedTuple):
    """What a step of EM gives.

    Attributes:
        model: with the new parameters; the old model is as it was.
        log_likelihood: mean over rows (and root nodes) in nats, under the *old* parameters: that is what the E step sees.
    """

    model: Model
    log_likelihood: float


@hinted
def full_batch_em(model: Model, data: Data, batch_size: int = 512, pseudocount: float | int = 0.0) -> EMStep:
    """One step of EM over all rows. Without a pseudocount, the log-likelihood of the data never falls.

    Args:
        model: where to start.
        data: ``[B, V]``, or :class:`Evidence` with missing or soft values.
        batch_size: rows evaluated at once; changes memory and rounding only.
        pseudocount: as in :func:`~pcbench.execute.maximise`.

    Raises:
        DataError: when the data does not fit, or naming the first row of probability zero; no parameter is changed.
    """
    evidence = Evidence.of(data)
    evidence.check(model.circuit.variables)
    statistics, space, total = Statistics.zeros(model.program), Workspace(), 0.0
    for start, stop in batch_bounds(len(evidence), batch_size):
        total += accumulate(model, evidence[start:stop], torch.arange(start, stop), statistics, space)
    return EMStep(maximise(model, statistics, pseudocount=float(pseudocount)), total / len(evidence))


@hinted
def mini_batch_em(model: Model, batch: Data, step_size: float | int, pseudocount: float | int = 0.0) -> EMStep:
    """One step of online EM from one batch: ``(1−η)·old + η·new`` in mean parameters.

    Args:
        model: where to start.
        batch: ``[B, V]``, or :class:`Evidence`.
        step_size: η in (0, 1].
        pseudocount: as in :func:`~pcbench.execute.maximise`, relative to the rows of the batch.

    Raises:
        DataError: as :func:`full_batch_em`.
    """
    evidence = Evidence.of(batch)
    evidence.check(model.circuit.variables)
    stepped = em_step(model, evidence, float(step_size), float(pseudocount))
    require_possible(stepped.log_likelihood, torch.arange(len(evidence)), "the training data")
    return EMStep(stepped.model, summed(stepped.log_likelihood) / len(evidence))


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """(first, past the last) row of batches of at most ``batch_size`` rows whose sizes differ by at most one.

    A remainder of a few rows would otherwise move the parameters of mini-batch EM as far as a full batch does.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, got {batch_size}")
    count = max(1, -(-rows // batch_size))
    return [(rows * i // count, rows * (i + 1) // count) for i in range(count)]


def accumulate(
    model: Model,
    batch: Evidence,
    rows: Tensor,
    statistics: Statistics,
    workspace: Workspace,
    clock: Clock | None = None,
) -> float:
    """Add a batch's expected counts to ``statistics``; its log-likelihood, summed over rows, mean over root nodes, nats.

    Args:
        model: under which the counts are expected.
        batch: evidence.
        rows: ``[B]``, which row of the data each one is, for messages.
        statistics: added to.
        workspace: buffers to use again.
        clock: as in :func:`~pcbench.execute.expectation`.

    Raises:
        DataError: naming the first row whose log-likelihood is not finite.
    """
    _, log_likelihood = expectation(model, batch, workspace, statistics, clock)
    require_possible(log_likelihood, rows, "the training data")
    return summed(log_likelihood)


def summed(log_likelihood: Tensor) -> float:
    """Sum over rows and mean over root nodes of ``[B, outputs]``."""
    return float(log_likelihood.sum()) / log_likelihood.shape[1]


def require_possible(log_likelihood: Tensor, rows: Tensor, where: str) -> None:
    """Raise :class:`DataError` at the first row of ``[B, outputs]`` that is not finite.

    One such row would turn the mean log-likelihood into −∞; EM has nothing to learn from it, and averaging it in would
    bring NaN into parameters.
    """
    finite = torch.isfinite(log_likelihood).all(1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0, 0])
        values = log_likelihood[first]
        value = float(values[~torch.isfinite(values)][0])
        others = int((~finite).sum()) - 1
        more = f" (and {others} more in its batch)" if others else ""
        what = "has probability zero under the model" if value == -torch.inf else f"has log-likelihood {value}"
        raise DataError(
            f"row {int(rows[first])} of {where}{more} {what}. Start from parameters without zeros, and train with a "
            "pseudocount > 0, which keeps every probability above zero; or leave the row out"
        )
