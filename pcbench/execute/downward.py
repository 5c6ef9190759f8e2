"""The downward pass: the flow of every node and element, parents first.

The flow of a node is the probability that it is active, given the evidence: the derivative of the log-likelihood with
respect to the node's log value. A sum node n with flow F_n and value y_n sends its element e the flow
``F_n · w_ne · x_e / y_n``; a product passes its flow on to each child. So the flow of an element is
``x_e · Σ_n w_ne (F_n / y_n)``: a matrix product again, and the flow through an edge, summed over samples, is
``w_ne · Σ_b (F_n / y_n) x_e`` (Peharz et al. 2016; Liu, Ahmed and Van den Broeck 2024, arXiv 2406.00766).

Flows take the place of the elements in their arena, so the pass needs no memory of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import torch
from torch import Tensor

from pcbench_kernels.cpu.gather import add_columns, load, take
from pcbench_kernels.cpu.leaf import counts, sort_codes

from ..compile import InputLayer, Layer, LeafTable, ProductLayer, Pull, SumLayer, cut
from .soft import through_soft
from .statistics import Statistics
from .upward import Activations, exact_terms, log_elements, tiny
from .workspace import chunk_bytes


def downward(act: Activations, seeds: Tensor | None = None, statistics: Statistics | None = None) -> None:
    """Turn ``act.elements`` into flows; with ``statistics``, also add the batch's expected counts to them.

    Args:
        act: from :func:`~pcbench.execute.upward.upward` with ``keep_elements=True``; its elements are overwritten.
        seeds: flow into each root node, ``[B, outputs]``, of either sign; by default 1 for every root node.
            Rows whose likelihood is zero send no flow.
        statistics: added to; what they hold is overwritten when they come from no rows.
    """
    if seeds is None:
        seeds = torch.ones_like(act.log_likelihood)
    seeds = torch.where(torch.isfinite(act.log_likelihood), seeds.to(act.device).double(), 0.0).to(act.dtype)
    if statistics is not None and statistics.rows == 0:
        for t, table in enumerate(act.program.sum_tables):
            if not table.untied:  # untied weights are written by their only user
                statistics.weights[t].zero_()
    for layer in reversed(act.program.layers):
        if isinstance(layer, SumLayer):
            for a, b in act.chunks(layer):
                _flow_through_sums(act, layer, a, b, seeds, statistics)
        else:
            assert isinstance(layer, InputLayer | ProductLayer)
            for a, b in act.chunks(layer):
                out = act.elements[layer.nodes][layer.element_row + a : layer.element_row + b]
                _collect(act, layer, a, b, seeds, out)
    if statistics is not None:
        for t, leaf in enumerate(act.program.leaf_tables):
            _count_leaves(act, t, leaf, statistics.leaves[t], fresh=statistics.rows == 0)
            if act.batch.soft and leaf.categories is not None:
                through_soft(act, t, statistics.leaves[t][:, :-1], {})
        statistics.rows += act.batch.size
        statistics.log_likelihood += float(act.log_likelihood.sum())


def _flow_into(act: Activations, layer: SumLayer, a: int, b: int, seeds: Tensor) -> Tensor:
    """Flow of the nodes of blocks ``a … b``: ``[b−a, B, N]``; a view of the parents' rows where that is possible."""
    if len(layer.pulls) == 1 and not layer.outputs:
        pull = layer.pulls[0]
        if pull.targets is None and pull.columns is None:
            rows = take(act.elements[pull.elements], cut(pull.rows, a, b))
            return rows[:, :, pull.offset : pull.offset + pull.width]
    out = act.scratch("flow", b - a, layer.nodes)
    _collect(act, layer, a, b, seeds, out)
    return out


def _collect(act: Activations, layer: Layer, a: int, b: int, seeds: Tensor, out: Tensor) -> None:
    """Add up what all parents send to blocks ``a … b``, and the seeds of roots among them."""
    filled = False
    for pull in layer.pulls:
        if pull.targets is None and pull.columns is None and not filled:
            arena = act.elements[pull.elements]
            load(arena[:, :, pull.offset : pull.offset + pull.width], cut(pull.rows, a, b), out)
            filled = True
            continue
        if not filled:
            out.zero_()
            filled = True
        _add_pull(act, pull, a, b, out)
    if not filled:
        out.zero_()
    for block, column in layer.outputs:
        if a <= block < b:
            out[block - a].add_(seeds[:, column : column + layer.nodes])


def _add_pull(act: Activations, pull: Pull, a: int, b: int, out: Tensor) -> None:
    first, last, targets = a, b, None
    if pull.targets is not None:
        first, last = bisect_left(pull.order, a), bisect_left(pull.order, b)
        if first == last:
            return
        targets = pull.targets[first:last] - a
    # Sliced before it is gathered: a parent with many terms has many more columns than this one.
    arena = act.elements[pull.elements][:, :, pull.offset : pull.offset + pull.width]
    flow = take(arena, cut(pull.rows, first, last))
    if pull.columns is not None:
        columns = pull.columns if len(pull.columns) == 1 else pull.columns[first:last]
        spread = flow.new_zeros(flow.shape[0], flow.shape[1], out.shape[2])
        add_columns(spread, columns, flow)
        flow = spread
    if targets is None:
        out.add_(flow)
    else:
        out.index_add_(0, targets, flow)


