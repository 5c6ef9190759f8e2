"""Compilation: circuit → Program."""

from .compiler import compile
from .layers import (
    Factor,
    InputLayer,
    Layer,
    LeafFactor,
    LeafTable,
    ProductLayer,
    Pull,
    Rows,
    SumLayer,
    SumTable,
    Term,
    cut,
    weight_starts,
)
from .program import Program

__all__ = [
    "Factor",
    "InputLayer",
    "Layer",
    "LeafFactor",
    "LeafTable",
    "ProductLayer",
    "Program",
    "Pull",
    "Rows",
    "SumLayer",
    "SumTable",
    "Term",
    "compile",
    "cut",
    "weight_starts",
]
