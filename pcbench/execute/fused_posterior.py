"""Posteriors on a GPU: the fused passes up and down, and then one matrix product for some of the variables at once.

``P(x_v = c | e) = Σ_n flow[b, n] · p[v, c, n]`` over the leaves of a variable. Their flows sum to one but for rounding: by
1e-5 in programs with ``precision="exact"``, whose shares are taken as they are; in ``"fast"`` ones, whose flows are rounded to
8 bits at every level, by up to some percent after a hundred levels. Nearly all of that is common to the nodes of a variable,
so there they are divided by their sum. Where the sum is off by more than :data:`OFF` the exact passes are asked instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..compile import LeafTable, Program
from ..scope import Finite
from .evidence import Evidence
from .fused import flow_down, fused_upward, run
from .fused_evidence import bytes_of_tables, fused_batch, vectors_of
from .fused_pass import FusedPass, flows_into
from .fused_soft import fused_soft
from .model import Parameters
from .workspace import Workspace

#: What flows are relative to: float16 keeps 14 bits more of small ones than below 1, and none reaches its end.
SEED = 2.0**14
#: How far the flows of a variable may be from their sum.
OFF = 0.1
#: Bytes of flows, masses and results on the GPU at once.
PIECE_BYTES = 256 << 20
#: Bytes of a query's results that a GPU may write into the CPU's memory by itself: such memory takes long to get, and is kept.
PINNED = 512 << 20


@dataclass(frozen=True, eq=False)
class Shares:
    """Posteriors of some variables of one domain.

    Attributes:
        columns: of the variables.
        probabilities: float32 ``[columns, B, C]``, on the CPU.
    """

    columns: tuple[int, ...]
    probabilities: Tensor


@dataclass(frozen=True, eq=False)
class Posteriors:
    """Of a batch.

    Attributes:
        log_likelihood: ``[B, outputs]`` float64, nats.
        shares: of the finite variables asked for.
        weights: by column of the others, float32 ``[B, N]`` on the CPU for each leaf vector over it, in the order of the leaf
            tables and of their uses.
    """

    log_likelihood: Tensor
    shares: tuple[Shares, ...]
    weights: dict[int, list[Tensor]]


def small_enough_to_pin(program: Program, rows: int, columns: list[int]) -> bool:
    """Whether a GPU may write posteriors of so many rows into the CPU's memory by itself."""
    values = sum(size * len(group) for size, group in _by_domain(program, columns).items())
    return program.device.type == "cuda" and 4 * rows * values <= PINNED


def bytes_of_flows(program: Program, soft: Iterable[int] = ()) -> int:
    """GPU memory that a row takes in passes up and down, with soft evidence on some columns."""
    fused = program.fused
    assert fused is not None
    logs, operands = fused.logs.itemsize, fused.operands.itemsize
    codes = sum(len(leaves.variables) for leaves in fused.leaves)
    return (
        (0 if fused.ratios_in_place else fused.num_values * logs)
        + fused.num_ratios * operands
        + fused.num_elements * (logs + operands)
        + 8 * fused.num_scales
        + 4 * codes
        + 9 * len(program.circuit.variables)
        + bytes_of_tables(program, soft)
    )


def fused_posteriors(
    program: Program,
    parameters: Parameters,
    evidence: Evidence,
    columns: list[int],
    output: int,
    space: Workspace,
    pinned: bool = False,
) -> Posteriors | None:
    """Posteriors of variables that have leaves; ``None`` where the exact passes have to compute them.

    Args:
        program, parameters: with fused layers.
        evidence: not checked yet, but for its form.
        columns: of the variables asked for.
        output: the root node that is conditioned on.
        space: buffers to use again.
        pinned: whether the GPU writes results into the CPU's memory by itself.

    Raises:
        DataError: when the evidence does not fit the variables.
    """
    laid_out = fused_batch(program, evidence, space, soft=True)
    if laid_out is None:
        return None
    weighed = [column for column in columns if column in evidence.soft]
    columns = [column for column in columns if column not in evidence.soft]

    def passed() -> FusedPass:
        up = fused_upward(program, parameters, laid_out, space, downward=True)
        _flow_from(up, output)
        return up

    def rehearsed() -> None:
        up = passed()
        for table in range(len(program.leaf_tables)):
            flows_into(up, table, [0])

    space.graphs.rehearse(("posterior", program, laid_out.size, laid_out.kind, output), rehearsed, program.device)
    up = passed()
    off = space.get("off", (), torch.float32, program.device).zero_()
    found = [_shares(up, size, group, output, off, pinned) for size, group in _by_domain(program, columns).items()]
    found += _soft_shares(up, weighed, output, off)
    weights = _weights(up, [c for c in columns if not isinstance(program.circuit.variables[c].domain, Finite)], output, off)
    settled = up.settle()  # waits for all of it
    if not settled.exact or not float(off) <= OFF:
        return None
    return Posteriors(settled.log_likelihood, tuple(found), weights)


def _flow_from(up: FusedPass, output: int) -> None:
    seeds = up.buffers.seeds

    def work() -> None:
        seeds.zero_()
        torch.mul(torch.isfinite(up.likelihood[:, output]), SEED, out=seeds[:, output])
        flow_down(up)

    run(up, ("flow from", output), work)


