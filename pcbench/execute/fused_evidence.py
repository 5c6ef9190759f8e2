"""Evidence laid out for the fused passes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..compile import Program
from .evidence import Batch, Evidence
from .workspace import Workspace

#: Forms of evidence whose memory a workspace remembers.
FORMS = 16


@dataclass(frozen=True, eq=False)
class FusedBatch:
    """Evidence as the fused passes read it.

    Attributes:
        size: rows ``B``.
        evidence: as it was given.
        codes: int32 ``[slots, B]`` of each leaf table, rows of what is looked up.
        data: ``[B, V]`` on the GPU, from which the upward pass has yet to make the codes; ``None``: they are there.
        seen: bytes ``[B, V]``, 0 where a value of ``data`` is missing; ``None``: none is.
        reals, known: float64 and bytes ``[V, B]``, the same for leaves that have no table; ``None``: there are none. Once
            codes are laid out, what is missing is 0.
        hard: codes of the leaf tables over variables with soft evidence, which count as missing there. What is looked up of
            these tables is computed for the batch.
        soft: likelihoods ``[B or 1, C]`` by variable, on the GPU.
    """

    size: int
    evidence: Evidence
    codes: tuple[Tensor, ...]
    data: Tensor | None
    seen: Tensor | None = None
    reals: Tensor | None = None
    known: Tensor | None = None
    hard: Mapping[int, Tensor] = field(default_factory=dict)
    soft: Mapping[int, Tensor] = field(default_factory=dict)

    @cached_property
    def kind(self) -> Hashable:
        """What a captured graph has baked in beside the size: how data and mask are read."""
        seen = None if self.seen is None else self.seen.stride()
        return None if self.data is None else self.data.dtype, seen, self.known is None, *self.hard

    @property
    def counted(self) -> tuple[Tensor, ...]:
        """The codes by which leaves are counted."""
        return tuple(self.hard.get(t, codes) for t, codes in enumerate(self.codes))

    def of(self, evidence: Evidence) -> FusedBatch:
        """Other evidence, of the same form and in the same memory."""
        batch = object.__new__(FusedBatch)  # dataclasses.replace takes longer than all else that a step does before it launches
        batch.__dict__.update(self.__dict__, evidence=evidence)
        return batch


def fused_batch(program: Program, evidence: Evidence, workspace: Workspace, soft: bool = False) -> FusedBatch | None:
    """Evidence laid out for the fused passes, or ``None`` when this program or evidence needs the others.

    Hard evidence is checked by the launches that lay it out; the flag is read with the result. ``soft``: whether soft evidence
    is taken.
    """
    if program.fused is None or (evidence.soft and not soft) or len(evidence) * program.fused.widest >= 1 << 31:
        return None  # the kernels' addresses within a block have 32 bits
    form = None if evidence.soft else _form(evidence)
    if (held := workspace.batches.get((program, form))) is not None and held[0] == workspace.moves:
        _copy(evidence, workspace, program.device)
        batch: FusedBatch = held[1].of(evidence)
        return batch
    batch = _laid_out(program, evidence, workspace)
    if batch.data is not None:
        if len(workspace.batches) >= FORMS:
            workspace.batches.clear()
        workspace.batches[program, form] = workspace.moves, batch.of(Evidence(batch.data.new_empty(0, 0)))
    return batch


def _laid_out(program: Program, evidence: Evidence, workspace: Workspace) -> FusedBatch:
    device, values = program.device, evidence.values
    assert program.fused is not None

    def codes_of(name: str, t: int) -> Tensor:
        assert program.fused is not None
        return workspace.get(f"{name}{t}", (len(program.fused.leaves[t].source), len(values)), torch.int32, device)

    codes = tuple(codes_of("codes", t) for t in range(len(program.fused.leaves)))
    data = seen = reals = known = laid_out = None
    hard: dict[int, Tensor] = {}
    if not evidence.soft and _plain(evidence, program.fused.variables):
        data, seen = _copy(evidence, workspace, device)
        seen = None if seen is None else seen.expand(values.shape)
    else:
        laid_out = Batch.of(program, evidence)
        weighed = {t for v in evidence.soft for t, _ in vectors_of(program)[v]}
        hard = {t: codes_of("hard codes", t) for t in sorted(weighed)}
        for t, (into, code) in enumerate(zip(codes, laid_out.codes, strict=True)):
            if code is not None:
                hard.get(t, into).copy_(code[program.fused.leaves[t].source])
            if t in hard:
                torch.arange(into.numel(), out=into.view(-1))
    if not program.fused.looked_up:
        shape = (len(program.circuit.variables), len(values))
        reals = workspace.get("reals", shape, torch.float64, device)
        partial = evidence.observed is not None or bool(evidence.soft)
        known = workspace.get("known", shape, torch.uint8, device) if partial else None
        if laid_out is not None:
            reals.copy_(laid_out.values)
            if known is not None and laid_out.observed is not None:
                known.copy_(laid_out.observed)
    likelihoods = {} if laid_out is None else {v: s.view(-1, s.shape[-1]) for v, s in laid_out.soft.items()}
    return FusedBatch(len(values), evidence, codes, data, seen, reals, known, hard, likelihoods)


def _form(evidence: Evidence) -> Hashable:
    """What hard evidence has to agree in, to be laid out in the same memory."""
    values, observed = evidence.values, evidence.observed
    return values.shape, values.dtype, None if observed is None else (observed.shape, observed.dtype)


def _copy(evidence: Evidence, workspace: Workspace, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Values and mask on the GPU, as they are."""
    values, observed = evidence.values, evidence.observed
    data = workspace.get("data", values.shape, values.dtype, device)
    data.copy_(values)
    if observed is None:
        return data, None
    seen = workspace.get("seen", observed.shape, torch.uint8, device)
    seen.copy_(observed)
    return data, seen


