"""Whole steps: evidence in, likelihoods or statistics out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from ..errors import hinted
from .downward import downward
from .evidence import Batch, Data, Evidence
from .fused import fused_batch, fused_downward, fused_upward
from .linear import fastest_upward
from .model import Model
from .statistics import Statistics
from .workspace import Workspace


@hinted
def forward(model: Model, evidence: Data, workspace: Workspace | None = None) -> Float64[Tensor, "batch outputs"]:
    """Log-likelihood of the evidence in nats: ``[B, outputs]`` float64; −∞ where it is impossible.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    with torch.no_grad():
        evidence, workspace = Evidence.of(evidence), workspace or Workspace()
        if (laid_out := fused_batch(model.program, evidence, workspace)) is not None:
            up = fused_upward(model.program, model.parameters, laid_out, workspace)
            if up.exact:
                return up.log_likelihood
        batch = Batch.of(model.program, evidence)
        return fastest_upward(model.program, model.parameters, batch, workspace).log_likelihood.cpu()


@hinted
def expectation(
    model: Model,
    evidence: Data,
    workspace: Workspace | None = None,
    into: Statistics | None = None,
    clock: Callable[[str], None] | None = None,
) -> tuple[Statistics, Float64[Tensor, "batch outputs"]]:
    """The E step on one batch: expected counts, and the log-likelihood ``[B, outputs]``.

    Args:
        model: program and parameters.
        evidence: the batch; rows of probability zero add nothing to the counts.
        workspace: buffers to use again.
        into: statistics to add to; fresh ones where left out.
        clock: called with ``"forward"`` and ``"backward"`` at the end of each part.
    """
    if into is not None:
        into.require(model.program)
    with torch.no_grad():
        evidence, workspace = Evidence.of(evidence), workspace or Workspace()
        statistics = Statistics.zeros(model.program) if into is None else into
        lap = clock or (lambda _: None)
        if (laid_out := fused_batch(model.program, evidence, workspace)) is not None:
            up = fused_upward(model.program, model.parameters, laid_out, workspace, statistics)
            if up.exact:
                lap("forward")
                fused_downward(up, statistics)
                lap("backward")
                return statistics, up.log_likelihood
        batch = Batch.of(model.program, evidence)
        act = fastest_upward(model.program, model.parameters, batch, workspace, keep_elements=True)
        lap("forward")
        downward(act, statistics=statistics)
        lap("backward")
        return statistics, act.log_likelihood.cpu()