def _flow_through_sums(act: Activations, layer: SumLayer, a: int, b: int, seeds: Tensor, statistics: Statistics | None) -> None:
    table = act.program.sum_tables[layer.table]
    kernel, weights = table.choice.kernel, act.weights(layer, a, b)
    flow = _flow_into(act, layer, a, b, seeds)
    x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
    y = act.values[layer.nodes][layer.value_row + a : layer.value_row + b]
    ratio = act.scratch("ratio", b - a, layer.nodes)  # F / y
    if act.linear:
        torch.div(flow, y, out=ratio)
    else:
        torch.neg(y, out=ratio).exp_().mul_(flow)
    chunk = (layer.index, a, b)
    if chunk in act.suspect:
        # Nodes that underflow in the linear domain: zero ones carry no flow, the others are added one by one below.
        ratio.masked_fill_(y < math.log(tiny(act.dtype)), 0.0)
    direct, edge_flow, rows = False, None, cut(layer.parameters, a, b)
    if statistics is not None:
        direct = statistics.rows == 0 and table.untied and isinstance(rows, slice)
        if direct:
            edge_flow = statistics.weights[layer.table][rows]
        else:
            edge_flow = act.workspace.get("edge flow", tuple(weights.shape), act.dtype, act.device)
        kernel.outer(ratio, x, edge_flow)
        edge_flow.mul_(weights)
    into = act.scratch("into", b - a, layer.elements)
    kernel.apply_transposed(ratio, weights, into)
    x.mul_(into)
    if chunk in act.exact:
        _add_exact_flows(act, layer, a, b, flow, y, x, edge_flow)
    if statistics is not None and edge_flow is not None and not direct:
        target = statistics.weights[layer.table]
        if isinstance(rows, slice):
            target[rows].add_(edge_flow)
        elif table.untied and statistics.rows == 0:
            target.index_copy_(0, rows, edge_flow)
        else:
            target.index_add_(0, rows, edge_flow)


def _add_exact_flows(
    act: Activations, layer: SumLayer, a: int, b: int, flow: Tensor, y: Tensor, x: Tensor, edge_flow: Tensor | None
) -> None:
    """Flows of the nodes that were computed by a log-sum-exp of their own."""
    kernel = act.program.sum_tables[layer.table].choice.kernel
    low = ((y < math.log(tiny(act.dtype))) & (y > -torch.inf) & (flow != 0)).nonzero(as_tuple=True)
    for (g, s, n), terms in exact_terms(act, layer, a, b, log_elements(act, layer, a, b), low):
        share = torch.exp(terms - y[g, s, n][:, None]).mul_(flow[g, s, n][:, None])
        x.index_put_((g, s), share, accumulate=True)
        if edge_flow is not None:
            kernel.add_rows(edge_flow, g, n, share)


def _count_leaves(act: Activations, index: int, table: LeafTable, out: Tensor, fresh: bool) -> None:
    if table.categories is None:
        if fresh:
            out.zero_()
        _weigh_leaves(act, table, out)
        return
    codes = act.batch.codes[index]
    assert codes is not None
    size, per_set = act.batch.size, table.categories + 1
    order, start = sort_codes(codes, len(table.parameters) * per_set, table.untied, table.element_rows * size)
    flows = act.elements[table.nodes].view(-1, table.nodes)
    first = [*start[::per_set].tolist(), len(order)]
    step = max(1, chunk_bytes(act.device) // (per_set * table.nodes * act.dtype.itemsize))
    for a in range(0, len(table.parameters), step):
        b = min(len(table.parameters), a + step)
        runs = start[a * per_set : b * per_set] - first[a]
        part = counts(flows, order[first[a] : first[b]], runs).view(b - a, per_set, table.nodes)
        if fresh:
            out[a:b] = part
        else:
            out[a:b] += part


def _weigh_leaves(act: Activations, table: LeafTable, out: Tensor) -> None:
    """Flow-weighted sufficient statistics of leaves without a lookup table."""
    observed = None if act.batch.observed is None else act.batch.observed[table.variables]
    values = act.batch.values[table.variables].double()
    flows = act.elements[table.nodes][table.element_rows].double()
    if observed is not None:
        values = torch.where(observed, values, 0.0)
        flows.masked_fill_(~observed[:, :, None], 0.0)
    statistic = table.distribution.sufficient(values)  # [U, B, T]
    ones = torch.ones_like(statistic[..., :1])
    weighed = torch.bmm(torch.cat((ones, statistic), -1).transpose(1, 2), flows)
    out.index_add_(0, table.rows, weighed)
