"""Questions instead of training steps: each is checked, and then timed in rows a second."""

from __future__ import annotations

import gc
import statistics as stats
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..compile import compile
from ..execute import Evidence, Model
from ..nn import CircuitModule
from ..queries import conditional, mpe, sample
from . import cases, query_check
from .measure import outcome_of, synchronise

#: Key → what is asked, for tables.
QUESTIONS = {
    "sample": "unconditional samples",
    "complete": "samples given half of the variables",
    "posterior": "all posteriors given half of the variables",
    "mpe": "most probable explanations given half of the variables",
    "gradient": "gradients by all parameters, given half of the variables",
}
#: Posteriors of larger domains would mostly be copied: a row of an HMM over words has half a million probabilities.
MOST_CATEGORIES = 1024


def job(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """A cell, asked for from another process."""
    return cell(case, batch, torch.device(device), repeat)


def cell(case: str, batch: int, device: torch.device, repeat: int) -> dict[str, Any]:
    """All questions to one circuit; ``status`` is ok, wrong, oom or failed, ``errors`` says how far each answer was off."""
    row: dict[str, Any] = {"case": case, "batch": batch, "device": device.type, "status": "ok", "errors": {}}
    with outcome_of(row):
        _measure(row, case, batch, device, repeat)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return row


def _measure(row: dict[str, Any], case: str, batch: int, device: torch.device, repeat: int) -> None:
    circuit = cases.build(case)
    model = query_check.peaked(compile(circuit, device=device))
    reference = model.recompiled(compile(circuit, dtype=torch.float64))
    observed = query_check.half_observed(circuit)
    values = sample(reference, count=query_check.ROWS, seed=7)
    few = Evidence(values, observed)
    rows = Evidence(values[torch.arange(batch) % len(values)], observed)
    nothing = Evidence.none(1, circuit.variables)
    free = (~observed).nonzero()[:, 0].tolist()
    each = max(query_check.DRAWS, batch // query_check.ROWS)
    domains = [v.domain.size for v in circuit.variables]  # type: ignore[union-attr]  # every case is over finite variables
    asked: dict[str, tuple[Callable[[], float], float, Callable[[], object]]] = {
        "sample": (
            lambda: query_check.sampling_error(reference, sample(model, count=max(batch, 512))[None].cpu(), nothing),
            query_check.LIMIT,
            lambda: sample(model, count=batch),
        ),
        "complete": (
            lambda: query_check.sampling_error(reference, sample(model, evidence=few, count=each).cpu(), few),
            query_check.LIMIT,
            lambda: sample(model, evidence=rows),
        ),
        "mpe": (lambda: _tree_error(model, reference, few), query_check.TREE, lambda: mpe(model, rows)),
    }
    module = CircuitModule(model)
    error = lambda: query_check.gradient_error(reference, module, few)  # noqa: E731
    asked["gradient"] = (error, query_check.GRADIENT, lambda: _gradients(module, rows))
    if max(domains) <= MOST_CATEGORIES:
        far = lambda: query_check.posterior_error(reference, _posteriors(model, few, free), few, free)  # noqa: E731
        asked["posterior"] = (far, query_check.POSTERIOR, lambda: conditional(model, rows))
    for name, (check, most, ask) in asked.items():
        answer(row, name, check, most, ask, batch, device, repeat)


def answer(
    row: dict[str, Any],
    name: str,
    check: Callable[[], float],
    most: float,
    ask: Callable[[], object],
    batch: int,
    device: torch.device,
    repeat: int,
) -> None:
    """Check one question and, if its answers are right, time it: ``<name>_per_s``. A wrong one makes the row wrong."""
    row["errors"][name] = check()
    if not row["errors"][name] <= most:  # so that NaN is wrong
        row["status"] = "wrong"
        return
    row[f"{name}_per_s"] = batch / seconds(ask, device, repeat)


def seconds(ask: Callable[[], object], device: torch.device, repeat: int) -> float:
    """Median time of an answer; answers on the GPU are waited for."""
    times = []
    for _ in range(repeat + 1):
        synchronise(device)
        start = time.perf_counter()
        ask()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return stats.median(times[1:])  # the first one compiled something, perhaps


def _posteriors(model: Model, evidence: Evidence, free: list[int]) -> Tensor:
    found = conditional(model, evidence)
    parts = [found[model.circuit.variables[i].name].probabilities for i in free]
    return torch.stack([p.cpu() for p in parts if p is not None], 1)


def _gradients(module: CircuitModule, evidence: Evidence) -> None:
    module.zero_grad()
    module(evidence).mean().backward()


def _tree_error(model: Model, reference: Model, evidence: Evidence) -> float:
    found = mpe(model, evidence)
    return query_check.tree_error(reference, found.state.cpu(), found.log_tree.cpu(), evidence)
