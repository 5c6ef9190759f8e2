"""Numbers for the canvas: a block's parameters, and the value of every node under some evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

import pcbench
from pcbench import Circuit, Dense, Evidence, InputBlock, Model, Parameter, Program, SumBlock
from pcbench.circuit import Block, initial_values
from pcbench.errors import DataError
from pcbench.execute.model_views import node_values

from .convert import circuit_of
from .document import Document
from .draft import Draft, Refusal

MOST_BLOCKS = 2000
"""A larger circuit is not evaluated at every touch; `pcbench.log_likelihood` is for that."""
MOST_PARAMETERS = 2048
"""As many numbers the inspector is given to edit; of more it shows what they look like."""
_MOST_UNITS = 8


def parameters_of(draft: Draft, id: int) -> dict[str, Any]:
    """A block's parameters for the inspector: the shape, whether they are given, and the values or those to start from."""
    block = draft.blocks.get(id)
    if block is None:
        raise Refusal(f"there is no block {id!r}")
    if block.kind == "product" or (block.kind == "sum" and not block.children):
        return {"shape": [], "given": False, "tied": 0, "values": None}
    shape = draft.parameter_shape(block)
    value = None if block.parameter is None else block.parameter.value
    tied = 0
    if block.parameter is not None:
        tied = sum(1 for other in draft.blocks.values() if other.parameter is block.parameter) - 1
    out: dict[str, Any] = {"shape": list(shape), "given": value is not None, "tied": tied, "values": None}
    if value is not None:
        out["range"] = [float(value.min()), float(value.mean()), float(value.max())]
    if math.prod(shape) <= MOST_PARAMETERS and (block.kind == "input" or isinstance(block.edges, Dense)):
        if value is None and block.distribution is not None:
            value = block.distribution.initial(block.nodes, torch.Generator().manual_seed(0))
        elif value is None:
            value = torch.full(shape, 1 / shape[-1], dtype=torch.float64)
        out["values"] = value.double().reshape(-1).tolist()
    return out


class Numbers:
    """Values of the nodes of a document's circuit, with the compiled circuit of the last revision kept."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._rev = -1
        self._circuit: Circuit | None = None
        self._ids: tuple[int, ...] = ()
        self._program: Program | None = None
        self._values: dict[Parameter, torch.Tensor] = {}

    def of(self, evidence: Mapping[str, Any], preview: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Log values in nats of up to eight nodes a block, by the block's id.

        Args:
            evidence: variables by name with their values; the others are marginalised.
            preview: a block's id and parameter values that are tried, and not kept.

        Raises:
            PCBenchError: where the document is no circuit, or the evidence makes no sense.
        """
        with self._document.lock:
            rev = self._document.rev
            if rev != self._rev:
                if len(self._document.draft.blocks) > MOST_BLOCKS:
                    raise DataError(f"numbers are shown for circuits of up to {MOST_BLOCKS:,} blocks")
                self._circuit, self._ids = circuit_of(self._document.draft)
                self._program = pcbench.compile(self._circuit, dtype=torch.float64)
                self._values = initial_values(self._circuit, 0)
                self._rev = rev
        assert self._circuit is not None
        assert self._program is not None
        blocks = dict(zip(self._ids, self._circuit.blocks, strict=True))
        model = Model.from_values(self._program, self._values | _tried(blocks, preview))
        values = node_values(model, _evidence(self._circuit, evidence))
        return {
            "rev": rev,
            "preview": preview is not None,
            "roots": [self._ids[self._circuit.index[root]] for root in self._circuit.roots],
            "random": any(parameter.value is None for parameter in self._circuit.parameters),
            "values": {str(id): _wire(values[block][0]) for id, block in blocks.items()},
        }


def _tried(blocks: Mapping[int, Block], preview: Mapping[str, Any] | None) -> dict[Parameter, torch.Tensor]:
    if preview is None:
        return {}
    block = blocks[preview["block"]]
    assert isinstance(block, (InputBlock, SumBlock))  # the view asks about blocks that have parameters
    return {block.parameter: torch.tensor(preview["values"], dtype=torch.float64).reshape(block.parameter.shape)}


def _evidence(circuit: Circuit, given: Mapping[str, Any]) -> Evidence:
    names = {variable.name: variable.index for variable in circuit.variables}
    values = torch.zeros(1, len(names), dtype=torch.float64)
    observed = torch.zeros(1, len(names), dtype=torch.bool)
    for name, value in given.items():
        if name in names:  # evidence about a variable that was removed a moment ago says nothing any more
            values[0, names[name]] = value
            observed[0, names[name]] = True
    return Evidence(values, observed)


def _wire(values: torch.Tensor) -> list[float | None]:
    """None for a log of zero: JSON has no infinity."""
    return [value if math.isfinite(value) else None for value in values[:_MOST_UNITS].tolist()]
