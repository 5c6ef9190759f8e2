"""Between a draft and a circuit, and between a draft and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pcbench import Circuit, Dense, InputBlock, Parameter, ProductBlock, SumBlock, Variables
from pcbench.circuit import Block, BlockSparse, kind_of, topological_order
from pcbench.errors import CircuitError

from .draft import Change, Draft, DraftBlock, domain_size, problems
from .families import to_wire

_MOST_LISTED = 20


def circuit_of(draft: Draft) -> tuple[Circuit, tuple[int, ...]]:
    """The circuit, and for each of its blocks the id of the draft's.

    Raises:
        CircuitError: that lists the problems.
    """
    if wrong := [text for _, text in problems(draft)]:
        more = f"\n  … {len(wrong) - _MOST_LISTED} more" if len(wrong) > _MOST_LISTED else ""
        listed = "".join(f"\n  · {text}" for text in wrong[:_MOST_LISTED])
        raise CircuitError(f"the document is no circuit yet:{listed}{more}")
    variables = Variables(draft.variables.values(), draft.variables.keys())
    built: dict[int, Block] = {}
    tops = draft.tops()
    for id in topological_order(tops, {id: block.children for id, block in draft.blocks.items()}):
        built[id] = _built(draft, draft.blocks[id], built, variables)
    circuit = Circuit([built[id] for id in tops], variables)
    ids = {block: id for id, block in built.items()}
    return circuit, tuple(ids[block] for block in circuit.blocks)


def _built(draft: Draft, block: DraftBlock, built: Mapping[int, Block], variables: Variables) -> Block:
    children = [built[child] for child in block.children]
    if block.distribution is not None:
        parameter = block.parameter or Parameter(draft.parameter_shape(block))
        return InputBlock(variables[block.variable], block.distribution, block.nodes, parameter, block.name)
    if block.kind == "product":
        return ProductBlock(children, block.index, block.name)
    parameter = block.parameter or Parameter(draft.parameter_shape(block))
    return SumBlock(children, block.nodes, block.edges, parameter, block.name)


def change_to(draft: Draft, circuit: Circuit, ids: Mapping[Block, int], group: str | None = None) -> Change:
    """What adds a circuit's blocks to a draft, under these ids. Positions are left to the view."""
    known = dict(draft.variables)
    for variable in circuit.variables:
        if known.setdefault(variable.name, variable.domain) != variable.domain:
            raise CircuitError(
                f"variable {variable.name!r} has the domain {known[variable.name]} here, but {variable.domain} there; "
                "rename one of them"
            )
    blocks = {ids[block]: (None, _draft_block(block, ids, group)) for block in circuit.blocks}
    variables = None if known == draft.variables else (draft.variables, known)
    return Change(blocks, variables)


def _draft_block(block: Block, ids: Mapping[Block, int], group: str | None) -> DraftBlock:
    id, kind = ids[block], kind_of(block)
    children = tuple(ids[child] for child in block.children)
    if isinstance(block, InputBlock):
        family, name = block.distribution, block.variable.name
        return DraftBlock(id, kind, block.name, (), block.nodes, name, family, parameter=block.parameter, group=group)
    if isinstance(block, ProductBlock):
        return DraftBlock(id, kind, block.name, children, index=block.index, group=group)
    return DraftBlock(id, kind, block.name, children, block.nodes, edges=block.edges, parameter=block.parameter, group=group)


# ---- JSON ------------------------------------------------------------------------------------------------------------
def wire_block(draft: Draft, block: DraftBlock) -> dict[str, Any]:
    """A block as the view takes it: what is absent stands at its default. Values do not travel along."""
    wire: dict[str, Any] = {"id": block.id, "kind": block.kind}
    if block.name is not None:
        wire["name"] = block.name
    if block.children:
        wire["children"] = list(block.children)
    if block.nodes != 1:
        wire["nodes"] = block.nodes
    if block.distribution is not None:
        wire |= {"variable": block.variable, "distribution": to_wire(block.distribution)}
    if block.index is not None:
        wire["indexed"] = len(block.index)
    if not isinstance(block.edges, Dense):
        tiled = isinstance(block.edges, BlockSparse)
        what = f"{len(block.edges.rows)} tiles of {block.edges.tile}" if isinstance(block.edges, BlockSparse) else ""
        wire["sparse"] = {"text": what if tiled else "single edges", "count": draft.parameter_count(block)}
    if block.parameter is not None and block.parameter.value is not None:
        wire["given"] = True
    if block.x is not None:
        wire |= {"x": block.x, "y": block.y}
    if block.group is not None:
        wire["group"] = block.group
    return wire


def wire_variables(draft: Draft) -> list[list[Any]]:
    """Names with the number of values, None for real ones; in column order."""
    return [[name, domain_size(domain)] for name, domain in draft.variables.items()]


def state(draft: Draft) -> dict[str, Any]:
    """All of a draft but its values, blocks by id."""
    blocks = [wire_block(draft, draft.blocks[id]) for id in sorted(draft.blocks)]
    return {"variables": wire_variables(draft), "blocks": blocks, "roots": list(draft.roots)}


def values_state(draft: Draft) -> list[dict[str, Any]]:
    """Parameters that several blocks hold, or that have a value: who holds them, and the value as a list."""
    held: dict[Parameter, list[int]] = {}
    for id in sorted(draft.blocks):
        parameter = draft.blocks[id].parameter
        if parameter is not None:
            held.setdefault(parameter, []).append(id)
    return [
        {"blocks": ids, "value": None if parameter.value is None else parameter.value.tolist()}
        for parameter, ids in held.items()
        if parameter.value is not None or len(ids) > 1
    ]
