"""Linear values or logarithms: which of them the passes of a program keep on a CPU.

A dense sum over elements whose mean is 1 is no smaller than its smallest weight. So the values of sums can be handed up as
they are, and a product of a few of them is a multiplication: no logarithm, no exponential. A program in which something may
underflow without end (sums with holes, products with values of their own, leaves without a table of masses, weights that
are nearly zero) keeps logarithms everywhere; so does a product of many factors, within a linear program.
"""

from __future__ import annotations

from math import log10
from weakref import WeakKeyDictionary

import torch

from ..compile import LeafTable, ProductLayer, Program, SumLayer, Term
from ..scope import Finite

#: A product of leaves over C values and of sums is taken as logarithms when C⁻¹ for each leaf and a tenth for each sum
#: come to less than 10 to the minus this.
DIGITS = 15.0

_KNOWN: WeakKeyDictionary[Program, tuple[bool, frozenset[int]]] = WeakKeyDictionary()


def may_be_linear(program: Program) -> bool:
    """Whether values can be kept linear when weights allow it: :func:`least_weight`."""
    return _known(program)[0]


def logs_wanted(program: Program, table: int) -> bool:
    """Whether training reads the log probabilities of a leaf table over a finite domain at every step.

    Fused passes read tables of their own.
    """
    linear, tables = _known(program)
    return program.fused is None and (not linear or table in tables)


def least_weight(dtype: torch.dtype) -> float:
    """Sums with a smaller weight than this are kept as logarithms."""
    return 1e-10 if dtype == torch.float32 else 1e-100


def least_mean(dtype: torch.dtype) -> float:
    """Linear elements with a smaller mean than this are computed again from logarithms.

    What is lost, denormal elements, is then less than 1e-38 / (1e-18 · 1e-10) = 1e-10 of every sum (in float32).
    """
    return 1e-18 if dtype == torch.float32 else 1e-150


def many_factors(program: Program, term: Term) -> bool:
    """Whether a product is likely to underflow, so that its elements are computed from logarithms."""
    digits = float(len(term.factors))
    for leaf in term.leaves:
        digits += log10(program.leaf_tables[leaf.table].categories or 1)
    return digits > DIGITS


def has_masses(table: LeafTable) -> bool:
    """Whether a leaf table's family has a table of masses; see ``Distribution.mass_table``."""
    if table.categories is None:
        return False
    one = torch.zeros(table.distribution.num_parameters, 1)
    return table.distribution.mass_table(one, Finite(table.categories)) is not None


def _known(program: Program) -> tuple[bool, frozenset[int]]:
    known = _KNOWN.get(program)
    if known is None:
        known = _KNOWN[program] = (_linear(program), _log_tables(program))
    return known


def _linear(program: Program) -> bool:
    return (
        program.device.type == "cpu"
        and program.fused is None
        and all(t.pattern.rows is None for t in program.sum_tables)
        and all(has_masses(t) for t in program.leaf_tables)
        and not any(isinstance(layer, ProductLayer) for layer in program.layers)
    )


def _log_tables(program: Program) -> frozenset[int]:
    terms = [t for layer in program.layers if isinstance(layer, SumLayer) for t in layer.terms]
    return frozenset(leaf.table for term in terms if many_factors(program, term) for leaf in term.leaves)
