"""What is the most probable explanation of the evidence?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ..circuit.determinism import deterministic
from ..circuit.properties import Report
from ..errors import DataError, hinted
from ..execute import (
    Batch,
    Data,
    Evidence,
    Model,
    Workspace,
    bytes_of_trees,
    forward,
    fused_explain,
    lent_workspace,
    max_product,
    maximise_tree,
    require_support,
)
from .batching import batches, check_batch_size, check_output

#: On a GPU: bytes that a batch may take when the caller does not say how many rows to take at once, and most rows of one.
GPU_BYTES, GPU_ROWS = 1 << 30, 4096

#: What is known of a model; to find out, all parameters travel to the CPU.
_reports: WeakKeyDictionary[Model, Report] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Explanation:
    """The result of a most-probable-explanation query.

    Attributes:
        state: ``[B, V]``, the evidence completed with the best value of every other variable.
        log_probability: ``[B]`` float64, nats: the circuit's log-likelihood of ``state``.
        log_tree: ``[B]`` float64, nats: log weight of the best tree, never above ``log_probability``.
        exact: whether ``state`` is certain to be the maximum.
        note: why, in words.
    """

    state: Shaped[Tensor, "batch variables"]
    log_probability: Float64[Tensor, " batch"]
    log_tree: Float64[Tensor, " batch"]
    exact: bool
    note: str


@hinted
def mpe(model: Model, evidence: Data, batch_size: int | None = None, output: int = 0) -> Explanation:
    """The most probable completion of each row, by a max-product pass and a walk down its best tree.

    Exact when every sum node is deterministic (at most one child is positive for any complete assignment). Otherwise
    the best tree is a lower bound: a state reached by many trees may be more probable. Finding that one is NP-hard
    (de Campos 2011), so the result then says that it is a bound.

    Raises:
        QueryError: when the evidence has probability zero.
    """
    evidence = Evidence.of(evidence)
    check_output(model, output)
    evidence.check_form(model.circuit.variables)
    check_batch_size(batch_size)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.no_grad(), lent_workspace(model) as lent:
        explained = _exactly if model.program.fused is None else _fused
        for state, tree in explained(model, evidence, batch_size, output, lent):
            found.append((state, tree, forward(model, state, lent)[:, output]))
    states, trees, values = zip(*found, strict=True)
    report = _determinism(model)
    exact = report.holds and not evidence.soft
    if exact:
        note = "exact: the circuit is deterministic"
    elif evidence.soft:
        note = "soft evidence is weighed when the state is chosen, but is not part of log_probability"
    else:
        note = f"a lower bound, not certain to be the maximum: {report.violations[0].message}"
    return Explanation(torch.cat(states), torch.cat(values), torch.cat(trees), exact, note)


def _fused(
    model: Model, evidence: Evidence, batch_size: int | None, output: int, space: Workspace
) -> Iterator[tuple[Tensor, Tensor]]:
    """State and log weight of the best trees of each batch, by fused passes. Values are checked where they are laid out."""
    most = min(GPU_ROWS, max(1, GPU_BYTES // bytes_of_trees(model.program, evidence.soft)))
    size = batch_size or -(-len(evidence) // -(-len(evidence) // most))  # one size, so that a captured graph serves all
    for first in range(0, len(evidence), size):
        part = evidence[first : first + size]
        try:
            explained = fused_explain(model.program, model.parameters, part, output, space)
        except DataError:
            evidence.check(model.circuit.variables)  # names the row among all rows
            raise
        if explained is None:
            evidence.check(model.circuit.variables)
            yield from _exactly(model, part, batch_size, output, space, first)
            continue
        tree = explained.log_tree[:, output]
        require_support(tree, first)
        yield explained.state, tree


def _exactly(
    model: Model, evidence: Evidence, batch_size: int | None, output: int, space: Workspace, first_row: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same by PyTorch's kernels; row ``first_row + b`` is what messages name row ``b``."""
    for start, part in batches(model, evidence, batch_size, output):
        act = max_product(model.program, model.parameters, Batch.of(model.program, part), space)
        tree = act.log_likelihood[:, output].cpu().clone()
        yield maximise_tree(act, output, first_row + start), tree


def _determinism(model: Model) -> Report:
    found = _reports.get(model)
    if found is None:
        found = _reports[model] = deterministic(model.circuit, model.values())
    return found
