"""Values and flows of every block, for views, lessons and tests: the passes' results in the circuit's own terms."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from ..circuit import Block, InputBlock, ProductBlock
from ..errors import hinted
from .downward import downward
from .evidence import Batch, Data, Evidence
from .model import Model
from .upward import upward


@hinted
def node_values(model: Model, evidence: Data) -> dict[Block, Float64[Tensor, "batch nodes"]]:
    """Log value of every node, ``[B, N]`` float64 in nats, for every block."""
    batch = Batch.of(model.program, Evidence.of(evidence))
    act = upward(model.program, model.parameters, batch)
    out: dict[Block, Tensor] = {}
    for block in model.circuit.blocks:
        place = model.program.address.get(block)
        if place is not None:
            row, unit = place
            out[block] = (act.values[block.nodes][row].double() + act.scales[unit][:, None]).cpu()
        elif isinstance(block, InputBlock):
            out[block] = _leaf_values(model, batch, block)
        else:
            assert isinstance(block, ProductBlock)  # sums always have a value of their own
            parts = [out[c] if block.index is None else out[c][:, block.index[:, k]] for k, c in enumerate(block.children)]
            out[block] = torch.stack(parts).sum(0)
    return out


def _leaf_values(model: Model, batch: Batch, block: InputBlock) -> Tensor:
    table, use = model.program.leaf_use[block]
    lookup, codes = model.parameters.lookups[table], batch.codes[table]
    assert lookup is not None and codes is not None
    soft = batch.soft.get(block.variable.index)
    if soft is None:
        return lookup.view(-1, block.nodes)[codes[use]].double().cpu()
    row = int(model.program.leaf_tables[table].rows[use])
    values = (soft.double() @ lookup[row, : soft.shape[-1]].double().exp()).log()
    return values.expand(batch.size, block.nodes).cpu()


@hinted
def node_flows(model: Model, evidence: Data, seeds: Tensor | None = None) -> dict[Block, Float64[Tensor, "batch nodes"]]:
    """Flow of every node, ``[B, N]`` float64, for every block: the probability that the node is active, row by row.

    ``seeds`` ``[B, outputs]`` is the flow into the root nodes, by default 1 into each.
    """
    return flows(model, evidence, seeds)[0]


#: Flows of the nodes of each block ``[B, N]``; and ``[B]`` what each edge between blocks carries, by parent and child position.
Flows = tuple[dict[Block, Tensor], dict[tuple[Block, int], Tensor]]


@hinted
def flows(model: Model, evidence: Data, seeds: Tensor | None = None) -> Flows:
    """Flows of every block's nodes, as :func:`node_flows` gives them, and of the edges between blocks.

    Returns:
        ``[B, N]`` for each block; ``[B]`` for each (parent, position of the child in ``parent.children``). What the edges
        into a block carry, and the seeds of roots, add up to the flows of its nodes.
    """
    batch = Batch.of(model.program, Evidence.of(evidence))
    act = upward(model.program, model.parameters, batch, keep_elements=True)
    downward(act, seeds)
    likelihood = act.log_likelihood.cpu()
    seeds = torch.ones_like(likelihood) if seeds is None else seeds.cpu()
    seeds = torch.where(torch.isfinite(likelihood), seeds.double(), 0.0)
    columns: dict[Block, list[int]] = {}
    column = 0
    for root in model.circuit.roots:
        columns.setdefault(root, []).append(column)
        column += root.nodes
    nodes = {b: torch.zeros(batch.size, b.nodes, dtype=torch.float64) for b in model.circuit.blocks}
    edges: dict[tuple[Block, int], Tensor] = {}
    parents = model.circuit.parents()
    for block in reversed(model.circuit.blocks):
        total = nodes[block]
        for first in columns.get(block, []):
            total += seeds[:, first : first + block.nodes]
        for parent in dict.fromkeys(parents[block]):
            offset = 0
            for k, child in enumerate(parent.children):
                if child is block:
                    if isinstance(parent, ProductBlock):
                        index = torch.arange(block.nodes) if parent.index is None else parent.index[:, k]
                        part = nodes[parent]
                        total.index_add_(1, index, part)
                    else:
                        width, row, _ = model.program.element_of[parent]
                        part = act.elements[width][row][:, offset : offset + block.nodes].double().cpu()
                        total += part
                    edges[parent, k] = part.sum(1)
                offset += child.nodes
    return nodes, edges
