"""Reading ``.pcb``: nothing in the file is believed before it is checked, and every message names the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from ..circuit import (
    Block,
    BlockSparse,
    Circuit,
    Dense,
    InputBlock,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    SumEdges,
    check_weights,
    topological_order,
)
from ..distributions import FAMILIES, Distribution
from ..errors import CircuitError, CycleError, FileFormatError, suggest
from ..scope import Domain, Finite, Real, Variables
from .container import parse_json
from .stored import Stored

#: What ``__metadata__`` calls such a file, and the newest version that is understood.
FORMAT = "pcbench circuit"
VERSION = 1


class Reader:
    """One pass over a file's tensors and metadata."""

    def __init__(self, path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        self.path = path
        self.tensors = dict(tensors)  # taken out one by one; what is left at the end does not belong
        self.metadata = metadata
        self.families: dict[tuple[object, ...], Distribution] = {}

    def fail(self, what: str) -> NoReturn:
        """Raise, naming the file."""
        raise FileFormatError(f"{self.path}: {what}")

    def stored(self) -> Stored:
        """Everything in the file, checked."""
        content = self.metadata.get("content")
        if content not in ("circuit", "model"):
            self.fail(f"its content is {content!r}, expected 'circuit' or 'model'")
        try:
            variables = self.variables()
            parameters, learnt = self.parameters(content == "model")
            circuit = self.circuit(variables, parameters)
        except CycleError as error:
            raise CycleError(f"{self.path}: {error}") from None
        except CircuitError as error:
            raise FileFormatError(f"{self.path}: {error}") from error
        if self.tensors:
            self.fail(f"tensor {next(iter(self.tensors))!r} belongs to no block")
        notes = parse_json(self.metadata.get("notes", "{}"), f"{self.path}: its notes")
        if not isinstance(notes, dict):
            self.fail(f"its notes are a {type(notes).__name__}, expected a dictionary")
        values = None
        if content == "model":
            values = {p: learnt[i] for i, p in enumerate(parameters)}
            self.check_learnt(circuit, values)
        return Stored(circuit, values, self.metadata.get("dtype"), notes)

    # -- pieces of JSON ------------------------------------------------------------------------------------------------
    def entries(self, key: str) -> list[dict[str, Any]]:
        """A list of dictionaries from the metadata."""
        items = parse_json(self.metadata.get(key, ""), f"{self.path}: its list of {key}")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self.fail(f"its {key} are no list of dictionaries")
        return items

    def number(self, item: dict[str, Any], key: str, where: str, low: int, high: int = 1 << 48) -> int:
        """An integer in ``low…high−1``."""
        value = item.get(key)
        if type(value) is not int or not low <= value < high:
            self.fail(f"{where}: {key!r} is {value!r}, expected a number in {low}…{high - 1}")
        return value

    def text(self, item: dict[str, Any], key: str, where: str) -> str | None:
        """A string, or ``None`` where there is none."""
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            self.fail(f"{where}: {key!r} is {value!r}, expected text")
        return value

    def flag(self, item: dict[str, Any], key: str, where: str, default: bool) -> bool:
        """A boolean."""
        value = item.get(key, default)
        if not isinstance(value, bool):
            self.fail(f"{where}: {key!r} is {value!r}, expected true or false")
        return value

    def take(self, name: str) -> Tensor:
        """A tensor that must be there."""
        if name not in self.tensors:
            self.fail(f"tensor {name!r} is missing, or asked for twice")
        return self.tensors.pop(name)

    def known(self, item: dict[str, Any], keys: Sequence[str], where: str) -> None:
        """Refuse what this version does not understand, rather than read half of a file."""
        for key in item:
            if key not in keys:
                self.fail(f"{where}: unknown entry {key!r}; {suggest(key, list(keys))}")

    # -- variables and parameters --------------------------------------------------------------------------------------
    def variables(self) -> Variables:
        """The variables."""
        domains: list[Domain] = []
        names: list[str] = []
        for i, item in enumerate(self.entries("variables")):
            where = f"variable {i}"
            self.known(item, ("name", "domain", "size"), where)
            kind = item.get("domain")
            if kind == "finite":
                domains.append(Finite(self.number(item, "size", where, 1)))
            elif kind == "real":
                domains.append(Real())
            else:
                self.fail(f"{where}: its domain is {kind!r}, expected 'finite' or 'real'")
            names.append(self.text(item, "name", where) or f"x{i}")
        return Variables(domains, names)

    def parameters(self, model: bool) -> tuple[list[Parameter], list[Tensor]]:
        """The parameters, and for a model their learnt values."""
        out: list[Parameter] = []
        learnt: list[Tensor] = []
        for i, item in enumerate(self.entries("parameters")):
            where = f"parameter {i}"
            self.known(item, ("tensor", "shape", "given", "trainable", "name"), where)
            name = self.text(item, "tensor", where) or ""
            shape = item.get("shape")
            if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and 0 < n < 1 << 48 for n in shape):
                self.fail(f"{where}: its shape is {shape!r}, expected a list of sizes")
            given = self.flag(item, "given", where, False)
            value = self.values(f"{name}.initial" if model else name, shape) if given else None
            if model:
                learnt.append(self.values(name, shape))
            trainable = self.flag(item, "trainable", where, True)
            out.append(Parameter(tuple(shape), value, trainable, self.text(item, "name", where)))
        return out, learnt

    def values(self, name: str, shape: list[int]) -> Tensor:
        """A parameter's tensor, of the announced shape."""
        tensor = self.take(name)
        if list(tensor.shape) != shape:
            self.fail(f"tensor {name!r} has shape {list(tensor.shape)}, expected {shape}")
        if tensor.dtype == torch.bool:
            self.fail(f"tensor {name!r} is {tensor.dtype}, expected numbers")
        return tensor

    def check_learnt(self, circuit: Circuit, values: dict[Parameter, Tensor]) -> None:
        """Learnt values are distributions: finite, not negative, normalised."""
        for block in circuit.blocks:
            where = f"{self.path}: {circuit.label(block)}"
            if isinstance(block, SumBlock):
                try:
                    check_weights(values[block.parameter], block.edges, block.nodes, where)
                except CircuitError as error:
                    raise FileFormatError(str(error)) from None
            elif isinstance(block, InputBlock) and (wrong := block.distribution.invalid(values[block.parameter])):
                raise FileFormatError(f"{where}: {wrong}")

    # -- blocks --------------------------------------------------------------------------------------------------------
    def circuit(self, variables: Variables, parameters: list[Parameter]) -> Circuit:
        """Blocks in the order of their children, and the circuit of them."""
        items = self.entries("blocks")
        places = range(len(items))
        below: dict[int, Sequence[int]] = {
            i: self.places(item.get("children", []), len(items), f"block {i}: its children") for i, item in enumerate(items)
        }
        roots = self.places(
            parse_json(self.metadata.get("roots", ""), f"{self.path}: its roots"), len(items), "its list of roots"
        )
        order = topological_order(roots or places, below)
        if len(order) < len(items):
            self.fail(f"block {min(set(places) - set(order))} lies below no root")
        built: dict[int, Block] = {}
        used: set[int] = set()
        build: dict[object, Callable[..., Block]] = {"input": self.input, "product": self.product, "sum": self.sum}
        for i in order:
            kind = items[i].get("kind")
            if not isinstance(kind, str) or kind not in build:
                self.fail(f"block {i}: its kind is {kind!r}, expected 'input', 'product' or 'sum'")
            children = [built[c] for c in below[i]]
            held = None
            if kind != "product":
                number = self.number(items[i], "parameter", f"block {i}", 0, len(parameters))
                used.add(number)
                held = parameters[number]
            built[i] = build[kind](i, items[i], children, held, variables)
        if len(used) < len(parameters):
            self.fail(f"parameter {next(i for i in range(len(parameters)) if i not in used)} is held by no block")
        checked = parse_json(self.metadata.get("checked", "true"), f"{self.path}: its entry 'checked'")
        return Circuit([built[r] for r in roots], variables, checked=checked is not False)

    def places(self, value: object, count: int, what: str) -> list[int]:
        """A list of places of blocks."""
        if not isinstance(value, list):
            self.fail(f"{what} are {value!r}, expected a list of places")
        for place in value:
            if type(place) is not int or not 0 <= place < count:
                self.fail(f"{what} contain {place!r}, expected numbers in 0…{count - 1}")
        return value

    def input(
        self, i: int, item: dict[str, Any], children: list[Block], parameter: Parameter, variables: Variables
    ) -> InputBlock:
        """An input block."""
        where = f"block {i} (input)"
        self.known(item, ("kind", "name", "variable", "distribution", "nodes", "parameter"), where)
        variable = variables[self.number(item, "variable", where, 0, len(variables))]
        nodes = self.number(item, "nodes", where, 1)
        family = self.family(item.get("distribution"), where)
        return InputBlock(variable, family, nodes, parameter, self.text(item, "name", where))

    def family(self, item: object, where: str) -> Distribution:
        """A distribution from its name and hyperparameters; equal ones are one object."""
        if not isinstance(item, dict):
            self.fail(f"{where}: its distribution is {item!r}, expected a dictionary")
        key = tuple(item.items()) if all(isinstance(v, (str, int, float)) for v in item.values()) else ()
        if key in self.families:
            return self.families[key]
        classes = {family.name: family for family in FAMILIES}
        name = item.get("name")
        if not isinstance(name, str) or name not in classes:
            self.fail(f"{where}: unknown distribution {name!r}; {suggest(str(name), list(classes))}")
        family = classes[name]
        options: dict[str, Any] = {}
        asked = {f.name: f for f in fields(family)}  # type: ignore[arg-type]  # families are dataclasses
        self.known(item, ("name", *asked), f"{where}: {name}")
        for option, described in asked.items():
            if option not in item:
                if described.default is MISSING and described.default_factory is MISSING:
                    self.fail(f"{where}: {name} needs {option!r}")
                continue
            options[option] = self.hyperparameter(item[option], str(described.type), f"{where}: {name}: {option!r}")
        made = family(**options)
        if key:
            self.families[key] = made
        return made

    def hyperparameter(self, value: Any, kind: str, where: str) -> Any:
        """A value of the type that the dataclass declares."""
        if kind == "int" and (type(value) is not int or abs(value) >= 1 << 48):
            self.fail(f"{where} is {value!r}, expected a whole number")
        if kind == "float" and (type(value) not in (int, float) or not math.isfinite(value)):
            self.fail(f"{where} is {value!r}, expected a number")
        if (kind == "bool" and type(value) is not bool) or (kind == "str" and type(value) is not str):
            self.fail(f"{where} is {value!r}, expected {kind}")
        return tuple(value) if isinstance(value, list) else value

    def product(self, i: int, item: dict[str, Any], children: list[Block], *unused: object) -> ProductBlock:
        """A product block."""
        where = f"block {i} (product)"
        self.known(item, ("kind", "name", "children", "indexed"), where)
        index = self.take(f"product#{i}.index") if self.flag(item, "indexed", where, False) else None
        return ProductBlock(children, index, self.text(item, "name", where))

    def sum(self, i: int, item: dict[str, Any], children: list[Block], parameter: Parameter, *unused: object) -> SumBlock:
        """A sum block."""
        where = f"block {i} (sum)"
        self.known(item, ("kind", "name", "children", "nodes", "edges", "tile", "parameter"), where)
        nodes = self.number(item, "nodes", where, 1)
        edges: SumEdges
        match item.get("edges"):
            case "Dense":
                edges = Dense()
            case "Sparse" | "BlockSparse" as kind:
                rows, cols = self.take(f"sum#{i}.rows"), self.take(f"sum#{i}.cols")
                tile = self.number(item, "tile", where, 1) if kind == "BlockSparse" else 1
                # Every node needs an edge. Seen here, before anything of the announced size is allocated.
                if nodes > rows.numel() * tile:
                    self.fail(f"{where}: {nodes} nodes, but edges for {rows.numel() * tile} at most")
                edges = BlockSparse(tile, rows, cols) if kind == "BlockSparse" else Sparse(rows, cols)
            case kind:
                self.fail(f"{where}: its edges are {kind!r}, expected 'Dense', 'BlockSparse' or 'Sparse'")
        return SumBlock(children, nodes, edges, parameter, self.text(item, "name", where))
