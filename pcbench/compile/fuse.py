"""Address tables for the fused GPU kernels, or the reason why a program has to run without them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor

from pcbench_kernels.fused import FusedLayer

from .layers import InputLayer, Layer, LeafFactor, LeafTable, ProductLayer, Rows, SumLayer, SumTable, Term

#: Programs of edge counts that keep the largest GPUs busy (two for each of some 130 multiprocessors).
FILL = 264


@dataclass(frozen=True, eq=False)
class Fused:
    """One launch a layer and pass.

    Attributes:
        layers: in order of evaluation.
        edges: sum layers merged by shape, for what does not depend on order.
        precision: ``"fast"`` or ``"exact"``.
        variables: how many columns data must have; −1 when some of them have no leaf, so that kernels do not see them.
    """

    layers: tuple[FusedLayer, ...]
    edges: tuple[FusedLayer, ...]
    precision: str
    variables: int


def arena_starts(rows: dict[int, int]) -> dict[int, int]:
    """How many nodes lie before each arena when all arenas of one kind lie in one buffer."""
    ends = list(accumulate(width * count for width, count in rows.items()))
    return dict(zip(rows, [0, *ends], strict=False))


def why_not_fused(
    layers: tuple[Layer, ...], sum_tables: tuple[SumTable, ...], leaf_tables: tuple[LeafTable, ...]
) -> str | None:
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
    variables: int = -1,
) -> Fused:
    """Address tables of layers for which :func:`why_not_fused` has nothing to say."""
    values, elements = arena_starts(value_rows), arena_starts(element_rows)
    drafts = [_draft(layer, values, elements) for layer in layers]
    alike: dict[Hashable, list[_Draft]] = {}
    for draft in drafts:
        if draft.is_sum:
            alike.setdefault((draft.nodes, draft.width, draft.terms, draft.table, draft.leaf_table), []).append(draft)
    passes = tuple(draft.finished(device) for draft in drafts)
    # Edge counts depend on nothing below or above once all flows are there, so blocks of one shape share a launch.
    tables = [part[0].table for part in alike.values()]
    edges = tuple(_merged(part).finished(device, again=tables.count(part[0].table) > 1) for part in alike.values())
    return Fused(passes, edges, precision, variables)


@dataclass(eq=False)
class _Draft:
    """A :class:`FusedLayer` in Python numbers, one entry a block (and, for what a term multiplies, a term)."""

    is_sum: bool
    nodes: int
    width: int
    terms: int
    table: int
    leaf_table: int | None
    nodes_at: list[int]
    units_at: list[int]
    elements_at: list[int]
    factors: list[list[tuple[int, int]]]
    uses: list[list[int]]
    sets: list[int]
    pulls: list[list[tuple[int, int, int]]]
    columns: list[int]

    def finished(self, device: torch.device, again: bool = False) -> FusedLayer:
        """Tensors on the device; ``again``: other layers add to the same weight table."""

        def tensor(numbers: Sequence[int]) -> Tensor:
            return torch.tensor(numbers or [0], dtype=torch.int64, device=device)

        runs = self._runs()
        return FusedLayer(
            self.is_sum,
            len(self.nodes_at),
            self.nodes,
            self.width,
            self.terms,
            tensor(self.nodes_at),
            tensor(self.units_at),
            tensor(self.elements_at),
            tensor(_starts(self.factors)),
            tensor([f for run in self.factors for f, _ in run]),
            tensor([u for run in self.factors for _, u in run]),
            tensor(_starts(self.uses)),
            tensor([u for run in self.uses for u in run]),
            self.leaf_table,
            tensor(self.sets),
            self.table,
            tensor(runs),
            len(runs) - 1,
            again or len(runs) - 1 > len(set(self.sets)),
            tensor(_starts(self.pulls)),
            tensor([p[0] for run in self.pulls for p in run]),
            tensor([p[1] for run in self.pulls for p in run]),
            tensor([p[2] for run in self.pulls for p in run]),
            tensor(self.columns),
            any(run for run in self.factors),
        )

    def _runs(self) -> list[int]:
        """Starts of runs of one parameter set: long, but enough of them to fill the chip."""
        tiles = -(-self.nodes // 128) * -(-self.width // 128) * self.terms * max(1, len(set(self.sets)))
        parts = max(1, FILL // tiles)
        starts: list[int] = []
        for _, group in groupby(range(len(self.sets)), key=self.sets.__getitem__):
            members = list(group)
            step = max(1, -(-len(members) // parts))
            starts += members[::step]
        return [*starts, len(self.sets)]


def _merged(parts: list[_Draft]) -> _Draft:
    """Layers of one shape as one, blocks of one parameter set beside each other."""
    order = sorted(((part, g) for part in parts for g in range(len(part.sets))), key=lambda x: x[0].sets[x[1]])
    first = parts[0]

    def gathered(name: str, per: int = 1) -> list[Any]:
        return [getattr(part, name)[g * per + t] for part, g in order for t in range(per)]

    lists: dict[str, Any] = {f.name: gathered(f.name) for f in fields(_Draft) if isinstance(getattr(first, f.name), list)}
    lists["factors"], lists["uses"] = gathered("factors", first.terms), gathered("uses", first.terms)
    return replace(first, **lists)


def _draft(layer: Layer, values: dict[int, int], elements: dict[int, int]) -> _Draft:
    groups, terms = _groups(layer), _terms(layer)
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
    return _Draft(
        isinstance(layer, SumLayer),
        layer.nodes,
        terms[0].width,
        len(terms),
        layer.table if isinstance(layer, SumLayer) else 0,
        tables.pop() if tables else None,
        [values[layer.nodes] + (layer.value_row + g) * layer.nodes for g in range(groups)],
        [layer.unit + g for g in range(groups)],
        [elements[layer.elements] + (layer.element_row + g) * layer.elements for g in range(groups)],
        factors,
        uses,
        _numbers(layer.parameters) if isinstance(layer, SumLayer) else [0] * groups,
        pulls,
        columns,
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
