"""What is the most probable explanation of the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ..circuit.determinism import deterministic
from ..circuit.properties import Report
from ..errors import hinted
from ..execute import Batch, Data, Evidence, Model, Workspace, forward, lent_workspace, max_product, maximise_tree
from .batching import batches

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
    space, states, trees, values = Workspace(), [], [], []
    with torch.no_grad(), lent_workspace(model) as lent:
        for start, part in batches(model, evidence, batch_size, output):
            act = max_product(model.program, model.parameters, Batch.of(model.program, part), space)
            trees.append(act.log_likelihood[:, output].cpu().clone())
            states.append(maximise_tree(act, output, start))
            values.append(forward(model, states[-1], lent)[:, output])
    report = _determinism(model)
    exact = report.holds and not evidence.soft
    if exact:
        note = "exact: the circuit is deterministic"
    elif evidence.soft:
        note = "soft evidence is weighed when the state is chosen, but is not part of log_probability"
    else:
        note = f"a lower bound, not certain to be the maximum: {report.violations[0].message}"
    return Explanation(torch.cat(states), torch.cat(values), torch.cat(trees), exact, note)


def _determinism(model: Model) -> Report:
    found = _reports.get(model)
    if found is None:
        found = _reports[model] = deterministic(model.circuit, model.values())
    return found
