"""Triton kernels, and how they are launched: a fused layer a launch. Nothing else in the project imports triton."""

from .launch import PRECISIONS, Pass, flow_through, maximise_categorical, maximise_sums, value_of

__all__ = ["PRECISIONS", "Pass", "flow_through", "maximise_categorical", "maximise_sums", "value_of"]