def bytes_of_tables(program: Program, soft: Iterable[int] = ()) -> int:
    """GPU memory that a row takes in tables that its batch gets: of leaves without one, and of those over ``soft`` columns."""
    fused, weighed = program.fused, {t for v in soft for t, _ in vectors_of(program)[v]}
    assert fused is not None
    own = [leaves for leaves in fused.leaves if not leaves.looked_up or leaves.table in weighed]
    return sum(4 * len(leaves.source) * leaves.nodes for leaves in own)


def _plain(evidence: Evidence, columns: int) -> bool:
    """Whether values and mask are of the right shapes and types for the kernel that looks at each value."""
    values, observed = evidence.values, evidence.observed
    if values.ndim != 2 or values.shape[1] != columns or not len(values):
        return False
    if values.is_complex() or values.dtype == torch.bool:
        return False
    fits = observed is None or tuple(observed.shape) in (tuple(values.shape), (columns,))
    return fits and (observed is None or observed.dtype == torch.bool)


_vectors: WeakKeyDictionary[Program, dict[int, list[tuple[int, list[int]]]]] = WeakKeyDictionary()


def vectors_of(program: Program) -> dict[int, list[tuple[int, list[int]]]]:
    """Column → (leaf table, its places in ``uses``) of each leaf vector over it: one that several terms look up has several."""
    if (known := _vectors.get(program)) is not None:
        return known
    assert program.fused is not None
    found: dict[int, list[tuple[int, list[int]]]] = {v.index: [] for v in program.circuit.variables}
    for leaves in program.fused.leaves:
        table = program.leaf_tables[leaves.table]
        entries: list[list[int]] = [[] for _ in table.blocks]
        for entry, use in enumerate(leaves.source[leaves.uses].tolist()):
            entries[use].append(entry)
        for column, own in zip(table.variables.tolist(), entries, strict=True):
            found[column].append((leaves.table, own))
    _vectors[program] = found
    return found
