"""Execution: evidence and parameters → values, flows, samples; expected counts → new parameters."""

from .downward import downward
from .evidence import Batch, Data, Evidence
from .fused_best import bytes_of_trees, fused_explain
from .fused_posterior import bytes_of_flows, fused_posteriors, small_enough_to_pin
from .fused_topdown import Wanted, bytes_of_row, bytes_of_sample, empty_samples, fused_draw
from .gradient import Spaces, Targets, differentiable_log_likelihood
from .lent import lent_workspace
from .max_product import max_product
from .maximise import maximise
from .model import Model, Parameters
from .model_views import node_flows, node_values
from .stamps import Clock
from .statistics import Statistics
from .steps import em_step, em_steps, expectation, forward, settled_step
from .topdown import draw, maximise_tree, require_support
from .underway import Underway, launch_step
from .upward import Activations, upward
from .weight_map import WeightMap
from .workspace import Workspace

__all__ = [
    "Activations",
    "Batch",
    "Clock",
    "Data",
    "Evidence",
    "Model",
    "Parameters",
    "Spaces",
    "Statistics",
    "Targets",
    "Underway",
    "Wanted",
    "WeightMap",
    "Workspace",
    "bytes_of_flows",
    "bytes_of_row",
    "bytes_of_sample",
    "bytes_of_trees",
    "differentiable_log_likelihood",
    "downward",
    "draw",
    "em_step",
    "em_steps",
    "empty_samples",
    "expectation",
    "forward",
    "fused_draw",
    "fused_explain",
    "fused_posteriors",
    "launch_step",
    "lent_workspace",
    "max_product",
    "maximise",
    "maximise_tree",
    "node_flows",
    "node_values",
    "require_support",
    "settled_step",
    "small_enough_to_pin",
    "upward",
]
