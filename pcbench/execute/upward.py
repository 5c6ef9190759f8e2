"""The upward pass: log value of every unit, children first.

A unit's values are kept relative to one scale per sample: ``log value = values + scale``. Values stay near zero and the
scale is float64, so a log-likelihood of −10⁵ nats keeps its digits in a float32 program. A sum layer takes its elements
relative to their maximum, exponentiates them once, and becomes a matrix product; nothing is clamped. Where that product
underflows although an edge carries mass (a node whose whole weight lies on elements e^-70 below the best one), the node
is recomputed exactly by a log-sum-exp over its own edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcbench_kernels.cpu.gather import load, pick_columns, take
from pcbench_kernels.cpu.leaf import lookup, rows_of

from ..compile import Factor, InputLayer, LeafFactor, ProductLayer, Program, SumLayer, Term, cut
from ..distributions import Distribution
from .evidence import Batch
from .model import Parameters
from .workspace import Workspace, chunk_groups

#: Stands in for −∞ as a maximum, so that −∞ − maximum stays −∞ and does not become NaN.
FLOOR = -1e30


def tiny(dtype: torch.dtype) -> float:
    """Below this a linear sum may have lost addends to underflow (smallest normal number, times what rounding needs)."""
    return 1e-30 if dtype == torch.float32 else 1e-290


@dataclass(frozen=True)
class LeafRule:
    """What a leaf is worth where its variable is not simply observed; sum-product and max-product differ only here.

    Attributes:
        soft: likelihoods ``[B or 1, C]`` and log probabilities ``[C, N]`` → log values ``[B or 1, N]``.
        missing: family and parameters ``[n, S, N]`` → log values ``[n, N]`` of leaves that are not looked up
            (a lookup table holds them in its last row).
    """

    soft: Callable[[Tensor, Tensor], Tensor]
    missing: Callable[[Distribution, Tensor], Tensor]


#: A leaf that is not observed sums to one; soft evidence weighs its values.
SUM_RULE = LeafRule(lambda likelihood, logs: (likelihood @ logs.exp()).log(), lambda _, p: torch.zeros_like(p[:, 0]))


@dataclass(eq=False)
class Activations:
    """Everything one upward pass leaves behind.

    Attributes:
        program, parameters, batch: what was evaluated.
        values: arenas ``[rows, B, N]`` by width, relative to ``scales``.
        elements: arenas ``[rows, B, E]`` by width, linear, each row of E relative to its maximum; empty when not kept.
        linear: whether ``values`` are linear; see :mod:`pcbench.execute.linear`. Otherwise they are logarithms.
        scales: ``[units, B]`` float64.
        rule: what unobserved leaves are worth.
        suspect: (layer, first block, last block) of chunks in which some linear sum is zero or nearly so.
        exact: those of them that hold nodes computed by the exact fallback.
        log_likelihood: ``[B, outputs]`` float64, nats.
    """

    program: Program
    parameters: Parameters
    batch: Batch
    workspace: Workspace
    values: dict[int, Tensor]
    elements: dict[int, Tensor]
    scales: Tensor
    rule: LeafRule = SUM_RULE
    linear: bool = False
    suspect: set[tuple[int, int, int]] = field(default_factory=set)
    exact: set[tuple[int, int, int]] = field(default_factory=set)
    log_likelihood: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def dtype(self) -> torch.dtype:
        return self.program.dtype

    @property
    def device(self) -> torch.device:
        return self.program.device

    def scratch(self, name: str, groups: int, width: int) -> Tensor:
        """A buffer ``[groups, B, width]``."""
        return self.workspace.get(name, (groups, self.batch.size, width), self.dtype, self.device)

    def chunks(self, layer: ProductLayer | SumLayer | InputLayer) -> list[tuple[int, int]]:
        """A layer's blocks in pieces that stay in cache."""
        groups = len(layer.blocks)
        step = chunk_groups(self.batch.size, max(layer.nodes, layer.elements), self.dtype, self.device)
        return [(a, min(groups, a + step)) for a in range(0, groups, step)]

    def weights(self, layer: SumLayer, start: int, stop: int) -> Tensor:
        """Stored weights of some blocks of a layer: ``[stop−start, *form]``."""
        return take(self.parameters.weights[layer.table], cut(layer.parameters, start, stop))


