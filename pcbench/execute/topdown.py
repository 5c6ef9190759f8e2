"""Top-down passes: one child at each active sum node, from the root to the leaves.

Decomposability means that a block is reached at most once for each row, so a pass keeps one active node (or −1) for each
block and row, and treats a layer at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..compile import Factor, InputLayer, Layer, ProductLayer, SumLayer, Term, cut
from ..errors import QueryError
from ..scope import Finite
from .noise import uniform
from .upward import Activations, exact_terms, log_elements, tiny

#: Picks an element for each active node: scores ``[M, E]`` (linear when sampling, logs when maximising), rows ``[M]``,
#: blocks ``[M]`` → elements ``[M]``.
Pick = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(eq=False)
class _Descent:
    act: Activations
    active: dict[int, Tensor]  # node of each unit: [rows, B], −1 where the unit is not part of the tree
    leaves: list[Tensor]  # node of each leaf use: [uses, B]


def draw(act: Activations, seed: int, first_row: int = 0, output: int = 0, each: int = 1) -> Shaped[Tensor, "batch variables"]:
    """Sample every unobserved variable given the evidence: ``[B, V]``.

    Args:
        act: from ``upward(…, keep_elements=True)``.
        seed: of the noise; row ``b`` uses the noise of row ``first_row + b``.
        output: the root node to sample from.
        each: rows that complete the same evidence, for messages.
    """
    require_support(act.log_likelihood[:, output], first_row, each)

    def pick(scores: Tensor, rows: Tensor, blocks: Tensor) -> Tensor:
        return invert(scores, uniform(seed, rows + first_row, blocks))

    def leaf(use_blocks: Tensor, rows: Tensor) -> Tensor:
        return uniform(seed, rows + first_row, use_blocks)

    return _decode(_descend(act, output, _linear_scores, pick), leaf)


def maximise_tree(act: Activations, output: int = 0, first_row: int = 0) -> Shaped[Tensor, "batch variables"]:
    """The assignment of the best tree: ``[B, V]``; ``act`` is from :func:`~pcbench.execute.max_product.max_product`."""
    require_support(act.log_likelihood[:, output], first_row)
    return _decode(_descend(act, output, _log_scores, lambda scores, _rows, _blocks: scores.argmax(1)), None)


def require_support(log_likelihood: Tensor, first_row: int, each: int = 1) -> None:
    """Raise QueryError for evidence of probability zero: log-likelihoods ``[B]``, of which ``each`` in a row are of one row."""
    possible = torch.isfinite(log_likelihood)
    if not bool(possible.all()):
        row = (first_row + int((~possible).nonzero()[0])) // each
        raise QueryError(f"row {row}: the evidence has probability zero, so nothing can be drawn or maximised given it")


def invert(scores: Tensor, noise: Tensor) -> Tensor:
    """``[M]``: for each row of ``scores`` ``[M, C]``, where ``noise`` ``[M]`` times their sum lies among their running sums."""
    cumulative = scores.double().cumsum(1)
    # Compared with noise × total, so that rounding never lands on an element of probability zero past the end.
    return (cumulative <= (noise * cumulative[:, -1])[:, None]).sum(1).clamp_(max=scores.shape[1] - 1)


def _linear_scores(act: Activations, layer: SumLayer, a: int, b: int, g: Tensor, s: Tensor, n: Tensor) -> Tensor:
    kernel = act.program.sum_tables[layer.table].choice.kernel
    x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
    scores = kernel.rows(act.weights(layer, a, b), g, n).mul_(x[g, s])
    low = scores.sum(1) < tiny(act.dtype)
    if bool(low.any()):
        where = low.nonzero()[:, 0]
        logs = log_elements(act, layer, a, b)
        parts = [t for _, t in exact_terms(act, layer, a, b, logs, (g[where], s[where], n[where]))]
        scores[where] = torch.softmax(torch.cat(parts), 1)
    return scores


def _log_scores(act: Activations, layer: SumLayer, a: int, b: int, g: Tensor, s: Tensor, n: Tensor) -> Tensor:
    kernel = act.program.sum_tables[layer.table].choice.kernel
    x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
    return kernel.rows(act.weights(layer, a, b), g, n).log_().add_(x[g, s])


def _descend(act: Activations, output: int, scores: Callable[..., Tensor], pick: Pick) -> _Descent:
    program, size = act.program, act.batch.size
    active = {n: torch.full((r, size), -1, dtype=torch.int32, device=act.device) for n, r in program.value_rows.items()}
    leaves = [torch.full((len(t.rows), size), -1, dtype=torch.int32, device=act.device) for t in program.leaf_tables]
    down = _Descent(act, active, leaves)
    for layer in reversed(program.layers):
        for block, column in layer.outputs:
            if column <= output < column + layer.nodes:
                active[layer.nodes][layer.value_row + block] = output - column
        if isinstance(layer, SumLayer):
            for a, b in act.chunks(layer):
                _route_sums(down, layer, a, b, scores, pick)
        elif isinstance(layer, ProductLayer):
            g, s, n = _active(down, layer, 0, len(layer.blocks))
            _route_term(down, layer.term, 0, g, s, n)
        else:
            assert isinstance(layer, InputLayer)
            states = active[layer.nodes][layer.value_row : layer.value_row + len(layer.blocks)]
            leaves[layer.table][layer.first_use : layer.first_use + len(layer.blocks)] = states
    return down


def _active(down: _Descent, layer: Layer, a: int, b: int) -> tuple[Tensor, Tensor, Tensor]:
    """(block − a, row, node) of the active nodes of blocks ``a … b``."""
    states = down.active[layer.nodes][layer.value_row + a : layer.value_row + b]
    g, s = (states >= 0).nonzero(as_tuple=True)
    return g, s, states[g, s].long()


def _route_sums(down: _Descent, layer: SumLayer, a: int, b: int, scores: Callable[..., Tensor], pick: Pick) -> None:
    g, s, n = _active(down, layer, a, b)
    if not len(g):
        return
    index = down.act.program.circuit.index
    places = torch.tensor([index[block] for block in layer.blocks[a:b]], device=g.device)[g]
    step = max(1, (1 << 22) // layer.elements)
    chosen = [
        pick(
            scores(down.act, layer, a, b, g[i : i + step], s[i : i + step], n[i : i + step]),
            s[i : i + step],
            places[i : i + step],
        )
        for i in range(0, len(g), step)
    ]
    element = torch.cat(chosen)
    for term in layer.terms:
        inside = (element >= term.offset) & (element < term.offset + term.width)
        _route_term(down, term, a, g[inside], s[inside], element[inside] - term.offset)


def _route_term(down: _Descent, term: Term, a: int, g: Tensor, s: Tensor, element: Tensor) -> None:
    """Activate the children of element ``element`` of blocks ``a + g`` in rows ``s``."""
    for leaf in term.leaves:
        down.leaves[leaf.table][leaf.first_use + a + g, s] = element.int()
    for factor in term.factors:
        covered = g + a < factor.count
        gc, sc, ec = (g, s, element) if bool(covered.all()) else (g[covered], s[covered], element[covered])
        if factor.columns is not None:
            ec = factor.columns[0][ec] if len(factor.columns) == 1 else factor.columns[gc + a, ec]
        down.active[factor.width][_rows(factor, gc.device)[gc + a], sc] = ec.int()


def _rows(factor: Factor, device: torch.device) -> Tensor:
    rows = cut(factor.rows, 0, factor.count)
    return torch.arange(rows.start, rows.stop, rows.step or 1, device=device) if isinstance(rows, slice) else rows


def _decode(down: _Descent, noise: Callable[[Tensor, Tensor], Tensor] | None) -> Tensor:
    """Values of the active leaves; observed variables keep theirs. ``noise`` gives uniforms; without it, modes are taken."""
    act, circuit = down.act, down.act.program.circuit
    batch, finite = act.batch, act.program.circuit.variables.all_finite
    out = torch.zeros(len(circuit.variables), batch.size, dtype=torch.int64 if finite else torch.float64, device=act.device)
    if batch.observed is None:
        out.copy_(batch.values)
    else:
        out[batch.observed] = batch.values.to(out.dtype)[batch.observed]
    for t, table in enumerate(act.program.leaf_tables):
        states = down.leaves[t]
        wanted = states >= 0
        if batch.observed is not None:
            wanted &= ~batch.observed[table.variables]
        else:
            wanted.zero_()
        use, row = wanted.nonzero(as_tuple=True)
        places = torch.tensor([circuit.index[b] for b in table.blocks], device=act.device)
        step = max(1, (1 << 22) // max(table.distribution.num_parameters, table.categories or 1))
        for i in range(0, len(use), step):
            u, s = use[i : i + step], row[i : i + step]
            out[table.variables[u], s] = _leaf_values(act, t, u, s, states[u, s].long(), places, noise).to(out.dtype)
    return out.T.contiguous().cpu()


def _leaf_values(
    act: Activations,
    t: int,
    use: Tensor,
    row: Tensor,
    node: Tensor,
    places: Tensor,
    noise: Callable[[Tensor, Tensor], Tensor] | None,
) -> Tensor:
    table = act.program.leaf_tables[t]
    parameters = act.parameters.leaves[t][table.rows[use], :, node]  # [M, S]
    family = table.distribution
    uniforms = None if noise is None else noise(places[use], row)
    values = family.mode(parameters.T[None])[0] if uniforms is None else family.inverse_cdf(parameters.T, uniforms)
    for variable, likelihood in act.batch.soft.items():
        hit = (table.variables[use] == variable).nonzero()[:, 0]
        if len(hit):
            domain = act.program.circuit.variables[variable].domain
            assert isinstance(domain, Finite)
            probabilities = family.log_table(parameters[hit].T, domain).exp().T  # [M, C]
            weighed = probabilities * likelihood.to(probabilities.dtype).expand(act.batch.size, -1)[row[hit]]
            values[hit] = (weighed.argmax(1) if uniforms is None else invert(weighed, uniforms[hit])).to(values.dtype)
    return values
