"""The operations on a draft, and what each refuses. The twin of widgets/src/workbench/builder/rules.ts.

Both are run against tests/widgets/ops.json. An operation gives the `Change` that it made, or raises a `Refusal` and
leaves the draft as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from pcbench import Dense, Distribution, Parameter
from pcbench.circuit import check_weights
from pcbench.errors import PCBenchError, suggest

from .draft import Change, Domains, Draft, DraftBlock, Refusal
from .families import from_wire, natural_domain

MOST_NODES = 1 << 16
LONGEST_NAME = 80
Args = Mapping[str, Any]


class Edit:
    """An operation at work: what it wants to write, kept apart from the draft until it is complete."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.after: dict[int, DraftBlock | None] = {}
        self.variables: Domains | None = None
        self.roots: tuple[int, ...] | None = None

    def block(self, id: object) -> DraftBlock:
        found = self.after.get(id, self.draft.blocks.get(id)) if type(id) is int else None
        if found is None:
            raise Refusal(f"there is no block {id!r}")
        return found

    def write(self, block: DraftBlock) -> None:
        self.after[block.id] = block

    def change(self) -> Change:
        draft = self.draft
        blocks = {id: (draft.blocks.get(id), after) for id, after in self.after.items()}
        return Change(
            blocks,
            None if self.variables is None else (draft.variables, self.variables),
            None if self.roots is None or self.roots == draft.roots else (draft.roots, self.roots),
        )


def apply(draft: Draft, kind: str, args: Args) -> Change:
    """One operation, made as a whole or refused.

    Raises:
        Refusal: why not, and at which block to say so.
    """
    if kind not in OPS:
        raise Refusal(f"there is no operation {kind!r}; {suggest(kind, list(OPS))}")
    edit = Edit(draft)
    OPS[kind](edit, args)
    return commit(draft, edit.change())


def commit(draft: Draft, change: Change) -> Change:
    """Makes a change with what it entails: sums over resized children start afresh; a product must stay decomposable."""
    resized = draft.put(change)
    while stale := _stale_sums(draft, resized):
        follow = Change({block.id: (block, block.fresh()) for block in stale})
        resized = draft.put(follow)
        change = change.then(follow)
    try:
        _require_decomposable(draft, change)
        _require_indices(draft, change)
    except Refusal:
        draft.put(change.inverse())
        raise
    return change


def _stale_sums(draft: Draft, resized: Iterable[int]) -> list[DraftBlock]:
    above = {parent for id in resized for parent in draft.parents[id]}
    blocks = (draft.blocks[id] for id in sorted(above))
    return [b for b in blocks if b.kind == "sum" and not (b.parameter is None and isinstance(b.edges, Dense))]


def _require_decomposable(draft: Draft, change: Change) -> None:
    for id in sorted(draft.ancestors(id for id, (_, after) in change.blocks.items() if after is not None)):
        block = draft.blocks[id]
        if block.kind == "product" and (shared := draft.overlap(block)):
            first, second = (draft.blocks[child].label for child in shared[:2])
            raise Refusal(
                f"{block.label} would not be decomposable: its children {first} and {second} "
                f"both depend on {draft.names(shared[2])}",
                id,
            )


def _require_indices(draft: Draft, change: Change) -> None:
    for id in change.blocks:
        for parent in draft.parents.get(id, ()):
            block = draft.blocks[parent]
            if block.index is not None:
                column = block.index[:, block.children.index(id)]
                if int(column.max()) >= draft.nodes[id]:
                    picked, label = int(column.max()), draft.blocks[id].label
                    raise Refusal(f"{block.label} multiplies node {picked} of {label}, which would be gone", parent)


# ---- arguments -------------------------------------------------------------------------------------------------------
def _units(args: Args, node: int | None = None) -> int:
    nodes = args.get("nodes", 1)
    if type(nodes) is not int or not 1 <= nodes <= MOST_NODES:
        raise Refusal(f"nodes must be a whole number from 1 to {MOST_NODES}, got {nodes!r}", node)
    return nodes


def _name(args: Args, node: int | None = None) -> str | None:
    name = args.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise Refusal(f"a name must be a text of 1 to {LONGEST_NAME} letters, got {name!r}", node)
    return name.strip()


def _place(args: Args) -> tuple[float | None, float | None]:
    x, y = args.get("x"), args.get("y")
    if (x is None) != (y is None) or not all(v is None or _is_number(v) for v in (x, y)):
        raise Refusal(f"a position is two finite numbers, got x={x!r}, y={y!r}")
    return x, y


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _new_id(edit: Edit, args: Args) -> int:
    id = args.get("id")
    if type(id) is not int or not 0 <= id < 1 << 31:
        raise Refusal(f"a block's id must be a whole number from 0 to 2³¹−1, got {id!r}")
    if id in edit.draft.blocks:
        raise Refusal(f"the id {id} is taken by {edit.draft.blocks[id].label}", id)
    return id


