"""The max-product pass: for every node, the log value of the best tree below it (one child a sum, a mode a leaf)."""

from __future__ import annotations

from torch import Tensor

from pcbench_kernels.cpu.gather import take

from ..compile import Program, SumLayer, cut
from ..distributions import Distribution
from .evidence import Batch
from .leaves import LogTables
from .model import Parameters
from .upward import Activations, LeafRule, evaluate, fill_elements, prepare
from .workspace import Workspace


def _best_soft(likelihood: Tensor, logs: Tensor) -> Tensor:
    return (likelihood.log()[:, :, None] + logs[None]).amax(1)


def _best_missing(family: Distribution, parameters: Tensor) -> Tensor:
    mode = family.mode(parameters)  # one value a node, so densities are taken column by column
    columns = parameters.transpose(1, 2)[..., None]  # [n, N, S, 1]
    return family.log_density(columns, mode[..., None])[..., 0, 0]


#: A leaf that is not observed takes its mode; soft evidence, its best weighted value.
MAX_RULE = LeafRule(_best_soft, _best_missing)


def max_product(program: Program, parameters: Parameters, batch: Batch, workspace: Workspace | None = None) -> Activations:
    """Max-product evaluation; elements are kept in the log domain, relative to their maximum."""
    lookups = []
    for t in range(len(program.leaf_tables)):
        table = parameters.lookups[t]
        best = None if table is None else table.clone()
        if best is not None:
            best[:, -1] = best[:, :-1].amax(1)
        lookups.append(best)
    best_tables = LogTables(program.leaf_tables, parameters.leaves, lookups)
    p = parameters
    modes = Parameters(p.weights, p.leaves, best_tables, p.flat, p.operands, p.masses)
    act = prepare(program, modes, batch, workspace or Workspace(), True, MAX_RULE)
    logs = [w.log() for w in parameters.weights]

    def maximise_sums(act: Activations, layer: SumLayer, a: int, b: int) -> None:
        x = act.elements[layer.elements][layer.element_row + a : layer.element_row + b]
        fill_elements(act, layer, a, b, x)
        y = act.values[layer.nodes][layer.value_row + a : layer.value_row + b]
        weights = take(logs[layer.table], cut(layer.parameters, a, b))
        program.sum_tables[layer.table].choice.kernel.max_plus(x, weights, y)

    evaluate(act, maximise_sums)
    return act
