"""Compilation: circuit → Program."""

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
)
from .program import Program, compile

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
]
