"""What does the evidence say about each other variable?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

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


class _Use(NamedTuple):
    """A leaf vector: its table, its row among the parameters, and the row of its flows among elements of its width."""

    table: int
    parameter: int
    element: int


#: Of one variable in a batch: flows ``[B, N]`` into each leaf vector over it, probabilities ``[B, C]``; float64, on the CPU.
_Mixture: TypeAlias = tuple[list[Tensor], Tensor | None]


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
    uses = _uses(model)
    space = Workspace()
    mixtures: dict[int, list[_Mixture]] = {v.index: [] for v in wanted}
    with torch.no_grad():
        for start, part in batches(model, evidence, batch_size, output):
            act = upward(model.program, model.parameters, Batch.of(model.program, part), space, keep_elements=True)
            _require_possible(act, output, start)
            seeds = torch.zeros_like(act.log_likelihood)
            seeds[:, output] = 1
            downward(act, seeds)
            for variable in wanted:
                mixtures[variable.index].append(_mixture(act, variable, uses[variable.index], part.soft.get(variable.index)))
    return {v.name: _posterior(model, v, uses[v.index], mixtures[v.index]) for v in wanted}


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


def _uses(model: Model) -> dict[int, list[_Use]]:
    """The leaf vectors over each column."""
    found: dict[int, list[_Use]] = {v.index: [] for v in model.circuit.variables}
    for t, table in enumerate(model.program.leaf_tables):
        places = (table.variables.tolist(), table.rows.tolist(), table.element_rows.tolist())
        for column, parameter, element in zip(*places, strict=True):
            found[column].append(_Use(t, parameter, element))
    return found


def _mixture(act: Activations, variable: Variable, uses: list[_Use], soft: Tensor | None) -> _Mixture:
    """Computed where the flows are; only what is kept travels to the CPU."""
    flows, probabilities = [], None
    for use in uses:
        table = act.program.leaf_tables[use.table]
        flow = act.elements[table.nodes][use.element].double()
        flows.append(flow.cpu().clone())
        if not isinstance(variable.domain, Finite):
            continue
        parameters = act.parameters.leaves[use.table][use.parameter].double()
        masses = table.distribution.log_table(parameters, variable.domain).exp()  # [C, N]
        if soft is None:
            part = flow @ masses.T
        else:
            share = masses[None] * soft.to(act.device).double().view(-1, len(masses), 1)  # p(value | node, soft evidence)
            share = share / share.sum(1, keepdim=True).clamp_(min=torch.finfo(torch.float64).tiny)
            part = (share * flow[:, None, :]).sum(2)
        probabilities = part if probabilities is None else probabilities + part
    return flows, None if probabilities is None else probabilities.cpu()


def _posterior(model: Model, variable: Variable, uses: list[_Use], mixtures: list[_Mixture]) -> Posterior:
    components = []
    for i, use in enumerate(uses):
        parameters = model.parameters.leaves[use.table][use.parameter].double().cpu()
        flow = torch.cat([flows[i] for flows, _ in mixtures])
        components.append((model.program.leaf_tables[use.table].distribution, parameters, flow))
    found = [p for _, p in mixtures if p is not None]
    return Posterior(variable, tuple(components), torch.cat(found) if found else None)
