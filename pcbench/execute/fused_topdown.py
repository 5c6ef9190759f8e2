"""Samples on a GPU: the fused upward pass, and down again a launch a level, shape and pass.

From the values of ``precision="exact"`` programs, samples are those that a CPU draws from the same seed, except where rounding
moves a border past the noise: about one choice in a million. Values of ``"fast"`` programs are rounded to 8 to 11 bits, and so
are the probabilities of the choices (a few tenths of a percent of each).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from ..scope import Finite
from .evidence import Evidence
from .fused import fused_upward, report_flags
from .fused_densities import parameters_at, write_values
from .fused_evidence import FusedBatch, bytes_of_tables, fused_batch
from .fused_pass import FusedPass, flags
from .fused_soft import choose_soft
from .model import Parameters
from .noise import uniform_of
from .topdown import invert, require_support
from .workspace import Workspace

if TYPE_CHECKING:  # Triton is imported by programs that have fused layers only
    from pcbench_kernels.fused import FusedLeaves
    from pcbench_kernels.gpu import Draws


#: Numbers of 4 bytes that a sample takes for each slot of leaves that are not looked up: noise, parameters and value.
VALUE_SLOTS = 16
#: Bytes of samples that a GPU may write into the CPU's memory: such memory cannot be paged out, and takes long to get.
PINNED = 64 << 20


@dataclass(frozen=True)
class Wanted:
    """Which samples: number ``first`` to ``first + size``, of which each row of evidence has ``each`` in a row."""

    first: int
    size: int
    each: int
    seed: int
    output: int

    @property
    def rows(self) -> slice:
        """The rows of all evidence that these samples complete."""
        return slice(self.first // self.each, (self.first + self.size - 1) // self.each + 1)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a program's samples need beside its launches; see :class:`~pcbench_kernels.gpu.topdown.Draws`.

    ``most``: elements of the largest block of each launch; ``left_out``: columns that have no leaf below each root block.
    """

    places: Tensor
    leaf_places: tuple[Tensor, ...]
    most: tuple[int, ...]
    left_out: dict[int, Tensor]


_plans: WeakKeyDictionary[Program, Plan] = WeakKeyDictionary()


def plan_of(program: Program) -> Plan:
    """Made once."""
    if (found := _plans.get(program)) is not None:
        return found
    fused, circuit = program.fused, program.circuit
    assert fused is not None
    places = torch.zeros(fused.num_units, dtype=torch.int64)
    for layer in program.layers:
        blocks = layer.blocks  # type: ignore[attr-defined]  # every kind of layer has some
        places[layer.unit : layer.unit + len(blocks)] = torch.tensor([circuit.index[b] for b in blocks])
    leaf_places = []
    for leaves in fused.leaves:
        uses = torch.tensor([circuit.index[b] for b in program.leaf_tables[leaves.table].blocks])
        leaf_places.append(uses[leaves.source.cpu()].to(program.device))
    left_out, column = {}, 0
    for root in circuit.roots:
        scope = root.scope
        left_out[column] = torch.tensor([v.index for v in circuit.variables if not scope >> v.index & 1], dtype=torch.int64)
        column += root.nodes
    most = tuple(int(layer.term_start.diff().max()) * layer.width for layer in fused.layers)
    _plans[program] = plan = Plan(places.to(program.device), tuple(leaf_places), most, left_out)
    return plan


def bytes_of_row(program: Program, soft: Iterable[int] = ()) -> int:
    """GPU memory that a row of evidence takes in the upward pass, with soft evidence on some columns."""
    fused = program.fused
    assert fused is not None
    codes = sum(len(leaves.variables) for leaves in fused.leaves)
    return (
        fused.num_values * fused.logs.itemsize
        + fused.num_elements * fused.operands.itemsize
        + 8 * fused.num_scales
        + 4 * codes
        + 9 * len(program.circuit.variables)
        + bytes_of_tables(program, soft)
    )


def bytes_of_sample(program: Program) -> int:
    """GPU memory that a sample takes on the way down."""
    fused = program.fused
    assert fused is not None
    slots = sum(len(leaves.variables) * (1 if leaves.looked_up else VALUE_SLOTS) for leaves in fused.leaves)
    return 4 * (fused.num_units + slots) + 8 * len(program.circuit.variables) + 12


