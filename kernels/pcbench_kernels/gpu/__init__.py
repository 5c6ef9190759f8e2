"""Triton kernels, and how they are launched: a fused layer a launch. Nothing else in the project imports triton."""

from .down import count_categories, count_edges, flow_through
from .tiles import PRECISIONS, Pass
from .up import value_of
from .update import Update, encode_data, learn_categories, learn_edges, maximise_categorical, maximise_sums

__all__ = [
    "PRECISIONS",
    "Pass",
    "Update",
    "count_categories",
    "count_edges",
    "encode_data",
    "flow_through",
    "learn_categories",
    "learn_edges",
    "maximise_categorical",
    "maximise_sums",
    "value_of",
]
