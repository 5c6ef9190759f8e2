"""Address tables for the fused GPU kernels, or the reason why a program has to run without them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count

import torch

from pcbench_kernels.fused import FusedEdges, FusedLayer, FusedLeaves, FusedPart, FusedRows, FusedStage

from ..distributions import Categorical
from .fuse_blocks import FusedBlock, blocks_of, launches_of, products, renumber, without_shared_leaves
from .fuse_tables import FILL, Tables, rows_of, tiles_of
from .layers import Layer, LeafTable, SumLayer, SumTable, weight_starts

#: Most weights of a node that one program updates while their counts are still in its registers.
EPILOGUE = 512
#: Most uses of shared weights for that; where there are more, several programs had better count them.
FEW_USES = 4
#: Weights whose counts are kept at once, where they have to be; a parameter of more is a part of its own.
PART = 1 << 24
#: Most stages in which weights are counted while flows go on.
STAGES = 8


@dataclass(frozen=True, eq=False)
class Fused:
    """One launch a level, shape and pass.

    Attributes:
        layers: in order of evaluation.
        stages: terms merged by shape, in the order in which all flows that they need are there.
        leaves: leaf tables, in order.
        rows: all sum nodes, those of tables with holes apart.
        outputs: (first output column, node number, unit, nodes) of each root; roots: the same ``[R, 4]``, on the GPU.
        num_units: blocks with a value: those of the program, and leaves that a term of several leaf tables is made of.
        num_values, num_elements, num_ratios: nodes of all units, elements of all sums and products, and flows by value.
        num_scales: units, and terms with a scale of their own.
        widest: most nodes or elements of a block.
        precision: ``"fast"`` or ``"exact"``.
        variables: how many columns data must have; −1 when some of them have no leaf, so that kernels do not see them.
        far: whether products keep log values that may lie any number of nats apart, as those of densities do.
    """

    layers: tuple[FusedLayer, ...]
    stages: tuple[FusedStage, ...]
    leaves: tuple[FusedLeaves, ...]
    rows: tuple[FusedRows, ...]
    outputs: tuple[tuple[int, int, int, int], ...]
    roots: torch.Tensor
    num_units: int
    num_values: int
    num_elements: int
    num_ratios: int
    num_scales: int
    widest: int
    precision: str
    variables: int
    far: bool

    @property
    def edges(self) -> tuple[FusedEdges, ...]:
        """All terms, merged by shape, for what does not depend on order."""
        return (*(e for stage in self.stages for e in stage.learning), *(e for part in self.late for e in part.edges))

    @property
    def late(self) -> tuple[FusedPart, ...]:
        """Weights that are updated once their counts are there, part by part."""
        return tuple(part for stage in self.stages for part in stage.late)

    @property
    def looked_up(self) -> bool:
        """Whether there are tables of all leaves."""
        return all(leaves.looked_up for leaves in self.leaves)

    @property
    def lookup_types(self) -> list[torch.dtype]:
        """Of what is looked up of each leaf table."""
        return [self.logs if leaves.looked_up else torch.float32 for leaves in self.leaves]

    @property
    def operands(self) -> torch.dtype:
        """Of the matrix products."""
        return torch.bfloat16 if self.precision == "fast" else torch.float32

    @property
    def logs(self) -> torch.dtype:
        """Of log values and log probabilities relative to a scale, and of flows: those that matter are near zero, mostly."""
        return torch.float16 if self.precision == "fast" and not self.far else torch.float32

    @property
    def ratios_in_place(self) -> bool:
        """Whether flows by value take the memory of the values on the way down: numbers have to be of one size."""
        return self.operands.itemsize == self.logs.itemsize


def why_not_fused(layers: tuple[Layer, ...], sum_tables: tuple[SumTable, ...]) -> str | None:
    """The first property of a program that the fused kernels have no form for; ``None`` when they take all of it."""
    for layer in layers:
        where = f"{layer.kind} layer {layer.index}"
        if isinstance(layer, SumLayer):
            table = sum_tables[layer.table]
            if table.choice.kernel.name != "dense":
                return f"{where} stores its weights as {table.choice.kernel.name}, not dense"
            if len({t.width for t in layer.terms}) > 1:
                return f"{where} has terms of different widths"
        terms = products(layer)
        if any(f.columns is not None or f.width != t.width for t in terms for f in t.factors):
            return f"{where} has products that pick single nodes of their children"
        if any(p.columns is not None for p in layer.pulls):
            return f"{where} feeds products that pick single nodes"
        if len({block for block, _ in layer.outputs}) < len(layer.outputs):
            return f"{where} holds a block that is a root twice"
    return None


def fuse(
    layers: tuple[Layer, ...],
    sum_tables: tuple[SumTable, ...],
    leaf_tables: tuple[LeafTable, ...],
    num_units: int,
    precision: str,
    device: torch.device,
    variables: int = -1,
) -> Fused:
    """Address tables of layers for which :func:`why_not_fused` has nothing to say."""
    starts = weight_starts(sum_tables)
    units = count(num_units)
    blocks = [
        b
        for layer in sorted(layers, key=lambda layer: layer.level)
        for b in blocks_of(layer, starts, sum_tables, precision, units)
    ]
    num_scales = num_units = next(units)
    blocks = without_shared_leaves(blocks)
    num_values, num_elements, num_ratios = renumber(blocks)
    for block in blocks:
        if block.many:
            for term in block.terms:
                term.units, num_scales = list(range(num_scales, num_scales + block.parts)), num_scales + block.parts
    launches = launches_of(blocks)
    late = _late(blocks, sum_tables)
    make = Tables(device, launches)
    stages = []
    for after, held in _stages(launches):
        learning = _edges(make, [b for b in held if b.table not in late], sum_tables, True)
        parts = [_part(make, part, sum_tables, starts) for part in _cut([b for b in held if b.table in late])]
        stages.append(FusedStage(after, learning, tuple(parts)))
    leaves = tuple(make.leaves(t, leaf, isinstance(leaf.distribution, Categorical)) for t, leaf in enumerate(leaf_tables))
    outputs = tuple((b.column, b.node, b.unit, b.nodes) for b in blocks if b.column >= 0)
    return Fused(
        tuple(make.layer(place, found) for place, found in enumerate(launches)),
        tuple(stages),
        leaves,
        rows_of(sum_tables, starts, {t: range(len(table.parameters)) for t, table in enumerate(sum_tables)}, device),
        outputs,
        torch.tensor(outputs, dtype=torch.int64).to(device),
        num_units,
        num_values,
        num_elements,
        num_ratios,
        num_scales,
        max(max(b.nodes, b.elements) for b in blocks),
        precision,
        variables,
        any(leaf_tables[b.leaf_table].categories is None for b in blocks if not b.is_sum and b.leaf_table is not None),
    )


def _edges(make: Tables, blocks: list[FusedBlock], tables: tuple[SumTable, ...], learns: bool) -> tuple[FusedEdges, ...]:
    """Blocks of one shape beside each other, those with holes apart."""
    alike: dict[Hashable, list[FusedBlock]] = {}
    for block in blocks:
        holes = tables[block.table].choice.kernel.support() is not None
        alike.setdefault((block.nodes, block.width, holes), []).append(block)
    return tuple(make.edges(found, tables, learns) for found in alike.values())


def _part(make: Tables, blocks: list[FusedBlock], tables: tuple[SumTable, ...], starts: list[int]) -> FusedPart:
    """Blocks in the order of their weights, whose counts are kept at once."""
    which: dict[int, dict[int, None]] = {}
    for block in blocks:
        which.setdefault(block.table, {})[block.parameter] = None
    rows = rows_of(tables, starts, {table: list(parameters) for table, parameters in which.items()}, make.device)
    return FusedPart(blocks[0].weights, blocks[-1].end, _edges(make, blocks, tables, False), rows)


def _stages(launches: list[list[FusedBlock]]) -> list[tuple[int, list[FusedBlock]]]:
    """Sums in the order in which flows no longer read their weights, and the place of the launch after which that is so.

    A stage keeps a GPU busy, and is no less than its share of the work.
    """
    last: dict[int, int] = {}
    for place in reversed(range(len(launches))):
        last |= {block.weights: place for block in launches[place] if block.is_sum}
    free: list[list[FusedBlock]] = [[] for _ in launches]
    for block in (block for launch in launches for block in launch if block.is_sum):
        free[last[block.weights]].append(block)
    works = [sum(block.pieces * tiles_of(block.nodes, block.width) for block in blocks) for blocks in free]
    least = max(FILL, sum(works) // STAGES)
    stages: list[tuple[int, list[FusedBlock]]] = []
    held: list[FusedBlock] = []
    work = 0
    for place in reversed(range(len(launches))):
        held, work = held + free[place], work + works[place]
        if held and (place == 0 or work >= least):
            stages.append((place, held))
            held, work = [], 0
    return stages


def _cut(blocks: list[FusedBlock]) -> list[list[FusedBlock]]:
    """Blocks in the order of their weights, in parts that span at most :data:`PART` weights, or one parameter."""
    parts: list[list[FusedBlock]] = []
    for block in sorted(blocks, key=lambda b: b.weights):
        first = parts[-1][0].weights if parts else -1
        if parts and (block.weights == first or block.end - first <= PART):
            parts[-1].append(block)
        else:
            parts.append([block])
    return parts


def _late(blocks: list[FusedBlock], tables: tuple[SumTable, ...]) -> set[int]:
    """Tables whose weights are updated once all counts are there, and not by the launch that counts them."""
    late: set[int] = set()
    uses: dict[int, int] = {}
    for block in blocks:
        if block.is_sum:
            uses[block.weights] = uses.get(block.weights, 0) + 1
            most = EPILOGUE if tables[block.table].choice.kernel.support() is None else EPILOGUE // 2  # holes take registers
            if block.many or block.width > most or uses[block.weights] > FEW_USES:
                late.add(block.table)
    return late


__all__ = ["Fused", "fuse", "why_not_fused"]
