"""Draw from the circuit, with or without evidence."""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..errors import OptionError, hinted
from ..execute import Batch, Data, Evidence, Model, Workspace, draw, upward
from .batching import batches


@hinted
def sample(
    model: Model,
    count: int | None = None,
    evidence: Data | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    output: int = 0,
) -> Shaped[Tensor, "*rows variables"]:
    """Exact samples: ``count`` unconditional ones, or one completion for each row of evidence.

    Args:
        model: a model.
        count: number of samples when there is no evidence; with evidence, samples for each row (1 where left out).
        evidence: rows to complete; observed values are kept.
        seed: sample ``i`` of a seed is the same whatever the batch size.
        batch_size: rows at once.
        output: the root node to sample from.

    Returns:
        ``[count, V]`` without evidence, ``[B, V]`` with it, ``[B, count, V]`` with evidence and a count; int64 when every
        variable is finite, otherwise float64.

    Raises:
        QueryError: when the evidence has probability zero.
    """
    if count is not None and count < 1:
        raise OptionError(f"count must be at least 1, got {count}")
    if evidence is None:
        if count is None:
            raise OptionError("sample() needs a count, or evidence to complete")
        rows = Evidence.none(count, model.circuit.variables)
        shape: tuple[int, ...] = (count,)
    else:
        given = Evidence.of(evidence)
        given.check(model.circuit.variables)
        shape = (len(given),) if count is None else (len(given), count)
        rows = given if count is None else given[torch.arange(len(given)).repeat_interleave(count)]
    space, parts = Workspace(), []
    with torch.no_grad():
        for start, part in batches(model, rows, batch_size, output):
            act = upward(model.program, model.parameters, Batch.of(model.program, part), space, keep_elements=True)
            parts.append(draw(act, seed, start, output))
    return torch.cat(parts).view(*shape, -1)
