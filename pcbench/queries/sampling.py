"""Draw from the circuit, with or without evidence."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..errors import DataError, OptionError, hinted
from ..execute import (
    Batch,
    Data,
    Evidence,
    Model,
    Wanted,
    Workspace,
    bytes_of_row,
    bytes_of_sample,
    draw,
    empty_samples,
    fused_draw,
    lent_workspace,
    upward,
)
from .batching import batches, check_batch_size, check_output

#: On a GPU: bytes that a batch may take when the caller does not say how many rows to take at once, and most samples of one.
GPU_BYTES, GPU_SAMPLES = 1 << 30, 8192


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

    A GPU draws what the CPU draws from the same seed, unless rounding moves a border between two choices past the noise:
    about one choice in a million with ``precision="exact"``; with ``"fast"`` the probability of a choice is off by a few
    tenths of a percent of itself.

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
    check_batch_size(batch_size)
    check_output(model, output)
    if evidence is None:
        if count is None:
            raise OptionError("sample() needs a count, or evidence to complete")
        given, everything = None, Wanted(0, count, count, seed, output)
        shape: tuple[int, ...] = (count,)
    else:
        given, each = Evidence.of(evidence), count or 1
        everything = Wanted(0, len(given) * each, each, seed, output)
        shape = (len(given),) if count is None else (len(given), count)
    with torch.no_grad():
        draws = _draw_exactly if model.program.fused is None else _draw_fused
        drawn = draws(model, given, everything, batch_size)
    return drawn.view(*shape, -1)


def _draw_fused(model: Model, given: Evidence | None, everything: Wanted, batch_size: int | None) -> Tensor:
    """By fused passes, except for batches that these cannot draw. Values are checked where they are laid out."""
    if given is not None:
        given.check_form(model.circuit.variables)
    size = batch_size or _fused_batch_size(model, given, everything)
    drawn = empty_samples(model.program, everything.size)
    with lent_workspace(model) as space:
        for first in range(0, everything.size, size):
            into = drawn[first : first + size]
            wanted = replace(everything, first=first, size=len(into))
            part = None if given is None else given[wanted.rows]
            try:
                if not fused_draw(model.program, model.parameters, part, wanted, space, into):
                    into.copy_(_draw_exactly(model, given, wanted, batch_size))
            except DataError:
                if given is not None:
                    given.check(model.circuit.variables)  # names the row among all rows
                raise
    return drawn


def _fused_batch_size(model: Model, given: Evidence | None, everything: Wanted) -> int:
    """Samples at once: as many as memory allows, in batches of one size, so that a captured graph serves all."""
    of_row = 0.0 if given is None else bytes_of_row(model.program, given.soft) / everything.each
    most = min(GPU_SAMPLES, max(1, int(GPU_BYTES / (of_row + bytes_of_sample(model.program)))))
    return -(-everything.size // -(-everything.size // most))


def _draw_exactly(model: Model, given: Evidence | None, wanted: Wanted, batch_size: int | None) -> Tensor:
    if given is None:
        rows = Evidence.none(wanted.size, model.circuit.variables)
    else:
        given.check(model.circuit.variables)
        rows = given[torch.arange(wanted.first, wanted.first + wanted.size) // wanted.each]
    space, parts = Workspace(), []
    for start, part in batches(model, rows, batch_size, wanted.output):
        act = upward(model.program, model.parameters, Batch.of(model.program, part), space, keep_elements=True)
        parts.append(draw(act, wanted.seed, wanted.first + start, wanted.output, wanted.each))
    return torch.cat(parts)
