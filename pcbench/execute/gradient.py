"""The log-likelihood as a function that PyTorch can differentiate.

The flow of a node is the derivative of the log-likelihood by the node's log value, so the downward pass, fed with the
gradient that arrives from above instead of ones, leaves every derivative that is asked for:

- by the log of a sum weight: the flow through its edge, summed over rows (``Statistics.weights``);
- by a log probability of a leaf over a finite domain: the flow of the rows with that value (``Statistics.leaves``);
- by parameters and values of other leaves: the leaf's flow times the derivative of its log density, by autograd;
- by soft evidence ``s_c``: ``Σ_n flow_n p_nc / Σ_c s_c p_nc`` over the leaves of the variable.

On a GPU, the fused passes take all of it but batches that they cannot represent: those need the exact ones.

Rows of probability zero have no derivative. They send none: their part of every gradient is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from ..distributions import Distribution
from ..errors import QueryError
from .downward import downward
from .evidence import Batch, Evidence
from .free import sum_gradient
from .fused_densities import flows_of_densities
from .fused_gradient import fused_counts, fused_evaluation
from .fused_pass import FusedPass
from .fused_soft import fused_soft
from .model import Model, Parameters
from .soft import through_soft
from .statistics import Statistics
from .steps import forward
from .upward import Activations, upward
from .workspace import Workspace, chunk_groups


class Spaces:
    """Workspaces that no evaluation holds at the moment. Copies and pickles of it are empty."""

    def __init__(self) -> None:
        self._free: list[Workspace] = []

    def take(self) -> Workspace:
        # Buffers made in inference mode could not be written outside it, nor the other way round.
        if torch.is_inference_mode_enabled():
            return Workspace()
        try:
            return self._free.pop()
        except IndexError:
            return Workspace()

    def give_back(self, workspace: Workspace) -> None:
        if not torch.is_inference_mode_enabled():
            self._free.append(workspace)

    def __deepcopy__(self, memo: dict[int, Any]) -> Spaces:
        return Spaces()

    def __reduce__(self) -> tuple[type[Spaces], tuple[()]]:
        return Spaces, ()


@dataclass(frozen=True, eq=False)
class Targets:
    """Tensors of which ``parameters`` are functions, to take gradients by.

    Attributes:
        sums: by sum table, coordinates of its trainable rows; weights are their softmax.
        leaves: by leaf table, log probabilities ``[P, C, N]`` or parameters ``[P, S, N]`` of its trainable rows.
    """

    sums: dict[int, Tensor] = field(default_factory=dict)
    leaves: dict[int, Tensor] = field(default_factory=dict)


def differentiable_log_likelihood(
    program: Program, parameters: Parameters, evidence: Evidence, targets: Targets, spaces: Spaces
) -> Tensor:
    """Log-likelihood in nats ``[B, outputs]``, float64 on the program's device.

    Differentiable (once) by the targets, and by the evidence's ``soft`` and real-valued ``values`` where these require
    gradients. Nothing that the gradient depends on may be written before the backward pass; PyTorch notices when it is.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    soft = tuple(evidence.soft)
    tensors = [*evidence.soft.values(), *targets.sums.values(), *targets.leaves.values()]
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in [evidence.values, *tensors])):
        space = spaces.take()
        with torch.autocast(program.device.type, enabled=False):
            plain = forward(Model(program, parameters), evidence, space).to(program.device)
        spaces.give_back(space)
        return plain
    call = _Call(program, parameters, soft, tuple(targets.sums), tuple(targets.leaves), spaces)
    out: Tensor = _LogLikelihood.apply(call, evidence.values, evidence.observed, *tensors)  # type: ignore[no-untyped-call]
    return out


@dataclass(frozen=True, eq=False)
class _Call:
    """What a call is made of besides tensors: keys name the tensors that follow values and mask, in this order."""

    program: Program
    parameters: Parameters
    soft: tuple[int, ...]
    sums: tuple[int, ...]
    leaves: tuple[int, ...]
    spaces: Spaces

    def evaluate(self, values: Tensor, observed: Tensor | None, soft: Sequence[Tensor]) -> Activations | FusedPass:
        evidence = Evidence(values.detach(), observed, {v: s.detach() for v, s in zip(self.soft, soft, strict=True)})
        space = self.spaces.take()
        if (up := fused_evaluation(self.program, self.parameters, evidence, space)) is not None:
            return up
        batch = Batch.of(self.program, evidence)
        return upward(self.program, self.parameters, batch, space, keep_elements=True)


