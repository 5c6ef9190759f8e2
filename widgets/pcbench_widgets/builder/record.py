"""A draft and its history as plain JSON, and back: what an unsaved drawing is kept as.

Unlike a ``.pcb`` file it holds what is no circuit yet, and the edits that `undo` takes back. Blocks, parameters and edges
are written once and referred to by number, so that ties, and blocks that many edits share, come back as they were.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pcbench import Dense, Finite, Parameter, Real
from pcbench.circuit import BlockSparse, Sparse, SumEdges
from pcbench.errors import FileFormatError, PCBenchError

from .draft import Change, Domains, DraftBlock, Pair
from .families import from_wire, to_wire

MOST_HISTORY = 100_000
"""Blocks and variables in the edits that are kept: the oldest are left out, so that a long day's file stays small."""
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float64, torch.float32, torch.int64, torch.int32)}

Edits = tuple[tuple[str, Change], ...]


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a document is made of, at one revision."""

    blocks: Mapping[int, DraftBlock]
    variables: Domains
    roots: tuple[int, ...]
    placed: Mapping[int, tuple[float, float]]
    done: Edits = ()
    undone: Edits = ()


def to_record(drawing: Drawing) -> dict[str, Any]:
    """The drawing as JSON."""
    return _Writer().drawing(drawing)


def from_record(record: object) -> Drawing:
    """The drawing that :func:`to_record` wrote.

    Raises:
        FileFormatError: for anything else.
    """
    try:
        return _Reader(record).drawing()
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError, PCBenchError) as error:
        raise FileFormatError(f"this is no drawing that this pcbench can read: {type(error).__name__}: {error}") from None


class _Writer:
    def __init__(self) -> None:
        self._tables: dict[str, list[Any]] = {"blocks": [], "parameters": [], "edges": []}
        self._known: dict[int, int] = {}
        self._held: list[object] = []  # an identity is one only as long as its object lives

    def drawing(self, drawing: Drawing) -> dict[str, Any]:
        now = [self._block(block) for block in drawing.blocks.values()]
        done, undone = self._edits(drawing.done), self._edits(drawing.undone)
        return {
            "now": now,
            "variables": _variables(drawing.variables),
            "roots": list(drawing.roots),
            "placed": [[id, x, y] for id, (x, y) in drawing.placed.items() if id in drawing.blocks],
            "done": done,
            "undone": undone,
            **self._tables,
        }

    def _once(self, table: str, thing: object, write: Callable[[], dict[str, Any]]) -> int:
        if id(thing) not in self._known:
            record = write()
            self._held.append(thing)
            self._known[id(thing)] = len(self._tables[table])
            self._tables[table].append(record)
        return self._known[id(thing)]

    def _block(self, block: DraftBlock) -> int:
        return self._once("blocks", block, lambda: self._block_record(block))

    def _block_record(self, block: DraftBlock) -> dict[str, Any]:
        record: dict[str, Any] = {"id": block.id, "kind": block.kind, "nodes": block.nodes, "children": list(block.children)}
        record |= {key: getattr(block, key) for key in ("name", "x", "y", "group") if getattr(block, key) is not None}
        if block.distribution is not None:
            record |= {"variable": block.variable, "distribution": to_wire(block.distribution)}
        edges, parameter = block.edges, block.parameter
        if not isinstance(edges, Dense):
            record["edges"] = self._once("edges", edges, lambda: _edges_record(edges))
        if parameter is not None:
            record["parameter"] = self._once("parameters", parameter, lambda: _parameter_record(parameter))
        if block.index is not None:
            record["index"] = _tensor(block.index)
        return record

    def _edits(self, edits: Edits) -> list[dict[str, Any]]:
        kept, size = [], 0
        for label, change in reversed(edits):
            size += len(change.blocks) + sum(len(side) for side in change.variables or ())
            if size > MOST_HISTORY:
                break
            kept.append(self._change(label, change))
        return kept[::-1]

    def _change(self, label: str, change: Change) -> dict[str, Any]:
        def side(block: DraftBlock | None) -> int | None:
            return None if block is None else self._block(block)

        record: dict[str, Any] = {
            "label": label,
            "blocks": [[id, side(before), side(after)] for id, (before, after) in change.blocks.items()],
        }
        if change.variables is not None:
            record["variables"] = [_variables(names) for names in change.variables]
        if change.roots is not None:
            record["roots"] = [list(roots) for roots in change.roots]
        return record


class _Reader:
    def __init__(self, record: Any) -> None:
        self._record = record
        self._edges = [_edges_of(item) for item in record["edges"]]
        self._parameters = [_parameter_of(item) for item in record["parameters"]]
        self._blocks = [self._block(item) for item in record["blocks"]]

    def drawing(self) -> Drawing:
        record = self._record
        now = [self._blocks[number] for number in record["now"]]
        drawing = Drawing(
            {block.id: block for block in now},
            _variables_of(record["variables"]),
            _ids(record["roots"]),
            {int(id): (float(x), float(y)) for id, x, y in record["placed"]},
            self._edits(record["done"]),
            self._edits(record["undone"]),
        )
        _check(drawing)
        return drawing

    def _block(self, item: Mapping[str, Any]) -> DraftBlock:
        wire = item.get("distribution")
        return DraftBlock(
            int(item["id"]),
            str(item["kind"]),
            item.get("name"),
            _ids(item["children"]),
            int(item["nodes"]),
            item.get("variable", ""),
            None if wire is None else from_wire(wire),
            self._edges[item["edges"]] if "edges" in item else Dense(),
            self._parameters[item["parameter"]] if "parameter" in item else None,
            _tensor_of(item["index"]) if "index" in item else None,
            item.get("x"),
            item.get("y"),
            item.get("group"),
        )

    def _edits(self, items: Iterable[Mapping[str, Any]]) -> Edits:
        return tuple((str(item["label"]), self._change(item)) for item in items)

    def _change(self, item: Mapping[str, Any]) -> Change:
        def side(number: int | None) -> DraftBlock | None:
            return None if number is None else self._blocks[number]

        blocks: dict[int, Pair] = {int(id): (side(before), side(after)) for id, before, after in item["blocks"]}
        variables = item.get("variables")
        roots = item.get("roots")
        return Change(
            blocks,
            None if variables is None else (_variables_of(variables[0]), _variables_of(variables[1])),
            None if roots is None else (_ids(roots[0]), _ids(roots[1])),
        )


def _check(drawing: Drawing) -> None:
    """That the blocks are all there; whether they make a circuit is the document's to say."""
    for block in drawing.blocks.values():
        if missing := [child for child in block.children if child not in drawing.blocks]:
            raise ValueError(f"block {block.id} has a child {missing[0]} that is not there")
        if block.distribution is not None and block.variable not in drawing.variables:
            raise ValueError(f"block {block.id} is over {block.variable!r}, which is no variable of it")


