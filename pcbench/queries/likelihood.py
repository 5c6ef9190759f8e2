"""How probable is the evidence?"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from ..errors import DataError, QueryError, hinted
from ..execute import Data, Evidence, Model, Workspace, forward
from .batching import batches


@hinted
def log_likelihood(model: Model, evidence: Data, batch_size: int | None = None) -> Float64[Tensor, "batch *outputs"]:
    """Log-likelihood of each row in nats: ``[B]`` float64, or ``[B, outputs]`` for several root nodes.

    Variables that are not observed are marginalised exactly, so this is also the marginal query. −∞ means impossible.

    Args:
        model: a model.
        evidence: values ``[B, V]``, or :class:`Evidence` with a mask and soft evidence.
        batch_size: rows evaluated at once; chosen from the memory they need where left out.

    Raises:
        DataError: naming row, variable and value that do not fit.
    """
    evidence = Evidence.of(evidence)
    space = Workspace()
    parts = [forward(model, part, space) for _, part in batches(model, evidence, batch_size)]
    out = torch.cat(parts)
    return out[:, 0] if out.shape[1] == 1 else out


@hinted
def marginal(
    model: Model, evidence: Data, variables: list[str | int], batch_size: int | None = None
) -> Float64[Tensor, "batch *outputs"]:
    """Log probability in nats of the given variables' values alone, everything else marginalised: ``[B]``.

    Args:
        model: a model.
        evidence: where the values stand; what it leaves unobserved stays so.
        variables: names or column numbers of the variables to keep.
    """
    evidence = Evidence.of(evidence)
    evidence.check(model.circuit.variables)
    keep = torch.zeros(len(model.circuit.variables), dtype=torch.bool)
    keep[[model.circuit.variables[v].index for v in variables]] = True
    observed = keep if evidence.observed is None else evidence.observed & keep
    soft = {v: s for v, s in evidence.soft.items() if keep[v]}
    return log_likelihood(model, Evidence(evidence.values, observed, soft), batch_size)


@hinted
def conditional_log_likelihood(
    model: Model, query: Data, given: Data, batch_size: int | None = None
) -> Float64[Tensor, "batch *outputs"]:
    """log p(query | given) in nats: ``[B]``; both hold the values, and each says by its mask which variables it means.

    Raises:
        QueryError: when a row of ``given`` has probability zero, or the two disagree on a variable both observe.
    """
    query, given = Evidence.of(query), Evidence.of(given)
    for side in (query, given):
        side.check(model.circuit.variables)
    if len(query) != len(given):
        raise DataError(f"query has {len(query)} rows, but given has {len(given)}")
    q, g = query.mask(), given.mask()
    clash = q & g & (query.values != given.values)
    if bool(clash.any()):
        row, column = (int(i) for i in clash.nonzero()[0])
        name = model.circuit.variables[column].name
        raise QueryError(f"row {row}: query and given disagree on {name!r}")
    joint = Evidence(torch.where(q, query.values, given.values), q | g, {**given.soft, **query.soft})
    below = log_likelihood(model, given, batch_size)
    if bool((below == -math.inf).any()):
        row = int((below == -math.inf).nonzero()[0, 0])
        raise QueryError(f"row {row}: the given evidence has probability zero")
    return log_likelihood(model, joint, batch_size) - below