def prepare(
    program: Program,
    parameters: Parameters,
    batch: Batch,
    workspace: Workspace,
    keep_elements: bool,
    rule: LeafRule = SUM_RULE,
    linear: bool = False,
) -> Activations:
    """Buffers for a pass."""
    size, dtype, device = batch.size, program.dtype, program.device
    values = {n: workspace.get(f"values{n}", (r, size, n), dtype, device) for n, r in program.value_rows.items()}
    kept = program.element_rows if keep_elements else {}
    elements = {e: workspace.get(f"elements{e}", (r, size, e), dtype, device) for e, r in kept.items()}
    scales = workspace.get("scales", (program.num_units, size), torch.float64, device)
    return Activations(program, parameters, batch, workspace, values, elements, scales, rule, linear)


def upward(
    program: Program,
    parameters: Parameters,
    batch: Batch,
    workspace: Workspace | None = None,
    keep_elements: bool = False,
) -> Activations:
    """Sum-product evaluation. ``keep_elements`` is needed by the downward pass and by sampling."""
    act = prepare(program, parameters, batch, workspace or Workspace(), keep_elements)
    evaluate(act, _evaluate_sums)
    return act


def evaluate(act: Activations, sums: Callable[[Activations, SumLayer, int, int], None]) -> None:
    """Walk the layers, children first. Semantics differ in what they make of a chunk of sums (and in their leaf rule)."""
    for layer in act.program.layers:
        if isinstance(layer, InputLayer):
            _evaluate_inputs(act, layer)
        elif isinstance(layer, ProductLayer):
            _evaluate_products(act, layer)
        else:
            assert isinstance(layer, SumLayer)
            for a, b in act.chunks(layer):
                sums(act, layer, a, b)
    act.log_likelihood = _collect_outputs(act)


def _collect_outputs(act: Activations) -> Tensor:
    """Log value of every root node: ``[B, outputs]`` float64."""
    out = torch.empty(act.batch.size, act.program.circuit.num_outputs, dtype=torch.float64, device=act.device)
    for layer in act.program.layers:
        for block, column in layer.outputs:
            value = act.values[layer.nodes][layer.value_row + block]
            value = value.log() if act.linear else value
            torch.add(value.double(), act.scales[layer.unit + block][:, None], out=out[:, column : column + layer.nodes])
    return out


def _evaluate_inputs(act: Activations, layer: InputLayer) -> None:
    """Leaves with a value of their own."""
    groups = len(layer.blocks)
    out = act.values[layer.nodes][layer.value_row : layer.value_row + groups]
    scales = act.scales[layer.unit : layer.unit + groups]
    table = act.program.leaf_tables[layer.table]
    if table.categories is not None:
        leaf = LeafFactor(layer.table, layer.first_use)
        for a, b in act.chunks(layer):
            if act.linear:
                out[a:b] = masses(act, leaf, a, b)
            else:
                _load_leaf(act, leaf, a, b, out[a:b])
        scales.zero_()
        return
    uses = slice(layer.first_use, layer.first_use + groups)
    variables = table.variables[uses]
    parameters = act.parameters.leaves[layer.table][table.rows[uses]]
    observed = None if act.batch.observed is None else act.batch.observed[variables]
    values = act.batch.values[variables].double()
    if observed is not None:
        values = torch.where(observed, values, 0.0)  # what is not observed may hold anything, NaN included
    out.copy_(table.distribution.log_density(parameters, values))
    if observed is not None:
        missing = act.rule.missing(table.distribution, parameters)
        out.copy_(torch.where(observed[:, :, None], out, missing[:, None, :]))
    _rescale(out, scales.zero_())