def empty_samples(program: Program, count: int) -> Tensor:
    """``[count, V]`` on the CPU, into which a GPU writes by itself unless there are too many samples for that."""
    columns = len(program.circuit.variables)
    pinned = program.device.type == "cuda" and 8 * count * columns <= PINNED
    return torch.empty(count, columns, dtype=type_of_values(program), pin_memory=pinned)


def type_of_values(program: Program) -> torch.dtype:
    """Of samples: integers where every variable is finite."""
    return torch.int64 if program.circuit.variables.all_finite else torch.float64


def fused_draw(
    program: Program,
    parameters: Parameters,
    evidence: Evidence | None,
    wanted: Wanted,
    workspace: Workspace,
    into: Tensor,
) -> bool:
    """Samples ``[size, V]`` into memory of the CPU; whether that was possible: else, the exact passes have to draw them.

    Args:
        program, parameters: with fused layers.
        evidence: the rows ``wanted.rows``, not checked yet; ``None``: nothing is observed.
        wanted: which samples.
        workspace: buffers to use again.
        into: rows of :func:`empty_samples`.

    Raises:
        DataError: when the evidence does not fit the variables.
        QueryError: when it has probability zero.
    """
    laid_out = None if evidence is None else fused_batch(program, evidence, workspace, soft=True)
    if evidence is not None and laid_out is None:
        return False
    device = program.device

    def passed() -> tuple[FusedPass | None, Tensor, Tensor]:
        tables = _leaf_masses(program, parameters, workspace)
        up = None if laid_out is None else fused_upward(program, parameters, laid_out, workspace, keep=True)
        out = workspace.get("drawn", (wanted.size, len(program.circuit.variables)), type_of_values(program), device)
        return up, out, _descend(program, parameters, up, wanted, tables, out, workspace)

    of_batch = None if laid_out is None else (laid_out.size, laid_out.kind)
    workspace.graphs.rehearse(("draw", program, wanted.size, of_batch), passed, device)
    up, out, lost = passed()
    workspace.remembered["leaf masses"] = parameters
    into.copy_(out, non_blocking=True)
    if up is None:
        done = not bool(lost)  # the only wait
    else:
        settled = up.settle()  # the only wait
        done = settled.exact
        if done:
            require_support(settled.log_likelihood[:, wanted.output], wanted.rows.start)
    if done:
        leave_out(program, into, evidence, wanted)
    return done


def leave_out(program: Program, drawn: Tensor, evidence: Evidence | None, wanted: Wanted) -> None:
    """Variables that have no leaf below the root keep what was observed, or are 0."""
    column, *_ = root_of(program, wanted.output)
    left_out = plan_of(program).left_out[column]
    if not len(left_out):
        return
    drawn[:, left_out] = 0
    if evidence is not None:
        rows = (wanted.first + torch.arange(wanted.size)) // wanted.each - wanted.rows.start
        values = torch.where(evidence.mask(), evidence.values, 0).cpu()[rows]
        drawn[:, left_out] = values[:, left_out].to(drawn.dtype)


def root_of(program: Program, output: int) -> tuple[int, int]:
    """First output column of the root that an output belongs to, and its unit."""
    assert program.fused is not None
    return next((c, unit) for c, _, unit, nodes in program.fused.outputs if c <= output < c + nodes)


def _leaf_masses(program: Program, parameters: Parameters, workspace: Workspace) -> dict[int, tuple[Tensor, Tensor]]:
    """Masses ``[P, C, N]`` of leaf tables over finite domains, and their running sums: made anew for other parameters only."""
    from pcbench_kernels.gpu import add_up_leaves, runs_of

    fresh, tables = workspace.remembered.get("leaf masses") is not parameters, {}
    for t, table in enumerate(program.leaf_tables):
        if table.categories is None:
            continue
        sets, nodes = len(table.parameters), table.nodes
        leaves = parameters.leaves[t]
        masses = table.distribution.mass_table(leaves, Finite(table.categories))
        if masses is not leaves:
            masses = workspace.get(f"masses{t}", (sets, table.categories, nodes), torch.float64, program.device)
            if fresh:
                masses.copy_(_wide_masses(table, leaves))
        upto = workspace.get(f"masses up to{t}", (sets, runs_of(table.categories)[0], nodes), torch.float64, program.device)
        if fresh:
            add_up_leaves(masses, upto)
        tables[t] = (masses, upto)
    return tables


