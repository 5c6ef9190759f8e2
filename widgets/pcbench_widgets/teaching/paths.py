"""One path through a circuit that is too large for the view: the best tree, or the one that a sample takes, block by block.

The same formulas as the view's own (widgets/src/workbench/lab/passes.ts), in float64; a sample is the row that `pcbench.sample`
draws of that seed, because its dice are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pcbench import Circuit, Evidence, Finite, InputBlock, Model, Parameter, ProductBlock, SumBlock
from pcbench.circuit import Block
from pcbench.errors import OptionError, QueryError
from pcbench.execute.noise import uniform

from .wire import dense_weights

MOST_CELLS = 20_000_000
"""Weights, as if all sums were dense: more would take seconds and hundreds of megabytes at a click."""


@dataclass(frozen=True, eq=False)
class Path:
    """Blocks and edges on the path, 0 or 1.

    Attributes:
        up: ``[blocks]`` float64, the largest log value of each block's nodes: sums for a sample, maxima for the best tree.
        node: ``[blocks]``; edge: ``[edges]``, those of each block to its children in order.
        unit: ``[blocks]``, which node of the block is on the path; −1 where none is.
        dice: at each sum of a sampled path its block, the uniform, and the number of its edge.
        state: a value of every variable, the evidence's where it is observed.
    """

    up: Tensor
    node: Tensor
    edge: Tensor
    unit: Tensor
    dice: list[tuple[int, float, int]]
    state: list[float]


def best_path(model: Model, evidence: Evidence, output: int) -> Path:
    """The best tree below an output.

    Raises:
        QueryError: for evidence of probability zero.
        OptionError: for a circuit of more than `MOST_CELLS` weights.
    """
    return _Walk(model, evidence, maximise=True).down(output, None)


def sample_path(model: Model, evidence: Evidence, output: int, seed: int, row: int) -> Path:
    """The path of sample `row` of a seed; raises as `best_path` does."""
    return _Walk(model, evidence, maximise=False).down(output, (seed, row))


class _Walk:
    def __init__(self, model: Model, evidence: Evidence, maximise: bool) -> None:
        self.circuit: Circuit = model.circuit
        cells = sum(block.nodes * block.elements for block in self.circuit.blocks if isinstance(block, SumBlock))
        if cells > MOST_CELLS:
            raise OptionError(
                f"paths are drawn through at most {MOST_CELLS:,} weights; as dense sums this circuit has {cells:,}"
            )
        self.values: dict[Parameter, Tensor] = {p: v.double().cpu() for p, v in model.values().items()}
        self.evidence, self.maximise = evidence, maximise
        self.logs: dict[Block, Tensor] = {}
        self.weights: dict[Block, Tensor] = {}
        for block in self.circuit.blocks:
            self.logs[block] = self._up(block)

    # ---- upward ------------------------------------------------------------------------------------------------------
    def _up(self, block: Block) -> Tensor:
        """Log values of a block's nodes, ``[N]``."""
        if isinstance(block, InputBlock):
            scores, done = self._leaf(block)
            return done if scores is None else scores.amax(0) if self.maximise else torch.logsumexp(scores, 0)
        if isinstance(block, ProductBlock):
            return torch.stack([self.logs[c] if units is None else self.logs[c][units] for c, units in _factors(block)]).sum(0)
        self.weights[block] = dense_weights(block, self.values[block.parameter]).log()
        scores = self.weights[block] + torch.cat([self.logs[child] for child in block.children])
        return scores.amax(1) if self.maximise else torch.logsumexp(scores, 1)

    def _leaf(self, block: InputBlock) -> tuple[Tensor | None, Tensor]:
        """Log scores of the values that are open ``[C, N]``, or None where none is; and the nodes' log values then."""
        variable, family, parameters = block.variable, block.distribution, self.values[block.parameter]
        nodes, observed = torch.zeros(block.nodes, dtype=torch.float64), self._observed(variable.index)
        if not isinstance(variable.domain, Finite):
            if observed is None and not self.maximise:
                return None, nodes
            at = family.mode(parameters[None])[0] if observed is None else nodes + observed
            return None, family.log_density(parameters.T[:, :, None], at[:, None])[:, 0, 0]
        table = family.log_table(parameters, variable.domain)
        if observed is not None:
            return None, table[int(observed)]
        soft = self.evidence.soft.get(variable.index)
        if soft is not None:
            return table + soft.reshape(-1).double().log()[:, None], nodes
        return (table, nodes) if self.maximise else (None, nodes)

    def _observed(self, variable: int) -> float | None:
        seen = self.evidence.observed
        known = variable not in self.evidence.soft and (seen is None or bool(seen.reshape(-1)[variable]))
        return float(self.evidence.values.reshape(-1)[variable]) if known else None

    # ---- downward ----------------------------------------------------------------------------------------------------
    def down(self, output: int, noise: tuple[int, int] | None) -> Path:
        circuit = self.circuit
        root, unit = _output(circuit, output)
        if not math.isfinite(float(self.logs[root][unit])):
            raise QueryError("the evidence has probability zero, so there is no path that explains it")
        starts = _starts(circuit)
        units, edge = torch.full((len(circuit.blocks),), -1.0), torch.zeros(sum(len(b.children) for b in circuit.blocks))
        dice: list[tuple[int, float, int]] = []
        state = [0.0 if (seen := self._observed(v.index)) is None else seen for v in circuit.variables]
        active = {root: unit}
        for block in reversed(circuit.blocks):
            if block not in active:
                continue
            at, unit = circuit.index[block], active[block]
            units[at] = unit
            die = None if noise is None else float(uniform(noise[0], torch.tensor([noise[1]]), torch.tensor([at])))
            if isinstance(block, InputBlock):
                if self._observed(block.variable.index) is None:
                    state[block.variable.index] = self._value(block, unit, die)
            elif isinstance(block, ProductBlock):
                for k, (child, picks) in enumerate(_factors(block)):
                    active[child] = unit if picks is None else int(picks[unit])
                    edge[starts[at] + k] = 1
            else:
                k, below = self._choose(block, unit, die)
                active[block.children[k]] = below
                edge[starts[at] + k] = 1
                if die is not None:
                    dice.append((at, die, starts[at] + k))
        up = torch.stack([self.logs[block].max() for block in circuit.blocks])
        return Path(up, (units >= 0).double(), edge, units, dice, state)

    def _choose(self, block: SumBlock, unit: int, die: float | None) -> tuple[int, int]:
        """Which child, and which of its nodes, a sum's node takes."""
        scores = self.weights[block][unit] + torch.cat([self.logs[child] for child in block.children])
        element = int(scores.argmax()) if die is None else _invert((scores - scores.max()).exp(), die)
        for k, child in enumerate(block.children):
            if element < child.nodes:
                return k, element
            element -= child.nodes
        raise AssertionError("an element belongs to no child")

    def _value(self, block: InputBlock, unit: int, die: float | None) -> float:
        variable, family = block.variable, block.distribution
        parameters = self.values[block.parameter][:, unit]
        soft = self.evidence.soft.get(variable.index)
        if soft is not None and isinstance(variable.domain, Finite):
            scores = family.log_table(parameters[:, None], variable.domain)[:, 0].exp() * soft.reshape(-1).double()
            return float(scores.argmax() if die is None else _invert(scores, die))
        if die is None:
            return float(family.mode(parameters[None, :, None])[0, 0])
        return float(family.inverse_cdf(parameters[:, None], torch.tensor([die], dtype=torch.float64))[0])


def _factors(block: ProductBlock) -> list[tuple[Block, Tensor | None]]:
    """Each child with the node of it that each product takes; None: its own."""
    return [(child, None if block.index is None else block.index[:, k]) for k, child in enumerate(block.children)]


def _output(circuit: Circuit, output: int) -> tuple[Block, int]:
    for root in circuit.roots:
        if output < root.nodes:
            return root, output
        output -= root.nodes
    raise OptionError(f"the circuit has {circuit.num_outputs} outputs")


def _starts(circuit: Circuit) -> list[int]:
    starts, count = [], 0
    for block in circuit.blocks:
        starts.append(count)
        count += len(block.children)
    return starts


def _invert(scores: Tensor, noise: float) -> int:
    cumulative = scores.double().cumsum(0)
    return min(int((cumulative <= noise * cumulative[-1]).sum()), len(scores) - 1)
