"""A circuit as plain data for views: blocks, edges, levels."""

from __future__ import annotations

from typing import Any

from ..scope import scope_indices
from .blocks import BlockSparse, Dense, InputBlock, ProductBlock
from .circuit import Circuit, kind_of


def describe(circuit: Circuit) -> dict[str, Any]:
    """JSON types: ``variables``, ``blocks``, ``edges`` (child, parent), ``roots``; ids are places in ``circuit.blocks``."""
    levels = circuit.levels()
    blocks = []
    for i, block in enumerate(circuit.blocks):
        if isinstance(block, InputBlock):
            parameters, detail = block.parameter, f"{block.distribution} over {block.variable.name}"
        elif isinstance(block, ProductBlock):
            parameters, detail = None, "node by node" if block.index is None else "indexed"
        else:
            edges = block.edges
            parameters = block.parameter
            detail = (
                "dense"
                if isinstance(edges, Dense)
                else f"{len(edges.rows)} tiles of {edges.tile}"
                if isinstance(edges, BlockSparse)
                else f"{len(edges.rows)} edges"
            )
        size = 0
        if parameters is not None:
            size = 1
            for extent in parameters.shape:
                size *= extent
        blocks.append(
            {
                "id": i,
                "kind": kind_of(block),
                "name": circuit.label(block),
                "nodes": block.nodes,
                "scope": scope_indices(block.scope),
                "level": levels[i],
                "parameters": size,
                "detail": detail,
            }
        )
    arrows = [[circuit.index[c], i] for i, b in enumerate(circuit.blocks) for c in b.children]
    variables = [{"index": v.index, "name": v.name, "domain": str(v.domain)} for v in circuit.variables]
    return {
        "variables": variables,
        "blocks": blocks,
        "edges": arrows,
        "roots": [circuit.index[r] for r in circuit.roots],
    }
