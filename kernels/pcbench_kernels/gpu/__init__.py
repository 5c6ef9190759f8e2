"""Triton kernels, and how they are launched: a fused layer a launch. Nothing else in the project imports triton."""

from .launch import (
    PRECISIONS,
    Pass,
    count_categories,
    count_edges,
    encode_data,
    flow_through,
    maximise_categorical,
    maximise_sums,
    value_of,
)

__all__ = [
    "PRECISIONS",
    "Pass",
    "count_categories",
    "count_edges",
    "encode_data",
    "flow_through",
    "maximise_categorical",
    "maximise_sums",
    "value_of",
]