# ---- making blocks ---------------------------------------------------------------------------------------------------
def _model(edit: Edit, variable: object, family: Distribution, node: int | None, alone: bool) -> str:
    """The variable's name, once the family suits its domain; a new variable gets the family's own."""
    if not isinstance(variable, str) or not variable.strip() or len(variable) > LONGEST_NAME:
        raise Refusal(f"an input needs the name of its variable, 1 to {LONGEST_NAME} letters, got {variable!r}", node)
    name = variable.strip()
    known = dict(edit.draft.variables)
    if name not in known or alone:
        edit.variables = known | {name: natural_domain(family)}
    elif reason := family.rejects(known[name]):
        raise Refusal(f"variable {name}: {reason}", node)
    return name


def _add_input(edit: Edit, args: Args) -> None:
    id = _new_id(edit, args)
    family = from_wire(args.get("distribution"))
    variable = _model(edit, args.get("variable"), family, None, alone=False)
    x, y = _place(args)
    edit.write(DraftBlock(id, "input", _name(args), (), _units(args), variable=variable, distribution=family, x=x, y=y))


def _add_product(edit: Edit, args: Args) -> None:
    _add_inner(edit, args, "product", 1)


def _add_sum(edit: Edit, args: Args) -> None:
    _add_inner(edit, args, "sum", _units(args))


def _add_inner(edit: Edit, args: Args, kind: str, nodes: int) -> None:
    id = _new_id(edit, args)
    x, y = _place(args)
    edit.write(DraftBlock(id, kind, _name(args), nodes=nodes, x=x, y=y))
    for child in args.get("children", ()):
        _join(edit, edit.block(id), edit.block(child))


# ---- edges -----------------------------------------------------------------------------------------------------------
def _connect(edit: Edit, args: Args) -> None:
    _join(edit, edit.block(args.get("parent")), edit.block(args.get("child")))


def _join(edit: Edit, parent: DraftBlock, child: DraftBlock) -> None:
    at = parent.id if parent.id in edit.draft.blocks else child.id
    if parent.kind == "input":
        raise Refusal(f"{parent.label} is an input: it has no children", at)
    if child.id in parent.children:
        raise Refusal(f"{child.label} is already a child of {parent.label}", at)
    if parent.id == child.id or (parent.id in edit.draft.blocks and edit.draft.is_below(parent.id, child.id)):
        raise Refusal(f"{parent.label} would become its own descendant: it is below {child.label}", at)
    if parent.index is not None:
        raise Refusal(f"{parent.label} multiplies chosen nodes of its children; put a new product above it instead", at)
    if parent.kind == "sum":
        _require_smooth(edit.draft, parent, child, at)
    edit.write(replace(parent.fresh(), children=(*parent.children, child.id)))


def _require_smooth(draft: Draft, parent: DraftBlock, child: DraftBlock, at: int) -> None:
    """A child whose scope may still grow is taken, and shows up among the problems until it fits."""
    for other in (draft.blocks[id] for id in parent.children):
        if draft.open[child.id] or draft.open[other.id]:
            continue
        for lacks, has in ((child, other), (other, child)):
            if lacking := draft.scope[has.id] & ~draft.scope[lacks.id]:
                names = draft.names(lacking)
                raise Refusal(
                    f"{parent.label} would not be smooth: {lacks.label} does not depend on {names}, which {has.label} "
                    f"does; multiply {lacks.label} with inputs over {names}",
                    at,
                )


def _disconnect(edit: Edit, args: Args) -> None:
    parent, child = edit.block(args.get("parent")), edit.block(args.get("child"))
    if child.id not in parent.children:
        raise Refusal(f"{child.label} is no child of {parent.label}", parent.id)
    edit.write(_without(parent, {child.id}))


def _without(block: DraftBlock, gone: set[int]) -> DraftBlock:
    kept = [place for place, child in enumerate(block.children) if child not in gone]
    index = block.index[:, kept] if block.index is not None and kept else None
    return replace(block.fresh(), children=tuple(block.children[place] for place in kept), index=index)


def _remove(edit: Edit, args: Args) -> None:
    blocks = [edit.block(id) for id in args.get("ids", ())]
    gone = {block.id for block in blocks}
    if not gone:
        raise Refusal("nothing was chosen to remove")
    for parent in sorted({parent for id in gone for parent in edit.draft.parents[id]} - gone):
        edit.write(_without(edit.block(parent), gone))
    edit.after |= dict.fromkeys(gone)
    edit.roots = tuple(id for id in edit.draft.roots if id not in gone)
    _drop_variables(edit, {block.variable for block in blocks if block.kind == "input"})


