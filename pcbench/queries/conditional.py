"""What does the evidence say about each other variable?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..compile import Program
from ..errors import DataError, QueryError, hinted
from ..execute import (
    Activations,
    Batch,
    Data,
    Evidence,
    Model,
    Workspace,
    bytes_of_flows,
    downward,
    fused_posteriors,
    lent_workspace,
    small_enough_to_pin,
    upward,
)
from ..scope import Finite, Variable
from .batching import batches, check_batch_size, check_output
from .posterior import Component, Posterior

#: On a GPU: bytes that a batch may take when the caller does not say how many rows to take at once, and most rows of one.
GPU_BYTES, GPU_ROWS = 1 << 30, 4096


class _Use(NamedTuple):
    """A leaf vector: its table, its row among the parameters, and the row of its flows among elements of its width."""

    table: int
    parameter: int
    element: int


#: What :func:`_uses` found: the tables of a GPU's program are far away.
_known_uses: WeakKeyDictionary[Program, dict[int, list[_Use]]] = WeakKeyDictionary()
#: Of one variable in a batch: flows ``[B, N]`` into each leaf vector over it, probabilities ``[B, C]``; on the CPU.
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

    Probabilities are float64. Those of a GPU's fused passes are computed in float32, from flows whose error is about 1e-5 of
    themselves with ``precision="exact"``. With ``"fast"`` it is some tenths of a percent; there the flows of a variable, which
    gain or lose up to some percent on a long way down, are divided by their sum.

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
    check_output(model, output)
    evidence.check_form(model.circuit.variables)
    check_batch_size(batch_size)
    wanted = _wanted(model, evidence, variables)
    with torch.no_grad():
        uses = _uses(model)
        columns = sorted({v.index for v in wanted if uses[v.index]})
        if columns and model.program.fused is not None:
            parts, mixtures = _fused(model, evidence, columns, batch_size, output)
            again = _Again(model, evidence, columns, batch_size, output)
            return {
                v.name: _posterior(model, v, uses[v.index], mixtures[v.index])
                if v.index in mixtures
                else Posterior(v, partial(again.components, v), parts.get(v.index))
                for v in wanted
            }
        mixtures = _exactly(model, evidence, [v.index for v in wanted], batch_size, output)
    return {v.name: _posterior(model, v, uses[v.index], mixtures[v.index]) for v in wanted}


def _wanted(model: Model, evidence: Evidence, variables: Sequence[str | int] | None) -> list[Variable]:
    known = model.circuit.variables
    hard = evidence.mask()
    seen = hard.any(0).tolist()
    if variables is None:
        modelled = model.circuit.scope()
        return [v for v in known if modelled >> v.index & 1 and not seen[v.index]]
    chosen = [known[v] for v in variables]
    for variable in chosen:
        if seen[variable.index]:
            row = int(hard[:, variable.index].nonzero()[0, 0])
            raise QueryError(f"{variable.name!r} is observed in row {row}; mask it to ask for its distribution")
    return chosen


def _fused(
    model: Model, evidence: Evidence, columns: list[int], batch_size: int | None, output: int
) -> tuple[dict[int, list[Tensor]], dict[int, list[_Mixture]]]:
    """Probabilities of finite variables and mixtures of real ones, of each batch, by fused passes where these can represent it.

    Values are checked where they are laid out.
    """
    finite = {c for c in columns if isinstance(model.circuit.variables[c].domain, Finite)}
    parts: dict[int, list[Tensor]] = {column: [] for column in columns if column in finite}
    real: dict[int, list[_Mixture]] = {column: [] for column in columns if column not in finite}
    size = batch_size or _fused_batch_size(model, evidence)
    pinned = small_enough_to_pin(model.program, len(evidence), columns)
    with lent_workspace(model) as space:
        for first in range(0, len(evidence), size):
            rows = evidence[first : first + size]
            try:
                found = fused_posteriors(model.program, model.parameters, rows, columns, output, space, pinned)
            except DataError:
                evidence.check(model.circuit.variables)  # names the row among all rows
                raise
            if found is None:
                evidence.check(model.circuit.variables)
                mixtures = _exactly(model, rows, columns, batch_size, output, first)
                for column in columns:
                    if column in real:
                        real[column] += mixtures[column]
                    else:
                        parts[column] += [p for _, p in mixtures[column] if p is not None]
                continue
            _require_possible(found.log_likelihood[:, output], first)
            for shares in found.shares:
                for column, probabilities in zip(shares.columns, shares.probabilities, strict=True):
                    parts[column].append(probabilities)
            for column, flows in found.weights.items():
                real[column].append((flows, None))
    return parts, real


def _fused_batch_size(model: Model, evidence: Evidence) -> int:
    """Rows at once: as many as memory allows, in batches of one size, so that a captured graph serves all."""
    most = min(GPU_ROWS, max(1, GPU_BYTES // bytes_of_flows(model.program, evidence.soft)))
    return -(-len(evidence) // -(-len(evidence) // most))


class _Again:
    """The components of all variables of a query, by the exact passes when one is first asked for."""

    def __init__(self, model: Model, evidence: Evidence, columns: list[int], batch_size: int | None, output: int) -> None:
        observed = None if evidence.observed is None else evidence.observed.clone()
        soft = {v: s.detach().clone() for v, s in evidence.soft.items()}
        kept = Evidence(evidence.values.clone(), observed, soft)  # whoever asked may write on theirs
        self._asked = (model, kept, columns, batch_size, output)
        self._mixtures: dict[int, list[_Mixture]] | None = None

    def components(self, variable: Variable) -> tuple[Component, ...]:
        """Those of one variable."""
        model, uses = self._asked[0], _uses(self._asked[0])[variable.index]
        if not uses:
            return ()
        if self._mixtures is None:
            with torch.no_grad():
                self._mixtures = _exactly(*self._asked, probabilities=False)
        return _components(model, uses, self._mixtures[variable.index])


def _exactly(
    model: Model,
    evidence: Evidence,
    columns: list[int],
    batch_size: int | None,
    output: int,
    first_row: int = 0,
    probabilities: bool = True,
) -> dict[int, list[_Mixture]]:
    """Of each column, what :func:`_mixture` gives for each batch; row ``first_row + b`` is what messages name row ``b``."""
    uses, space = _uses(model), Workspace()
    mixtures: dict[int, list[_Mixture]] = {column: [] for column in columns}
    for start, part in batches(model, evidence, batch_size, output):
        act = upward(model.program, model.parameters, Batch.of(model.program, part), space, keep_elements=True)
        _require_possible(act.log_likelihood[:, output], first_row + start)
        seeds = torch.zeros_like(act.log_likelihood)
        seeds[:, output] = 1
        downward(act, seeds)
        for column, found in mixtures.items():
            variable = model.circuit.variables[column]
            found.append(_mixture(act, variable, uses[column], part.soft.get(column), probabilities))
    return mixtures


def _require_possible(log_likelihood: Tensor, start: int) -> None:
    wrong = ~torch.isfinite(log_likelihood)
    if bool(wrong.any()):
        raise QueryError(f"row {start + int(wrong.nonzero()[0, 0])}: the evidence has probability zero")


def _uses(model: Model) -> dict[int, list[_Use]]:
    """The leaf vectors over each column."""
    if (known := _known_uses.get(model.program)) is not None:
        return known
    found: dict[int, list[_Use]] = {v.index: [] for v in model.circuit.variables}
    for t, table in enumerate(model.program.leaf_tables):
        places = (table.variables.tolist(), table.rows.tolist(), table.element_rows.tolist())
        for column, parameter, element in zip(*places, strict=True):
            found[column].append(_Use(t, parameter, element))
    _known_uses[model.program] = found
    return found


def _mixture(act: Activations, variable: Variable, uses: list[_Use], soft: Tensor | None, probabilities: bool) -> _Mixture:
    """Computed where the flows are; only what is kept travels to the CPU."""
    flows, shares = [], None
    for use in uses:
        table = act.program.leaf_tables[use.table]
        flow = act.elements[table.nodes][use.element].double()
        flows.append(flow.cpu().clone())
        if not probabilities or not isinstance(variable.domain, Finite):
            continue
        parameters = act.parameters.leaves[use.table][use.parameter].double()
        masses = table.distribution.log_table(parameters, variable.domain).exp()  # [C, N]
        if soft is None:
            part = flow @ masses.T
        else:
            share = masses[None] * soft.to(act.device).double().view(-1, len(masses), 1)  # p(value | node, soft evidence)
            share = share / share.sum(1, keepdim=True).clamp_(min=torch.finfo(torch.float64).tiny)
            part = (share * flow[:, None, :]).sum(2)
        shares = part if shares is None else shares + part
    return flows, None if shares is None else shares.cpu()


def _components(model: Model, uses: list[_Use], mixtures: list[_Mixture]) -> tuple[Component, ...]:
    found = []
    for i, use in enumerate(uses):
        parameters = model.parameters.leaves[use.table][use.parameter].double().cpu()
        flow = torch.cat([flows[i].double() for flows, _ in mixtures])
        found.append((model.program.leaf_tables[use.table].distribution, parameters, flow))
    return tuple(found)


def _posterior(model: Model, variable: Variable, uses: list[_Use], mixtures: list[_Mixture]) -> Posterior:
    components = _components(model, uses, mixtures)
    shares = [p for _, p in mixtures if p is not None]
    return Posterior(variable, lambda: components, shares or None)