def _by_domain(program: Program, columns: list[int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for column in columns:
        if isinstance(domain := program.circuit.variables[column].domain, Finite):
            groups.setdefault(domain.size, []).append(column)
    return groups


def _shares(up: FusedPass, size: int, columns: list[int], output: int, off: Tensor, pinned: bool) -> Shares:
    """Launches the matrix products for variables of ``size`` values, and the copies of their results."""
    program, rows = up.program, up.batch.size
    out = torch.empty(len(columns), rows, size, dtype=torch.float32, pin_memory=pinned)
    widest = max(table.nodes for table in program.leaf_tables)
    step = max(1, PIECE_BYTES // (4 * (rows * (widest + size) + size * widest)))
    for i in range(0, len(columns), step):
        piece = _piece(up, size, columns[i : i + step], output, off)
        out[i : i + step].copy_(piece, non_blocking=True)
    return Shares(tuple(columns), out)


def _piece(up: FusedPass, size: int, columns: list[int], output: int, off: Tensor) -> Tensor:
    """``[columns, B, size]`` on the GPU; raises ``off`` to the greatest error of a sum of flows."""
    program, rows, known = up.program, up.batch.size, vectors_of(up.program)
    out = up.workspace.get("shares", (len(columns), rows, size), torch.float32, program.device)
    total = up.workspace.get("share", (len(columns), rows), torch.float32, program.device).zero_()
    fresh = True  # every variable has a leaf
    for t, table in enumerate(program.leaf_tables):
        uses = [[entry for own, entries in known[column] if own == t for entry in entries] for column in columns]
        for turn in range(max(map(len, uses))):
            entries = [own[turn] if turn < len(own) else -1 for own in uses]
            flows = flows_into(up, t, entries)
            masses = _masses(up, t, table, entries, size).transpose(1, 2)
            if fresh:
                torch.bmm(flows, masses, out=out)
            else:
                out.baddbmm_(flows, masses)
            total += flows.sum(2)
            fresh = False
    _compare(total, columns, program, output, off)
    assert program.fused is not None
    if program.fused.precision == "exact":
        return out.mul_(1 / SEED)
    return out.div_(torch.where(total > 0, total, 1.0)[:, :, None])


def _soft_shares(up: FusedPass, columns: list[int], output: int, off: Tensor) -> list[Shares]:
    """Of variables with soft evidence: likelihoods times the derivatives by them. Raises ``off`` as :func:`_piece` does."""
    if not columns:
        return []
    soft, rows, device = up.batch.soft, up.batch.size, up.program.device
    found = {c: torch.zeros(rows, soft[c].shape[1], dtype=torch.float64, device=device) for c in columns}
    for t in up.batch.hard:
        fused_soft(up, t, None, found)
    parts = [found[c].mul_(soft[c]) for c in columns]
    total = torch.stack([part.sum(1) for part in parts])
    _compare(total.float(), columns, up.program, output, off)
    assert up.program.fused is not None
    whole = torch.full_like(total, SEED) if up.program.fused.precision == "exact" else torch.where(total > 0, total, 1.0)
    return [Shares((c,), (p / w[:, None]).float()[None].cpu()) for c, p, w in zip(columns, parts, whole, strict=True)]


def _weights(up: FusedPass, columns: list[int], output: int, off: Tensor) -> dict[int, list[Tensor]]:
    """Flows into the leaves of some variables, as :class:`Posteriors` has them; raises ``off`` as :func:`_piece` does."""
    if not columns:
        return {}
    program, rows = up.program, up.batch.size
    total = torch.zeros(len(columns), rows, device=program.device)
    found: dict[int, list[Tensor]] = {column: [] for column in columns}
    for t, table in enumerate(program.leaf_tables):
        vectors = [(i, entries) for i, column in enumerate(columns) for own, entries in vectors_of(program)[column] if own == t]
        step = max(1, PIECE_BYTES // (4 * rows * table.nodes))
        for first in range(0, len(vectors), step):
            piece = vectors[first : first + step]
            places = torch.tensor([j for j, (_, entries) in enumerate(piece) for _ in entries]).to(program.device)
            flows = torch.zeros(len(piece), rows, table.nodes, device=program.device)
            flows.index_add_(0, places, flows_into(up, t, [e for _, entries in piece for e in entries]))
            total.index_add_(0, torch.tensor([i for i, _ in piece]).to(program.device), flows.sum(2))
            for (i, _), flow in zip(piece, flows.mul_(1 / SEED).cpu(), strict=True):
                found[columns[i]].append(flow)
    _compare(total, columns, program, output, off)
    assert program.fused is not None
    if program.fused.precision == "fast":
        sums = total.mul_(1 / SEED).cpu()
        for own, of in zip(found.values(), torch.where(sums > 0, sums, 1.0), strict=True):
            for flow in own:
                flow.div_(of[:, None])
    return found


def _compare(total: Tensor, columns: list[int], program: Program, output: int, off: Tensor) -> None:
    """Raises ``off`` to the greatest error of sums of flows ``[columns, B]``."""
    scope = _scope_of(program, output)
    wanted = torch.tensor([SEED if scope >> column & 1 else 0.0 for column in columns]).to(program.device)
    torch.maximum(off, (total - wanted[:, None]).abs().amax() / SEED, out=off)


def _scope_of(program: Program, output: int) -> int:
    """The variables below an output's root, as bits."""
    column = 0
    for root in program.circuit.roots:
        if column <= output < column + root.nodes:
            return root.scope
        column += root.nodes
    raise AssertionError("queries check the output")


def _masses(up: FusedPass, index: int, table: LeafTable, entries: list[int], size: int) -> Tensor:
    """``[entries, C, N]`` float32; those of no entry are anything."""
    fused = up.program.fused
    assert fused is not None
    leaves = fused.leaves[index]
    sets = leaves.owners[leaves.uses[torch.tensor([max(0, e) for e in entries]).to(up.program.device)]]
    parameters, domain = up.parameters.leaves[index][sets], Finite(size)
    masses = table.distribution.mass_table(parameters, domain)
    return table.distribution.log_table(parameters.double(), domain).exp().float() if masses is None else masses
