"""The same questions to PyJuice, as far as it answers them: samples, with and without evidence, and posteriors.

It has no query that returns most probable explanations.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from ..compile import compile
from ..execute import Evidence, Model
from ..io import from_pyjuice
from ..queries import sample
from . import cases, query_check
from .measure import outcome_of
from .pyjuice_nodes import pyjuice_nodes
from .query_cell import MOST_CATEGORIES, answer


def job(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """All questions to one circuit in PyJuice; ``status`` is ok, wrong, oom or failed."""
    row: dict[str, Any] = {"status": "ok", "errors": {}}
    with outcome_of(row):
        _measure(row, importlib.import_module("pyjuice"), case, batch, torch.device(device), repeat)
    return row


class _Asked:
    """A compiled circuit of PyJuice, and a batch of half observed rows."""

    def __init__(self, juice: Any, root: Any, values: Tensor, observed: Tensor, device: torch.device) -> None:
        self.juice = juice
        self.pc = juice.compile(root)
        self.pc.to(device)
        self.values, self.observed = values.to(device), observed.to(device)
        self.missing = ~self.observed
        self.pc(self.values)  # its sampler reads buffers that a first pass makes

    def sample(self) -> Tensor:
        """``[B, V]``"""
        drawn: Tensor = self.juice.queries.sample(self.pc, num_samples=len(self.values))
        return drawn

    def complete(self) -> Tensor:
        """``[B, V]``: one completion of each row."""
        self.juice.queries.marginal(self.pc, self.values, missing_mask=self.missing)
        drawn = self.juice.queries.sample(self.pc, conditional=True)
        return torch.where(self.observed, self.values, drawn)

    def posteriors(self) -> Tensor:
        """``[B, V, C]``"""
        found: Tensor = self.juice.queries.conditional(self.pc, self.values, missing_mask=self.missing)
        return found


def _measure(row: dict[str, Any], juice: Any, case: str, batch: int, device: torch.device, repeat: int) -> None:
    circuit = cases.build(case)
    root = pyjuice_nodes(juice, circuit, case).root
    root.init_parameters(perturbation=query_check.SHARPNESS)  # as peaked as ours
    converted = from_pyjuice(root, circuit.variables)
    reference = Model.create(compile(converted, dtype=torch.float64))
    observed = query_check.half_observed(circuit)
    few = sample(reference, count=min(batch, query_check.ROWS), seed=7)
    evidence, nothing = Evidence(few, observed), Evidence.none(1, circuit.variables)
    each = batch // len(few)  # both are powers of two
    asked = _Asked(juice, root, few.repeat_interleave(each, 0), observed, device)
    free = (~observed).nonzero()[:, 0].tolist()

    def completions() -> Tensor:
        return asked.complete().cpu().reshape(len(few), each, -1)

    limit, place = query_check.LIMIT, (batch, device, repeat)
    answer(
        row,
        "sample",
        lambda: query_check.sampling_error(reference, asked.sample()[None].cpu(), nothing),
        limit,
        asked.sample,
        *place,
    )
    answer(
        row,
        "complete",
        lambda: query_check.sampling_error(reference, completions(), evidence),
        limit,
        asked.complete,
        *place,
    )
    if max(v.domain.size for v in circuit.variables) <= MOST_CATEGORIES:  # type: ignore[union-attr]  # finite
        answer(
            row,
            "posterior",
            lambda: query_check.posterior_error(reference, asked.posteriors()[::each][:, free], evidence, free),
            query_check.POSTERIOR,
            asked.posteriors,
            *place,
        )