class _LogLikelihood(torch.autograd.Function):
    """Upward forward, downward backward."""

    @staticmethod
    def forward(ctx: Any, call: _Call, values: Tensor, observed: Tensor | None, *tensors: Tensor) -> Tensor:
        soft = tensors[: len(call.soft)]
        with torch.autocast(call.program.device.type, enabled=False):  # 16 bits are not enough for log-likelihoods
            act = call.evaluate(values, observed, soft)
        ctx.call, ctx.act = call, act
        ctx.save_for_backward(values, observed, *soft)  # PyTorch then notices when one is written before the backward pass
        found = act.likelihood if isinstance(act, FusedPass) else act.log_likelihood
        return found.clone()  # the result knows this node; were it kept here, neither could ever be freed

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        values, observed, *soft = ctx.saved_tensors
        call: _Call = ctx.call
        with torch.no_grad(), torch.autocast(call.program.device.type, enabled=False):
            act, ctx.act = ctx.act, None
            if act is None:  # a second backward pass (retain_graph=True): the first one overwrote the elements
                act = call.evaluate(values, observed, soft)
            if isinstance(act, FusedPass):
                found = _fused_gradients(call, act, values, soft, upstream[0], ctx.needs_input_grad)
            else:
                found = _gradients(call, act, values, soft, upstream[0], ctx.needs_input_grad)
            call.spaces.give_back(act.workspace)
        if torch.is_grad_enabled():  # create_graph=True
            wanted = [g for g in found if g is not None]
            once = iter(_OnlyOnce.apply(torch.empty(0, requires_grad=True), *wanted))  # type: ignore[no-untyped-call]
            found = [None if g is None else next(once) for g in found]
        return tuple(found)