def _evaluate_products(act: Activations, layer: ProductLayer) -> None:
    """Products with a value of their own."""
    for a, b in act.chunks(layer):
        rows = slice(layer.value_row + a, layer.value_row + b)
        out, scales = act.values[layer.nodes][rows], act.scales[layer.unit + a : layer.unit + b]
        scales.copy_(fill_term(act, layer.term, a, b, out))
        _rescale(out, scales)


def _rescale(values: Tensor, scales: Tensor) -> None:
    peak = values.amax(-1, keepdim=True).clamp_(min=FLOOR)
    values.sub_(peak)
    scales.add_(peak[..., 0])


def _evaluate_sums(act: Activations, layer: SumLayer, a: int, b: int) -> None:
    if act.elements:
        x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
    else:
        x = act.scratch("chunk", b - a, layer.elements)
    kernel = act.program.sum_tables[layer.table].choice.kernel
    weights = act.weights(layer, a, b)
    peak = fill_elements(act, layer, a, b, x)
    x.exp_()
    y = act.values[layer.nodes][layer.value_row + a : layer.value_row + b]
    kernel.apply(x, weights, y)
    # A node that sees every element sees the best one, which is 1: its sum is no smaller than its smallest weight.
    dense = act.program.sum_tables[layer.table].pattern.rows is None
    safe = dense and act.parameters.smallest[layer.table] >= tiny(act.dtype)
    if float(peak.amin()) <= FLOOR or (not safe and float(y.amin()) < tiny(act.dtype)):
        _apply_exactly(act, layer, a, b, y)
    else:
        y.log_()


def fill_elements(act: Activations, layer: SumLayer, a: int, b: int, x: Tensor) -> Tensor:
    """Log elements of blocks ``a … b`` relative to their maximum into ``x``; sets the blocks' scales; returns the maxima."""
    scales = act.scales[layer.unit + a : layer.unit + b]
    if len(layer.terms) == 1:
        shift = fill_term(act, layer.terms[0], a, b, x)
    else:
        shifts = [fill_term(act, t, a, b, x[:, :, t.offset : t.offset + t.width]) for t in layer.terms]
        shift = torch.stack(shifts).amax(0).clamp_(min=FLOOR)
        for term, own in zip(layer.terms, shifts, strict=True):
            x[:, :, term.offset : term.offset + term.width].add_((own - shift).to(x.dtype)[:, :, None])
    peak = x.amax(-1, keepdim=True).clamp_(min=FLOOR)
    torch.add(shift, peak[..., 0], out=scales)
    x.sub_(peak)
    return peak


def fill_term(act: Activations, term: Term, a: int, b: int, out: Tensor) -> Tensor:
    """Log values of a term for blocks ``a … b`` (a sum over its factors) into ``out``; returns their scale ``[b−a, B]``."""
    shift = torch.zeros(b - a, act.batch.size, dtype=torch.float64, device=act.device)
    filled = False
    for leaf in term.leaves:
        target = act.scratch("leaf", b - a, term.width) if filled else out
        _load_leaf(act, leaf, a, b, target)
        if filled:
            out.add_(target)
        filled = True
    for factor in term.factors:
        stop = min(b, factor.count)
        if stop <= a:
            break  # factors cover ever shorter prefixes of the layer
        shift[: stop - a].add_(take(act.scales, cut(factor.units, a, stop)))
        _add_factor(act, factor, a, stop, out[: stop - a], filled)
        filled = True
    return shift


def _add_factor(act: Activations, factor: Factor, a: int, b: int, out: Tensor, filled: bool) -> None:
    if factor.columns is None and not filled and not act.linear:
        load(act.values[factor.width], cut(factor.rows, a, b), out)
        return
    chosen = child_values(act, factor, a, b)
    if act.linear:
        chosen = chosen.log()
    if filled:
        out.add_(chosen)
    else:
        out.copy_(chosen)


def child_values(act: Activations, factor: Factor, a: int, b: int) -> Tensor:
    """What the children of blocks ``a … b`` hand up: ``[b−a, B, width]``; a view where that is possible."""
    chosen = take(act.values[factor.width], cut(factor.rows, a, b))
    if factor.columns is None:
        return chosen
    return pick_columns(chosen, factor.columns if len(factor.columns) == 1 else factor.columns[a:b])


