"""Whole steps: evidence in, likelihoods, statistics or a new model out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float64
from torch import Tensor

from ..errors import hinted
from .downward import downward
from .evidence import Batch, Data, Evidence
from .fused import fused_downward, fused_upward
from .fused_evidence import FusedBatch, fused_batch
from .fused_pass import FusedPass
from .linear import fastest_upward
from .maximise import check_rates, maximise
from .model import Model
from .stamps import Clock
from .statistics import Statistics
from .underway import Stepped, Underway, forget_steps, launch_step
from .workspace import Workspace


@hinted
def forward(model: Model, evidence: Data, workspace: Workspace | None = None) -> Float64[Tensor, "batch outputs"]:
    """Log-likelihood of the evidence in nats: ``[B, outputs]`` float64; −∞ where it is impossible.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    with torch.no_grad():
        evidence, workspace = Evidence.of(evidence), workspace or Workspace()
        if (laid_out := fused_batch(model.program, evidence, workspace, soft=True)) is not None:

            def passed() -> FusedPass:
                return fused_upward(model.program, model.parameters, laid_out, workspace)

            _rehearse("forward", passed, laid_out, model, workspace)
            settled = passed().settle()
            if settled.exact:
                return settled.log_likelihood
        batch = Batch.of(model.program, evidence)
        return fastest_upward(model.program, model.parameters, batch, workspace).log_likelihood.cpu()


@hinted
def expectation(
    model: Model,
    evidence: Data,
    workspace: Workspace | None = None,
    into: Statistics | None = None,
    clock: Clock | None = None,
) -> tuple[Statistics, Float64[Tensor, "batch outputs"]]:
    """The E step on one batch: expected counts, and the log-likelihood ``[B, outputs]``.

    Args:
        model: program and parameters.
        evidence: the batch; rows of probability zero add nothing to the counts.
        workspace: buffers to use again.
        into: statistics to add to; fresh ones where left out.
        clock: gets a lap ``"forward"`` and a lap ``"backward"``.
    """
    if into is not None:
        into.require(model.program)
    with torch.no_grad():
        evidence, workspace = Evidence.of(evidence), workspace or Workspace()
        statistics = Statistics.zeros(model.program) if into is None else into
        if (laid_out := fused_batch(model.program, evidence, workspace, soft=True)) is not None:

            def passed() -> FusedPass:
                return fused_upward(model.program, model.parameters, laid_out, workspace, downward=True)

            def rehearsed() -> None:  # not into what was counted before: PyTorch's own kernels add to it even then
                fused_downward(passed(), replace(statistics, leaves=[torch.empty_like(t) for t in statistics.leaves]))

            _rehearse(("expectation", statistics.rows == 0), rehearsed, laid_out, model, workspace)
            up = passed()
            settled = up.settle()
            if settled.exact:
                _lap(clock, "forward")
                fused_downward(up, statistics)
                statistics.rows += laid_out.size
                statistics.log_likelihood += float(settled.log_likelihood.sum())
                _lap(clock, "backward")
                return statistics, settled.log_likelihood
        return statistics, _exact_expectation(model, evidence, workspace, statistics, clock)


def _exact_expectation(
    model: Model, evidence: Evidence, workspace: Workspace, statistics: Statistics, clock: Clock | None
) -> Tensor:
    batch = Batch.of(model.program, evidence)
    act = fastest_upward(model.program, model.parameters, batch, workspace, keep_elements=True)
    _lap(clock, "forward")
    downward(act, statistics=statistics)
    _lap(clock, "backward")
    return act.log_likelihood.cpu()


def _rehearse(what: Hashable, passed: Callable[[], object], batch: FusedBatch, model: Model, workspace: Workspace) -> None:
    workspace.graphs.rehearse((what, model.program, batch.size, batch.kind), passed, model.program.device)


def _lap(clock: Clock | None, part: str) -> None:
    if clock is not None:
        clock.lap(part)


