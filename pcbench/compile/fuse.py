"""Address tables for the fused GPU kernels, or the reason why a program has to run without them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from pcbench_kernels.fused import FusedLayer

from .layers import InputLayer, Layer, LeafFactor, LeafTable, ProductLayer, Rows, SumLayer, SumTable, Term


@dataclass(frozen=True, eq=False)
class Fused:
    """One launch a layer and pass. ``precision`` is ``"fast"`` or ``"exact"``."""

    layers: tuple[FusedLayer, ...]
    precision: str


def arena_starts(rows: dict[int, int]) -> dict[int, int]:
    """How many nodes lie before each arena when all arenas of one kind lie in one buffer."""
    ends = list(accumulate(width * count for width, count in rows.items()))
    return dict(zip(rows, [0, *ends], strict=False))


def why_not_fused(layers: tuple[Layer, ...], sum_tables: tuple[SumTable, ...], leaf_tables: tuple[LeafTable, ...]) -> str | None:
    """The first property of a program that the fused kernels have no form for; ``None`` when they take all of it."""
    for t, leaf in enumerate(leaf_tables):
        if leaf.categories is None:
            return f"leaf table {t} ({leaf.distribution.name}) has no finite domain to look up"
    for layer in layers:
        where = f"{layer.kind} layer {layer.index}"
        if isinstance(layer, SumLayer):
            table = sum_tables[layer.table]
            if table.choice.kernel.name != "dense":
                return f"{where} stores its weights as {table.choice.kernel.name}, not dense"
            if len({t.width for t in layer.terms}) > 1:
                return f"{where} has terms of different widths"
        terms = _terms(layer)
        if any(f.columns is not None or f.width != t.width for t in terms for f in t.factors):
            return f"{where} has products that pick single nodes of their children"
        if len({f.table for t in terms for f in t.leaves}) > 1:
            return f"{where} has leaves of several tables"
        if any(p.columns is not None for p in layer.pulls):
            return f"{where} feeds products that pick single nodes"
        if len({block for block, _ in layer.outputs}) < len(layer.outputs):
            return f"{where} holds a block that is a root twice"
    return None


def fuse(
    layers: tuple[Layer, ...],
    sum_tables: tuple[SumTable, ...],
    value_rows: dict[int, int],
    element_rows: dict[int, int],
    precision: str,
    device: torch.device,
) -> Fused:
    """Address tables of layers for which :func:`why_not_fused` has nothing to say."""
    values, elements = arena_starts(value_rows), arena_starts(element_rows)
    return Fused(tuple(_fuse_layer(x, sum_tables, values, elements, device) for x in layers), precision)


def _fuse_layer(
    layer: Layer, sum_tables: tuple[SumTable, ...], values: dict[int, int], elements: dict[int, int], device: torch.device
) -> FusedLayer:
    def tensor(numbers: list[int]) -> Tensor:
        return torch.tensor(numbers or [0], dtype=torch.int64, device=device)

    groups = _groups(layer)
    terms = _terms(layer)
    factors: list[list[tuple[int, int]]] = [[] for _ in range(groups * len(terms))]
    uses: list[list[int]] = [[] for _ in range(groups * len(terms))]
    for t, term in enumerate(terms):
        for factor in term.factors:
            for g, (row, unit) in enumerate(zip(_numbers(factor.rows), _numbers(factor.units), strict=True)):
                factors[g * len(terms) + t].append((values[factor.width] + row * factor.width, unit))
        for leaf in term.leaves:
            for g in range(groups):
                uses[g * len(terms) + t].append(leaf.first_use + g)
    pulls: list[list[tuple[int, int, int]]] = [[] for _ in range(groups)]
    for pull in layer.pulls:
        for g, row in zip(pull.order, _numbers(pull.rows), strict=True):
            pulls[g].append((elements[pull.elements] + row * pull.elements, pull.elements, pull.offset))
    columns = [-1] * groups
    for block, column in layer.outputs:
        columns[block] = column
    tables = {f.table for t in terms for f in t.leaves}
    is_sum = isinstance(layer, SumLayer)
    table = sum_tables[layer.table] if isinstance(layer, SumLayer) else None
    return FusedLayer(
        is_sum,
        groups,
        layer.nodes,
        terms[0].width,
        len(terms),
        values[layer.nodes] + layer.value_row * layer.nodes,
        layer.unit,
        elements[layer.elements] + layer.element_row * layer.elements,
        tensor(_starts(factors)),
        tensor([f for run in factors for f, _ in run]),
        tensor([u for run in factors for _, u in run]),
        tensor(_starts(uses)),
        tensor([u for run in uses for u in run]),
        tables.pop() if tables else None,
        tensor(_numbers(layer.parameters) if isinstance(layer, SumLayer) else []),
        layer.table if isinstance(layer, SumLayer) else 0,
        table is not None and not table.untied,
        tensor(_starts(pulls)),
        tensor([p[0] for run in pulls for p in run]),
        tensor([p[1] for run in pulls for p in run]),
        tensor([p[2] for run in pulls for p in run]),
        tensor(columns),
        any(run for run in factors),
    )


def _terms(layer: Layer) -> tuple[Term, ...]:
    """What a layer multiplies; a vector of leaves is a product of one leaf."""
    if isinstance(layer, SumLayer):
        return layer.terms
    if isinstance(layer, ProductLayer):
        return (layer.term,)
    assert isinstance(layer, InputLayer)
    return (Term(0, layer.nodes, (), (LeafFactor(layer.table, layer.first_use),)),)


def _groups(layer: Layer) -> int:
    assert isinstance(layer, InputLayer | ProductLayer | SumLayer)
    return len(layer.blocks)


def _numbers(rows: Rows) -> list[int]:
    return list(range(rows.start, rows.stop, rows.step or 1)) if isinstance(rows, slice) else [int(r) for r in rows.tolist()]


def _starts(runs: list[list[tuple[int, int]]] | list[list[int]] | list[list[tuple[int, int, int]]]) -> list[int]:
    return [0, *accumulate(len(run) for run in runs)]