def _ids(items: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(item) for item in items)


def _variables(domains: Domains) -> list[list[Any]]:
    return [[name, domain.size if isinstance(domain, Finite) else None] for name, domain in domains.items()]


def _variables_of(items: Iterable[tuple[str, int | None]]) -> Domains:
    return {str(name): Real() if size is None else Finite(size) for name, size in items}


def _edges_record(edges: SumEdges) -> dict[str, Any]:
    assert not isinstance(edges, Dense)
    record = {"rows": _tensor(edges.rows), "cols": _tensor(edges.cols)}
    return record | ({"tile": edges.tile} if isinstance(edges, BlockSparse) else {})


def _edges_of(item: Mapping[str, Any]) -> SumEdges:
    rows, cols = _tensor_of(item["rows"]), _tensor_of(item["cols"])
    return BlockSparse(int(item["tile"]), rows, cols) if "tile" in item else Sparse(rows, cols)


def _parameter_record(parameter: Parameter) -> dict[str, Any]:
    record: dict[str, Any] = {"shape": list(parameter.shape), "trainable": parameter.trainable, "name": parameter.name}
    return record if parameter.value is None else record | {"value": _tensor(parameter.value)}


def _parameter_of(item: Mapping[str, Any]) -> Parameter:
    value = _tensor_of(item["value"]) if "value" in item else None
    return Parameter(_ids(item["shape"]), value, bool(item["trainable"]), item["name"])


def _tensor(tensor: Tensor) -> dict[str, Any]:
    """Bytes and not digits: 12 million weights would be a quarter of a gigabyte."""
    known = tensor if str(tensor.dtype).removeprefix("torch.") in _DTYPES else tensor.double()
    flat = known.detach().cpu().contiguous().reshape(-1)
    data = base64.b64encode(flat.numpy().tobytes()).decode("ascii")
    return {"dtype": str(known.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def _tensor_of(item: Mapping[str, Any]) -> Tensor:
    dtype, data = _DTYPES[item["dtype"]], bytearray(base64.b64decode(item["data"], validate=True))
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.reshape([int(size) for size in item["shape"]])
