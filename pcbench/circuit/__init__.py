"""Circuits: blocks, the graph of them, its properties, and first parameter values."""

from .blocks import (
    Block,
    BlockSparse,
    Dense,
    InputBlock,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    SumEdges,
    check_weights,
)
from .circuit import Circuit, kind_of, topological_order
from .describe import describe
from .determinism import deterministic
from .initial import initial_values
from .properties import Report, decomposable, smooth, structured_decomposable
from .validity import Violation

__all__ = [
    "Block",
    "BlockSparse",
    "Circuit",
    "Dense",
    "InputBlock",
    "Parameter",
    "ProductBlock",
    "Report",
    "Sparse",
    "SumBlock",
    "SumEdges",
    "Violation",
    "check_weights",
    "decomposable",
    "describe",
    "deterministic",
    "initial_values",
    "kind_of",
    "smooth",
    "structured_decomposable",
    "topological_order",
]