def _drop_variables(edit: Edit, candidates: set[str]) -> None:
    """A variable goes with its last input."""
    if not candidates:
        return
    blocks = {**edit.draft.blocks, **edit.after}
    used = {block.variable for block in blocks.values() if block is not None and block.kind == "input"}
    variables = edit.draft.variables if edit.variables is None else edit.variables
    if gone := candidates - used:
        edit.variables = {name: domain for name, domain in variables.items() if name not in gone}


# ---- a block's own ---------------------------------------------------------------------------------------------------
def _rename(edit: Edit, args: Args) -> None:
    block = edit.block(args.get("id"))
    edit.write(replace(block, name=_name(args, block.id)))


def _set_units(edit: Edit, args: Args) -> None:
    block = edit.block(args.get("id"))
    if block.kind == "product":
        raise Refusal(f"{block.label} is a product: it has as many nodes as its children", block.id)
    nodes = _units(args, block.id)
    if nodes != block.nodes:
        edit.write(replace(block.fresh(), nodes=nodes))


def _set_distribution(edit: Edit, args: Args) -> None:
    block = edit.block(args.get("id"))
    if block.kind != "input":
        raise Refusal(f"{block.label} is a {block.kind}: only inputs have a distribution", block.id)
    family = from_wire(args.get("distribution"), block.id)
    wanted = args.get("variable", block.variable)
    others = any(b.variable == wanted and b.id != block.id for b in edit.draft.blocks.values() if b.kind == "input")
    alone = wanted == block.variable and not others and family.rejects(edit.draft.variables[block.variable]) is not None
    variable = _model(edit, wanted, family, block.id, alone)
    kept = block if family == block.distribution else block.fresh()
    edit.write(replace(kept, distribution=family, variable=variable))
    if variable != block.variable:
        _drop_variables(edit, {block.variable})


def _set_weights(edit: Edit, args: Args) -> None:
    """A flat list in the order of the parameter's shape; None takes the values away. Tied blocks change together."""
    block = edit.block(args.get("id"))
    if block.kind == "product" or (block.kind == "sum" and not block.children):
        raise Refusal(f"{block.label} has no parameters", block.id)
    shape = edit.draft.parameter_shape(block)
    parameter = Parameter(shape, _values(args.get("values"), edit, block, shape), *_rest(block.parameter))
    held = [block] if block.parameter is None else _holders(edit.draft, block.parameter)
    for holder in held:
        edit.write(replace(holder, parameter=parameter))


def _rest(parameter: Parameter | None) -> tuple[bool, str | None]:
    return (True, None) if parameter is None else (parameter.trainable, parameter.name)


def _holders(draft: Draft, parameter: Parameter) -> list[DraftBlock]:
    return [block for block in draft.blocks.values() if block.parameter is parameter]


def _values(given: object, edit: Edit, block: DraftBlock, shape: tuple[int, ...]) -> torch.Tensor | None:
    if given is None:
        return None
    count = math.prod(shape)
    if not isinstance(given, (list, tuple)) or len(given) != count or not all(_is_number(v) for v in given):
        raise Refusal(f"{block.label} needs {count} finite numbers (shape {list(shape)})", block.id)
    values = torch.tensor(given, dtype=torch.float64).reshape(shape)
    if block.distribution is not None:
        if wrong := block.distribution.invalid(values):
            raise Refusal(f"{block.label}: {wrong}", block.id)
        return values
    try:
        check_weights(values, block.edges, block.nodes, block.label)
    except PCBenchError as error:
        raise Refusal(str(error), block.id) from None
    return values


def _move(edit: Edit, args: Args) -> None:
    moves = args.get("moves", ())
    if not moves:
        raise Refusal("nothing was chosen to move")
    for id, x, y in moves:
        block = edit.block(id)
        if not (_is_number(x) and _is_number(y)):
            raise Refusal(f"a position is two finite numbers, got x={x!r}, y={y!r}", block.id)
        edit.write(replace(block, x=x, y=y))


def _set_root(edit: Edit, args: Args) -> None:
    roots = tuple(edit.block(id).id for id in args.get("ids", ()))
    if len(set(roots)) != len(roots):
        raise Refusal("the same root is listed more than once", roots[0])
    edit.roots = roots


def _group(edit: Edit, args: Args) -> None:
    name = _name(args)
    blocks = [edit.block(id) for id in args.get("ids", ())]
    if not blocks:
        raise Refusal("nothing was chosen to group")
    for block in blocks:
        edit.write(replace(block, group=name))


#: Every operation that both languages know; `insert_template` is Python's alone and stands in `document`.
OPS: dict[str, Callable[[Edit, Args], None]] = {
    "add_input": _add_input,
    "add_product": _add_product,
    "add_sum": _add_sum,
    "connect": _connect,
    "disconnect": _disconnect,
    "remove": _remove,
    "rename": _rename,
    "set_units": _set_units,
    "set_distribution": _set_distribution,
    "set_weights": _set_weights,
    "move": _move,
    "set_root": _set_root,
    "group": _group,
}
