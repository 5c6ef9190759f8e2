"""What does the evidence say about each other variable?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Distribution
from ..errors import QueryError, hinted
from ..execute import Activations, Batch, Data, Evidence, Model, Workspace, downward, upward
from ..scope import Finite, Variable
from .batching import batches


@dataclass(frozen=True, eq=False)
class Posterior:
    """The distribution of one variable given each row of evidence: a mixture of the circuit's leaves over it.

    Attributes:
        variable: the variable.
        components: one (family, parameters ``[S, N]``, mixture weights ``[B, N]``) for each leaf vector over it.
        probabilities: ``[B, C]`` for a finite variable, otherwise ``None``.
    """

    variable: Variable
    components: tuple[tuple[Distribution, Tensor, Tensor], ...]
    probabilities: Tensor | None

    @property
    def _values(self) -> Tensor:
        assert self.probabilities is not None
        return torch.arange(self.probabilities.shape[1], dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """Expected value: ``[B]``."""
        if self.probabilities is not None:
            return self.probabilities @ self._values
        return sum((w @ f.mean(p) for f, p, w in self.components), start=torch.zeros(()))

    @property
    def variance(self) -> Tensor:
        """Variance: ``[B]`` (law of total variance)."""
        if self.probabilities is not None:
            return self.probabilities @ self._values.square() - self.mean.square()
        second = sum((w @ (f.variance(p) + f.mean(p).square()) for f, p, w in self.components), start=torch.zeros(()))
        return second - self.mean.square()

    def cdf(self, values: Tensor) -> Tensor:
        """P(X ≤ x) for one value a row: ``[B]`` → ``[B]``."""
        if self.probabilities is not None:
            return (self.probabilities * (self._values[None, :] <= values[:, None])).sum(1)
        return sum(((w * f.cdf(p, values.to(p.dtype))).sum(1) for f, p, w in self.components), start=torch.zeros(()))


@hinted
def conditional(
    model: Model,
    evidence: Data,
    variables: Sequence[str | int] | None = None,
    batch_size: int | None = None,
    output: int = 0,
) -> dict[str, Posterior]:
    """The conditional distribution of each variable given each row of evidence, from one upward and one downward pass.

    Args:
        model: a model.
        evidence: what is observed, row by row.
        variables: names or columns asked for; all where left out. A variable that some row observes cannot
            be asked for by name, and is left out of « all ».
        batch_size: rows at once.
        output: the root node that is conditioned on.

    Returns:
        A :class:`Posterior` for each variable, by name; mixture weights are the flows into the variable's leaves.

    Raises:
        QueryError: for evidence of probability zero, or a variable that the evidence observes.
    """
    evidence = Evidence.of(evidence)
    evidence.check(model.circuit.variables)
    wanted = _wanted(model, evidence, variables)
    space = Workspace()
    weights: dict[int, list[Tensor]] = {}
    with torch.no_grad():
        for start, part in batches(model, evidence, batch_size, output):
            act = upward(model.program, model.parameters, Batch.of(model.program, part), space, keep_elements=True)
            _require_possible(act, output, start)
            seeds = torch.zeros_like(act.log_likelihood)
            seeds[:, output] = 1
            downward(act, seeds)
            for variable in wanted:
                for key, flow in _leaf_flows(act, variable.index):
                    weights.setdefault(key, []).append(flow)
    out = {}
    for variable in wanted:
        out[variable.name] = _posterior(model, variable, evidence, weights)
    return out


def _wanted(model: Model, evidence: Evidence, variables: Sequence[str | int] | None) -> list[Variable]:
    known = model.circuit.variables
    hard = evidence.mask()
    if variables is None:
        modelled = model.circuit.scope()
        return [v for v in known if modelled >> v.index & 1 and not bool(hard[:, v.index].any())]
    chosen = [known[v] for v in variables]
    for variable in chosen:
        if bool(hard[:, variable.index].any()):
            row = int(hard[:, variable.index].nonzero()[0, 0])
            raise QueryError(f"{variable.name!r} is observed in row {row}; mask it to ask for its distribution")
    return chosen


def _require_possible(act: Activations, output: int, start: int) -> None:
    wrong = ~torch.isfinite(act.log_likelihood[:, output])
    if bool(wrong.any()):
        raise QueryError(f"row {start + int(wrong.nonzero()[0, 0])}: the evidence has probability zero")


def _leaf_flows(act: Activations, column: int) -> list[tuple[int, Tensor]]:
    """(table and use, flow ``[B, N]``) of every leaf vector over a variable."""
    return [
        (_key(t, use), act.elements[table.nodes][int(table.element_rows[use])].double().cpu().clone())
        for t, table in enumerate(act.program.leaf_tables)
        for use in (table.variables == column).nonzero()[:, 0].tolist()
    ]


def _key(table: int, use: int) -> int:
    return table << 40 | use


def _posterior(model: Model, variable: Variable, evidence: Evidence, weights: dict[int, list[Tensor]]) -> Posterior:
    components = []
    probabilities: Tensor | None = None
    soft = evidence.soft.get(variable.index)
    for t, table in enumerate(model.program.leaf_tables):
        for use in (table.variables == variable.index).nonzero()[:, 0].tolist():
            flow = torch.cat(weights[_key(t, use)])
            parameters = model.parameters.leaves[t][table.rows[use]].double().cpu()
            components.append((table.distribution, parameters, flow))
            if isinstance(variable.domain, Finite):
                masses = table.distribution.log_table(parameters, variable.domain).exp()  # [C, N]
                if soft is not None:
                    share = masses[None] * soft.double().view(-1, len(masses), 1)  # p(value | node, soft evidence)
                    share = share / share.sum(1, keepdim=True).clamp_(min=torch.finfo(torch.float64).tiny)
                    part = (share * flow[:, None, :]).sum(2)
                else:
                    part = flow @ masses.T
                probabilities = part if probabilities is None else probabilities + part
    return Posterior(variable, tuple(components), probabilities)