class _OnlyOnce(torch.autograd.Function):
    """Hands gradients through, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in gradients)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise QueryError(
            "a circuit's log-likelihood can be differentiated once; second derivatives (create_graph=True and another "
            "backward pass, gradient penalties, Hessians) are not implemented"
        )


def _fused_gradients(
    call: _Call, up: FusedPass, values: Tensor, soft: Sequence[Tensor], upstream: Tensor, needed: Sequence[bool]
) -> list[Tensor | None]:
    """The same as :func:`_gradients` after the fused passes."""
    program = call.program
    statistics, scale = fused_counts(up, upstream, any(needed[3 + len(soft) :]))
    by_soft = _zeros_of(call, soft, needed)
    by_values = None
    if needed[1]:
        by_values = torch.zeros(values.shape[::-1], dtype=torch.float64, device=program.device)
    by_leaf: dict[int, Tensor] = {}
    for t, table in enumerate(program.leaf_tables):
        if table.categories is None and (statistics is not None or by_values is not None):
            by_leaf[t] = _through_fused_density(up, t, by_values)
        elif statistics is not None:
            by_leaf[t] = statistics.leaves[t][:, :-1]
    for t in up.batch.hard:
        fused_soft(up, t, None, by_soft)
    return _all_of(call, values, soft, statistics, by_values, by_soft, by_leaf, scale)


def _zeros_of(call: _Call, soft: Sequence[Tensor], needed: Sequence[bool]) -> dict[int, Tensor | None]:
    """Where gradients by soft evidence are added up; ``None`` where none is wanted."""
    wanted = needed[3 : 3 + len(soft)]
    return {
        v: torch.zeros_like(s, dtype=torch.float64, device=call.program.device) if asked else None
        for v, s, asked in zip(call.soft, soft, wanted, strict=True)
    }


def _by_soft(
    call: _Call, found: dict[int, Tensor | None], soft: Sequence[Tensor], scale: float | Tensor
) -> list[Tensor | None]:
    return [None if (g := found[v]) is None else _like(g * scale, s) for v, s in zip(call.soft, soft, strict=True)]


def _through_fused_density(up: FusedPass, t: int, by_values: Tensor | None) -> Tensor:
    """The same as :func:`_through_density` after the fused passes."""
    parameters, family = up.parameters.leaves[t], up.program.leaf_tables[t].distribution
    out = torch.zeros_like(parameters)
    for rows, variables, flow, values, observed in flows_of_densities(up, t):
        by_own, by_value = _density_gradient(family, parameters[rows], values, observed, flow)
        out.index_add_(0, rows, by_own)
        if by_values is not None:
            by_values.index_add_(0, variables, by_value)
    return out


def _gradients(
    call: _Call, act: Activations, values: Tensor, soft: Sequence[Tensor], upstream: Tensor, needed: Sequence[bool]
) -> list[Tensor | None]:
    """One gradient for each input of :class:`_LogLikelihood` that needs one."""
    program = call.program
    seeds = torch.where(torch.isfinite(act.log_likelihood), upstream.to(act.device).double(), 0.0)
    # Flows are taken relative to the largest seed: a loss of any scale fits into the program's precision.
    scale = float(seeds.abs().amax())
    if not 0 < scale < torch.inf:
        scale = 1.0
    wants_values = needed[1]
    counted = any(needed[3 + len(soft) :])
    statistics = Statistics.zeros(program) if counted else None
    downward(act, seeds / scale, statistics)
    by_soft = _zeros_of(call, soft, needed)
    by_values = torch.zeros(act.batch.values.shape, dtype=torch.float64, device=act.device) if wants_values else None
    by_leaf: dict[int, Tensor] = {}
    for t, table in enumerate(program.leaf_tables):
        if table.categories is not None:
            if soft:
                through_soft(act, t, None, by_soft)
            if statistics is not None:
                by_leaf[t] = statistics.leaves[t][:, :-1]
        elif counted or wants_values:
            by_leaf[t] = _through_density(act, t, table, by_values)
    return _all_of(call, values, soft, statistics, by_values, by_soft, by_leaf, scale)


def _all_of(
    call: _Call,
    values: Tensor,
    soft: Sequence[Tensor],
    statistics: Statistics | None,
    by_values: Tensor | None,
    by_soft: dict[int, Tensor | None],
    by_leaf: dict[int, Tensor],
    scale: float | Tensor,
) -> list[Tensor | None]:
    """What was found, times ``scale``, in the order of the inputs of :class:`_LogLikelihood`."""
    found: list[Tensor | None] = [None, None if by_values is None else _like(by_values.T * scale, values), None]
    found += _by_soft(call, by_soft, soft, scale)
    if statistics is None:
        return [*found, *(None for _ in [*call.sums, *call.leaves])]
    return [*found, *_by_parameters(call, statistics, by_leaf, scale)]


def _by_parameters(call: _Call, statistics: Statistics, by_leaf: dict[int, Tensor], scale: float | Tensor) -> list[Tensor]:
    """Gradients by the coordinates of sums, and by what leaves are told by: counts are multiplied by ``scale``."""
    tables, leaf_tables = call.program.sum_tables, call.program.leaf_tables
    weights, flows = call.parameters.weights, statistics.weights
    found = [sum_gradient(tables[t], weights[t], flows[t]) * scale for t in call.sums]
    for t in call.leaves:
        rows = leaf_tables[t].trainable
        found.append((by_leaf[t] if rows is None else by_leaf[t][rows]) * scale)
    return found


def _like(gradient: Tensor, given: Tensor) -> Tensor:
    return gradient.to(given.device, given.dtype)


def _through_density(act: Activations, index: int, table: LeafTable, by_values: Tensor | None) -> Tensor:
    """Gradient ``[P, S, N]`` by the parameters of leaves without a lookup table; adds that by their values ``[V, B]``."""
    parameters, batch = act.parameters.leaves[index], act.batch
    out = torch.zeros_like(parameters)
    step = chunk_groups(batch.size, table.nodes, torch.float64, act.device)
    for a in range(0, len(table.rows), step):
        rows, variables = table.rows[a : a + step], table.variables[a : a + step]
        values, flow = batch.values[variables].double(), act.elements[table.nodes][table.element_rows[a : a + step]]
        observed = None if batch.observed is None else batch.observed[variables]
        by_own, by_value = _density_gradient(table.distribution, parameters[rows], values, observed, flow)
        out.index_add_(0, rows, by_own)
        if by_values is not None:
            by_values.index_add_(0, variables, by_value)
    return out


def _density_gradient(
    family: Distribution, parameters: Tensor, values: Tensor, observed: Tensor | None, flow: Tensor
) -> tuple[Tensor, Tensor]:
    """Σ flow · log density ``[U, B, N]`` of leaf vectors, differentiated by parameters ``[U, S, N]`` and values ``[U, B]``."""
    if observed is not None:
        values = torch.where(observed, values, 0.0)  # what is not observed may hold anything, NaN included
        flow = torch.where(observed[:, :, None], flow, 0.0)
    with torch.enable_grad():
        parameters, values = parameters.detach().requires_grad_(), values.detach().requires_grad_()
        density = family.log_density(parameters, values)
    by_parameters, by_values = torch.autograd.grad(density, (parameters, values), flow)
    return by_parameters, by_values
