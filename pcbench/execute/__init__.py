"""Execution: evidence and parameters → values, flows, samples; expected counts → new parameters."""

from .downward import downward
from .evidence import Batch, Data, Evidence
from .gradient import Spaces, Targets, differentiable_log_likelihood
from .max_product import max_product
from .maximise import maximise
from .model import Model, Parameters
from .model_views import node_flows, node_values
from .statistics import Statistics
from .steps import expectation, forward
from .topdown import draw, maximise_tree
from .upward import Activations, upward
from .weight_map import WeightMap
from .workspace import Workspace

__all__ = [
    "Activations",
    "Batch",
    "Data",
    "Evidence",
    "Model",
    "Parameters",
    "Spaces",
    "Statistics",
    "Targets",
    "WeightMap",
    "Workspace",
    "differentiable_log_likelihood",
    "downward",
    "draw",
    "expectation",
    "forward",
    "max_product",
    "maximise",
    "maximise_tree",
    "node_flows",
    "node_values",
    "upward",
]
