"""Verify a Program after compilation: our own invariants, so a failure is a bug of ours and not of the user's."""

from __future__ import annotations

import torch
from torch import Tensor

from .layers import InputLayer, Layer, ProductLayer, Rows, SumLayer, Term
from .program import Program


def check(program: Program) -> None:
    """Assert that addresses are disjoint and in range, children come first, and every term's flow is pulled once."""
    values = {w: torch.full((n,), -1) for w, n in program.value_rows.items()}  # layer that writes each row
    sent: dict[int, int] = dict.fromkeys(program.element_rows, 0)
    pulled: dict[int, int] = dict.fromkeys(program.element_rows, 0)
    units = 0
    for layer in program.layers:
        groups = len(_blocks(layer))
        for term in _terms(layer):
            _check_term(term, groups, values)
            sent[layer.elements] += sum(f.count * term.width for f in term.factors)
        rows = values[layer.nodes][layer.value_row : layer.value_row + groups]
        assert len(rows) == groups and bool((rows == -1).all()), f"layer {layer.index} overwrites another layer's values"
        rows.fill_(layer.index)
        assert layer.unit == units
        units += groups
        for pull in layer.pulls:
            count = groups if pull.targets is None else len(pull.targets)
            assert count == _length(pull.rows), f"layer {layer.index}: a pull misses rows"
            assert _last(pull.rows) < program.element_rows[pull.elements]
            pulled[pull.elements] += count * pull.width
        if isinstance(layer, SumLayer):
            assert sum(t.width for t in layer.terms) == layer.elements
            assert _last(layer.parameters) < len(program.sum_tables[layer.table].parameters)
    assert units == program.num_units
    assert sent == pulled, "every factor's flow must be pulled exactly once"
    assert all(bool((v >= 0).all()) for v in values.values()), "a value row is never written"


def _blocks(layer: Layer) -> tuple[object, ...]:
    assert isinstance(layer, InputLayer | ProductLayer | SumLayer)
    return layer.blocks


def _terms(layer: Layer) -> tuple[Term, ...]:
    if isinstance(layer, SumLayer):
        return layer.terms
    return (layer.term,) if isinstance(layer, ProductLayer) else ()


def _check_term(term: Term, groups: int, values: dict[int, Tensor]) -> None:
    assert term.factors or term.leaves
    for factor in term.factors:
        assert factor.count <= groups and _length(factor.rows) == factor.count == _length(factor.units)
        assert bool((values[factor.width][factor.rows] >= 0).all()), "a child is evaluated after its parent"
        assert factor.columns is not None or factor.width == term.width


def _length(rows: Rows) -> int:
    return len(range(rows.start, rows.stop, rows.step or 1)) if isinstance(rows, slice) else len(rows)


def _last(rows: Rows) -> int:
    return int(range(rows.start, rows.stop, rows.step or 1)[-1]) if isinstance(rows, slice) else int(rows.max())