def _wide_masses(table: LeafTable, leaves: Tensor) -> Tensor:
    """``[P, C, N]`` float64, of a family whose parameters are something else."""
    domain, wide = Finite(table.categories or 0), leaves.double()
    masses = table.distribution.mass_table(wide, domain)
    return table.distribution.log_table(wide, domain).exp() if masses is None else masses


def _descend(
    program: Program,
    parameters: Parameters,
    up: FusedPass | None,
    wanted: Wanted,
    tables: dict[int, tuple[Tensor, Tensor]],
    out: Tensor,
    workspace: Workspace,
) -> Tensor:
    """Launches that draw; the flag of lost mass, on the GPU."""
    from pcbench_kernels.gpu import draw_categories, draw_edges, start

    fused, plan = program.fused, plan_of(program)
    assert fused is not None
    d = _draws(program, parameters, up, wanted, workspace)
    column, unit = root_of(program, wanted.output)
    d.told.copy_(torch.tensor([wanted.seed, wanted.first, wanted.each, wanted.output - column]))

    def work() -> None:
        if up is None:
            d.suspect.zero_()
        start(d, unit)
        for layer, most in zip(reversed(fused.layers), reversed(plan.most), strict=True):
            draw_edges(d, layer, most)
        for leaves in fused.leaves:
            if leaves.looked_up:
                draw_categories(d, leaves, *tables[leaves.table], out)
            else:
                _draw_densities(program, parameters, None if up is None else up.batch, d, leaves, out)
        if up is not None:
            report_flags(up)

    held = (parameters.flat, *parameters.leaves, *(t for pair in tables.values() for t in pair))
    kind = None if up is None else up.batch.kind
    key = ("draw", program, unit, d.size, d.rows, d.prior, kind, workspace.moves, *(t.data_ptr() for t in held))
    workspace.graphs.run(key, work, program.device)
    if up is not None and up.batch.soft:

        def pick(t: int, slots: Tensor, part: slice, weights: Tensor) -> Tensor:
            return invert(weights, uniform_of(d.states[part], d.leaf_places[t][slots]))

        choose_soft(program, parameters, up.batch, d.chosen, d.row_of, pick, out)
    return d.suspect


def _draw_densities(
    program: Program, parameters: Parameters, batch: FusedBatch | None, d: Draws, leaves: FusedLeaves, out: Tensor
) -> None:
    """Values of leaves that have no table: the observed ones, or drawn by inversion of their distribution functions."""
    noise = uniform_of(d.states[None, :], d.leaf_places[leaves.table][:, None])
    node = d.chosen[leaves.table]
    held = parameters_at(parameters.leaves[leaves.table], leaves, node)
    value = program.leaf_tables[leaves.table].distribution.inverse_cdf(held.flatten(1), noise.flatten())
    write_values(batch, leaves, node, value.view(noise.shape), None if batch is None else d.row_of, out)


def _draws(program: Program, parameters: Parameters, up: FusedPass | None, wanted: Wanted, workspace: Workspace) -> Draws:
    from pcbench_kernels.gpu import Draws

    fused, plan, size, device = program.fused, plan_of(program), wanted.size, program.device
    assert fused is not None
    slots = [(leaves.table, len(leaves.variables)) for leaves in fused.leaves]
    active = workspace.get("active", (fused.num_units, size), torch.int32, device)
    told = workspace.get("told", (4,), torch.int64, device)
    nothing = told.view(torch.float64)  # stands for what a sample from the prior does not read
    return Draws(
        size,
        1 if up is None else up.batch.size,
        told,
        workspace.get("noise", (size,), torch.int64, device),
        workspace.get("rows of samples", (size,), torch.int32, device),
        active,
        tuple(workspace.get(f"chosen{t}", (count, size), torch.int32, device) for t, count in slots),
        parameters.flat,
        nothing if up is None else up.buffers.elements,
        nothing if up is None else up.buffers.scales,
        (active,) * len(fused.leaves) if up is None else up.batch.counted,
        flags(workspace, device)[:1],
        plan.places,
        plan.leaf_places,
        up is None,
    )
