"""Triton kernels, and how they are launched: a fused layer a launch. Nothing else in the project imports triton."""

from .chain import Launches
from .computed import moment_parts, normal, weigh
from .down import count_edges, flow_through
from .launching import rehearsal
from .leafwise import FEW_PARTS, Samples, add_up, count_categories, encode_data, learn_categories, parts_of, shares_of, sort
from .mixtures import leaf_flows
from .tiles import FILL, PRECISIONS, Pass, Update
from .topdown import Draws, add_up_leaves, draw_categories, draw_edges, runs_of, start
from .trees import Trees, best_of, explain_leaves, start_at, walk_down
from .up import conclude, renew, tell, value_of
from .update import learn_edges, maximise_categorical, maximise_sums, replace_parameters

__all__ = [
    "FEW_PARTS",
    "FILL",
    "PRECISIONS",
    "Draws",
    "Launches",
    "Pass",
    "Samples",
    "Trees",
    "Update",
    "add_up",
    "add_up_leaves",
    "best_of",
    "conclude",
    "count_categories",
    "count_edges",
    "draw_categories",
    "draw_edges",
    "encode_data",
    "explain_leaves",
    "flow_through",
    "leaf_flows",
    "learn_categories",
    "learn_edges",
    "maximise_categorical",
    "maximise_sums",
    "moment_parts",
    "normal",
    "parts_of",
    "rehearsal",
    "renew",
    "replace_parameters",
    "runs_of",
    "shares_of",
    "sort",
    "start",
    "start_at",
    "tell",
    "value_of",
    "walk_down",
    "weigh",
]