@hinted
def em_step(
    model: Model,
    evidence: Data,
    step_size: float = 1.0,
    pseudocount: float = 0.0,
    workspace: Workspace | None = None,
    recycle: Model | None = None,
    statistics: Statistics | None = None,
    clock: Clock | None = None,
) -> Stepped:
    """One step of EM from one batch: what :func:`expectation` and :func:`maximise` give, in one go.

    On a GPU, counts need not be kept, and nothing is waited for but the end.

    Args:
        model, evidence, workspace: as for :func:`expectation`.
        step_size, pseudocount: as for :func:`maximise`.
        recycle: a model of the same program that nobody needs any more; its memory is used for the result. It may be
            ``model`` itself: then fused passes write the new parameters over the old ones, unless
            the batch needs the exact passes.
        statistics: memory for counts where they have to be kept.
        clock: gets a lap, or a share of one, for ``"forward"``, ``"backward"`` and ``"update"``.

    Raises:
        DataError: when the evidence does not fit the variables, or a count is not finite; the model is as it was, but for
            those of its other nodes that have been updated in place by then.
    """
    check_rates(step_size, pseudocount)
    with torch.no_grad():
        evidence, workspace = Evidence.of(evidence), workspace or Workspace()
        forget_steps(workspace, model.program.device)
        if (under_way := launch_step(model, evidence, step_size, pseudocount, workspace, recycle, clock)) is not None:
            return settled_step(under_way, statistics)
        statistics = Statistics.within(model.program, workspace) if statistics is None else statistics.reset()
        _, log_likelihood = expectation(model, evidence, workspace, statistics, clock)
        new = maximise(model, statistics, step_size, pseudocount, recycle)
        _lap(clock, "update")
        return Stepped(new, log_likelihood)


def em_steps(
    model: Model, batches: Iterable[Data], step_size: float = 1.0, pseudocount: float = 0.0, workspace: Workspace | None = None
) -> Iterator[Stepped]:
    """Steps of EM, a batch each, from what the step before gave: the same as :func:`em_step`, one after the other.

    A GPU is told the next step before the one before it is waited for, and a step may write over the model that it reads, the
    first included: of a model that is yielded, the memory may hold what the next step makes.

    Raises:
        DataError: as :func:`em_step`; later batches have changed nothing.
    """
    check_rates(step_size, pseudocount)
    workspace = workspace or Workspace()
    forget_steps(workspace, model.program.device)
    waiting: deque[Underway] = deque()
    coming, ended = iter(batches), False
    todo: deque[Evidence] = deque()
    while True:
        if not todo and not ended:
            if (batch := next(coming, None)) is None:
                ended = True
            else:
                todo.append(Evidence.of(batch))
        newest = waiting[-1].new if waiting else model
        if todo and (launched := launch_step(newest, todo[0], step_size, pseudocount, workspace, newest)) is not None:
            todo.popleft()
            waiting.append(launched)
        elif waiting:
            stepped = settled_step(waiting.popleft())
            todo.extendleft(step.evidence for step in reversed(waiting) if step.void)
            waiting = deque(step for step in waiting if not step.void)
            model = stepped.model
            yield stepped
        elif todo:
            stepped = em_step(model, todo.popleft(), step_size, pseudocount, workspace)
            model = stepped.model
            yield stepped
        else:
            return


def settled_step(under_way: Underway, statistics: Statistics | None = None) -> Stepped:
    """What a step under way has come to: done anew by the exact passes where the fused ones lost mass.

    Args:
        under_way: not void.
        statistics: memory for counts where they have to be kept.

    Raises:
        DataError: as :func:`em_step`.
    """
    assert not under_way.void
    if (stepped := under_way.settle()) is not None:
        return stepped
    old, workspace, clock = under_way.old, under_way.workspace, under_way.clock
    with torch.no_grad():
        statistics = Statistics.within(old.program, workspace) if statistics is None else statistics.reset()
        log_likelihood = _exact_expectation(old, under_way.evidence, workspace, statistics, clock)
        recycle = None if under_way.in_place else under_way.new
        made = maximise(old, statistics, under_way.step_size, under_way.pseudocount, recycle)
        _lap(clock, "update")
        return Stepped(made, log_likelihood)