def _load_leaf(act: Activations, leaf: LeafFactor, a: int, b: int, out: Tensor) -> None:
    """Look the log values of the leaves of blocks ``a … b`` up: ``out [b−a, B, N]``."""
    if act.linear and act.parameters.lookups.held(leaf.table) is None:
        torch.log(masses(act, leaf, a, b), out=out)  # these are fewer than a table of logs has entries
        return
    table, codes = act.parameters.lookups[leaf.table], act.batch.codes[leaf.table]
    assert table is not None and codes is not None
    first = leaf.first_use
    lookup(table.view(-1, table.shape[2]), codes[first + a : first + b].reshape(-1), out.view(-1, table.shape[2]))
    if act.batch.soft:
        layout = act.program.leaf_tables[leaf.table]
        for i, use in enumerate(range(first + a, first + b)):
            likelihood = act.batch.soft.get(int(layout.variables[use]))
            if likelihood is not None:
                logs = table[layout.rows[use], : likelihood.shape[-1]]
                # In float64: a network may well find one value e^-200 times as likely as another.
                out[i] = act.rule.soft(likelihood.double().view(-1, len(logs)), logs.double())


def masses(act: Activations, leaf: LeafFactor, a: int, b: int) -> Tensor:
    """The probabilities of the leaves of blocks ``a … b``: ``[b−a, B, N]``."""
    table, codes = act.parameters.masses[leaf.table], act.batch.codes[leaf.table]
    assert table is not None and codes is not None
    chosen = codes[leaf.first_use + a : leaf.first_use + b].reshape(-1)
    return rows_of(table.view(-1, table.shape[2]), chosen).view(b - a, act.batch.size, table.shape[2])


def _apply_exactly(act: Activations, layer: SumLayer, a: int, b: int, y: Tensor) -> None:
    """Finish a chunk in which some linear sums are zero or nearly so: ``y`` becomes log values, exact ones where needed."""
    act.suspect.add((layer.index, a, b))
    logs = log_elements(act, layer, a, b)
    low = _underflown(act, layer, a, b, y, logs)
    y.log_()
    if not len(low[0]):
        return
    act.exact.add((layer.index, a, b))
    for part, terms in exact_terms(act, layer, a, b, logs, low):
        y[part] = torch.logsumexp(terms, -1)


def log_elements(act: Activations, layer: SumLayer, a: int, b: int) -> Tensor:
    """Log elements of blocks ``a … b`` relative to their maximum, gathered anew: the linear ones have lost what underflowed."""
    logs = act.scratch("logs", b - a, layer.elements)
    fill_elements(act, layer, a, b, logs)
    return logs


def _underflown(act: Activations, layer: SumLayer, a: int, b: int, y: Tensor, logs: Tensor) -> tuple[Tensor, ...]:
    """(block, sample, node) of linear sums that are too small to trust, although some edge carries mass to them."""
    low = y < tiny(act.dtype)
    kernel = act.program.sum_tables[layer.table].choice.kernel
    reach = torch.empty_like(y)
    kernel.apply((logs > -torch.inf).to(y.dtype), (act.weights(layer, a, b) > 0).to(y.dtype), reach)
    return (low & (reach > 0)).nonzero(as_tuple=True)


def exact_terms(
    act: Activations, layer: SumLayer, a: int, b: int, logs: Tensor, nodes: tuple[Tensor, ...]
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Log of weight × element over every edge of the given (block, sample, node)s, ``[M, E]`` in bounded pieces.

    ``logs`` are the chunk's :func:`log_elements`, relative to their maximum as everywhere.
    """
    kernel = act.program.sum_tables[layer.table].choice.kernel
    weights = act.weights(layer, a, b)
    step = max(1, (1 << 22) // layer.elements)
    for start in range(0, len(nodes[0]), step):
        g, s, n = (i[start : start + step] for i in nodes)
        yield (g, s, n), kernel.rows(weights, g, n).log() + logs[g, s]
