"""pcbench's own format ``.pcb``: one safetensors file that a person can inspect and that is safe to open.

Tensors are parameters and index arrays, named after the block that holds them: ``sum#12.weights``, ``input#3.parameters``,
``product#5.index``, ``sum#9.rows``, ``sum#9.cols``; the number is the block's place. In a file of a model, ``….initial`` is
the value that the circuit gave beside the one that was learnt. ``__metadata__`` holds strings of JSON: ``variables``,
``parameters``, ``blocks`` (children are places, children before parents), ``roots``, ``notes``. Nothing in a file is run.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from ..circuit import Block, BlockSparse, Circuit, Dense, InputBlock, Parameter, ProductBlock, kind_of
from ..distributions import FAMILIES, Distribution
from ..errors import FileFormatError, hinted
from ..scope import Finite, Variables
from .container import looks_like_container, read, write
from .native_reader import FORMAT, VERSION, Reader
from .state import check_format
from .stored import Format, Stored


@hinted
def save_circuit(circuit: Circuit, path: str | Path) -> None:
    """Write a circuit, with the initial values, names and ties of its parameters.

    Raises:
        FileFormatError: for a distribution that is not in ``FAMILIES``.
        OSError: when the disk refuses; an existing file then still stands.
    """
    save_stored(Stored(circuit), path)


@hinted
def load_circuit(path: str | Path) -> Circuit:
    """The circuit in a file, equal to the one that was saved; of a model, its circuit without what was learnt.

    Raises:
        FileFormatError: naming the file, what is wrong and what was expected.
        CycleError: when the blocks of a file contain one another.
        OSError: when the file cannot be opened.
    """
    return load_stored(path).circuit


def load_stored(path: str | Path) -> Stored:
    """Everything in a ``.pcb`` file; raises as :func:`load_circuit` does."""
    tensors, metadata = read(path)
    check_format(path, metadata, FORMAT, VERSION)
    return Reader(path, tensors, metadata).stored()


def save_stored(stored: Stored, path: str | Path) -> None:
    """Write a circuit or a model with notes; raises as :func:`save_circuit` does."""
    circuit = stored.circuit
    tensors: dict[str, Tensor] = {}
    parameters = _parameters(stored, tensors)
    place = {parameter: i for i, parameter in enumerate(circuit.parameters)}
    blocks = [_block(path, circuit, block, place, tensors) for block in circuit.blocks]
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "content": "circuit" if stored.values is None else "model",
        "checked": _json(circuit.checked),
        "variables": _lines(_variables(circuit.variables)),
        "parameters": _lines(parameters),
        "blocks": _lines(blocks),
        "roots": _json([circuit.index[root] for root in circuit.roots]),
    }
    if stored.dtype is not None:
        metadata["dtype"] = stored.dtype
    try:
        metadata["notes"] = json.dumps(stored.notes, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: the notes cannot be written as JSON: {error}") from None
    write(path, tensors, metadata)


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def _json(value: object) -> str:
    return _encoder.encode(value)


def _lines(items: list[dict[str, Any]]) -> str:
    """A JSON list with one item a line, for whoever prints it."""
    return "[" + ",\n".join(_json(item) for item in items) + "]"


def _variables(variables: Variables) -> list[dict[str, Any]]:
    return [
        {"name": v.name, "domain": "finite", "size": v.domain.size}
        if isinstance(v.domain, Finite)
        else {"name": v.name, "domain": "real"}
        for v in variables
    ]


def _parameters(stored: Stored, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """The list of parameters; their tensors are added to ``tensors``."""
    holder: dict[Parameter, str] = {}
    for i, block in enumerate(stored.circuit.blocks):
        if not isinstance(block, ProductBlock):
            what = "parameters" if isinstance(block, InputBlock) else "weights"
            holder.setdefault(block.parameter, f"{kind_of(block)}#{i}.{what}")
    out = []
    for parameter in stored.circuit.parameters:
        name = holder[parameter]
        item: dict[str, Any] = {"tensor": name, "shape": list(parameter.shape), "given": parameter.value is not None}
        if not parameter.trainable:
            item["trainable"] = False
        if parameter.name is not None:
            item["name"] = parameter.name
        if stored.values is not None:
            tensors[name] = stored.values[parameter]
        if parameter.value is not None:
            tensors[name if stored.values is None else f"{name}.initial"] = parameter.value
        out.append(item)
    return out


def _block(
    path: str | Path, circuit: Circuit, block: Block, place: dict[Parameter, int], tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """One block as JSON; its index arrays are added to ``tensors``."""
    kind = kind_of(block)
    label = f"{kind}#{circuit.index[block]}"
    item: dict[str, Any] = {"kind": kind}
    if block.name is not None:
        item["name"] = block.name
    if isinstance(block, InputBlock):
        family = family_json(path, block.distribution)
        return item | {
            "variable": block.variable.index,
            "distribution": family,
            "nodes": block.nodes,
            "parameter": place[block.parameter],
        }
    item["children"] = [circuit.index[child] for child in block.children]
    if isinstance(block, ProductBlock):
        if block.index is not None:
            tensors[f"{label}.index"] = _narrow(block.index)
        return item | {"indexed": block.index is not None}
    edges = block.edges
    item |= {"nodes": block.nodes, "edges": type(edges).__name__, "parameter": place[block.parameter]}
    if isinstance(edges, BlockSparse):
        item["tile"] = edges.tile
    if not isinstance(edges, Dense):
        tensors[f"{label}.rows"] = _narrow(edges.rows)
        tensors[f"{label}.cols"] = _narrow(edges.cols)
    return item


def family_json(path: str | Path, distribution: Distribution) -> dict[str, Any]:
    """A distribution's name and hyperparameters."""
    if type(distribution) not in FAMILIES:
        known = ", ".join(f.__name__ for f in FAMILIES)
        raise FileFormatError(f"{path}: {type(distribution).__name__} is not in FAMILIES ({known}), so no file can hold it")
    options = fields(distribution)  # type: ignore[arg-type]  # families are dataclasses
    return {"name": distribution.name} | {f.name: getattr(distribution, f.name) for f in options}


def _narrow(index: Tensor) -> Tensor:
    """Indices in 32 bits where they fit: half the file."""
    return index.int() if not index.numel() or int(index.max()) < 1 << 31 else index


def _save(stored: Stored, path: Path) -> None:
    save_stored(stored, path)


def _load(path: Path) -> Stored:
    return load_stored(path)


#: The format, as ``FORMATS`` lists it.
NATIVE = Format("pcbench", (".pcb",), looks_like_container, _load, _save)

__all__ = ["NATIVE", "load_circuit", "load_stored", "save_circuit", "save_stored"]
