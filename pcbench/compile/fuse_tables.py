"""Fused blocks → the address tables that launches read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import TypeVar

import torch
from torch import Tensor

from pcbench_kernels.fused import FusedEdges, FusedLayer, FusedLeaves, FusedRows

from .fuse_blocks import FusedBlock, read
from .layers import LeafTable, SumTable

#: Programs of edge counts that keep the largest GPUs busy: two for each of some 130 multiprocessors.
FILL = 264

T = TypeVar("T")


class Tables:
    """Launches of blocks → tensors on a device. Slots are given in the order in which terms are evaluated."""

    def __init__(self, device: torch.device, launches: list[list[FusedBlock]]) -> None:
        self.device = device
        blocks = [block for launch in launches for block in launch]
        self._by_unit = read(blocks)
        self._slots: dict[int, list[tuple[FusedBlock, int, int]]] = {}  # leaf table -> (block, term, use) of each slot
        self._first: dict[FusedBlock, int] = {}  # slot
        for block in blocks:
            if block.leaf_table is not None:
                held = self._slots.setdefault(block.leaf_table, [])
                self._first[block] = len(held)
                held += [(block, t, use) for t, term in enumerate(block.terms) for use in term.uses]

    def _tensor(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers or [0], dtype=torch.int64, device=self.device)

    def _runs(self, runs: list[list[T]], *parts: Callable[[T], int]) -> list[Tensor]:
        """Starts of runs, and what is in them, one tensor a part."""
        flat = list(chain.from_iterable(runs))
        starts = [0, *accumulate(len(run) for run in runs)]
        return [self._tensor(starts), *(self._tensor([part(x) for x in flat]) for part in parts)]

    def _columns(self, rows: list[list[T]], *parts: Callable[[T], int], least: int = 1) -> list[Tensor]:
        """Rows filled up with −1, one tensor ``[rows, columns]`` a part. Columns are a power of two: each number of them is a
        kernel of its own to be compiled."""
        longest = 1 << (max(least, *(len(row) for row in rows)) - 1).bit_length()
        return [
            self._tensor([n for row in rows for n in [*map(part, row), *[-1] * (longest - len(row))]]).view(len(rows), longest)
            for part in parts
        ]

    def layer(self, place: int, blocks: list[FusedBlock]) -> FusedLayer:
        """One launch, and its place among all."""
        first = blocks[0]
        terms = [term for block in blocks for term in block.terms]
        term_start, term_units = self._runs([[u for t in block.terms for u in t.units] for block in blocks], lambda unit: unit)
        factors, units = self._columns(
            [[self._by_unit[u] for u in t.factors] for t in terms],
            lambda b: b.node,
            lambda b: b.unit,
            least=2,
        )
        pull_rows, pull_widths, pull_offsets = self._columns(
            [b.pulls for b in blocks],
            lambda p: p[0].element,
            lambda p: p[0].elements,
            lambda p: p[0].width * p[0].parts * p[1],
        )
        return FusedLayer(
            place=place,
            is_sum=first.is_sum,
            narrow=first.narrow,
            many=first.many,
            holes=first.seen is not None,
            groups=len(blocks),
            nodes=first.nodes,
            width=first.width,
            terms=sum(b.pieces for b in blocks),
            parts=first.parts,
            nodes_at=self._tensor([b.node for b in blocks]),
            units_at=self._tensor([b.unit for b in blocks]),
            elements_at=self._tensor([b.element for b in blocks]),
            ratios_at=self._tensor([b.ratio for b in blocks]),
            seen=torch.cat([b.seen for b in blocks if b.seen is not None] or [torch.ones(1)]).to(self.device, torch.int8),
            term_start=term_start,
            group_of=self._tensor([g for g, b in enumerate(blocks) for _ in range(b.pieces)]),
            term_units=term_units,
            factors=factors,
            units=units,
            slots=self._tensor(list(accumulate((len(t.uses) for t in terms), initial=self._first.get(first, 0)))),
            most_uses=max(len(t.uses) for t in terms),
            leaf_table=first.leaf_table,
            weights_at=self._tensor([b.weights for b in blocks]),
            pull_rows=pull_rows,
            pull_widths=pull_widths,
            pull_offsets=pull_offsets,
            seed_columns=self._tensor([b.column for b in blocks]),
            roots=any(b.column >= 0 for b in blocks),
            keep=any(t.factors or t.uses for t in terms),
            aligned=_aligned(blocks),
            pulls_aligned=all(p.width % 16 == 0 for b in blocks for p, _ in b.pulls),
        )

    def edges(self, blocks: list[FusedBlock], tables: tuple[SumTable, ...], learns: bool) -> FusedEdges:
        """Parts of terms of one shape, those that share weights beside each other."""
        first = blocks[0]
        sharing: dict[int, list[tuple[FusedBlock, int]]] = {}
        for block in blocks:
            for t in range(block.pieces):
                sharing.setdefault(block.weights + t * first.width, []).append((block, t))
        runs = list(sharing.values()) if learns else list(_runs(list(sharing.values()), first.nodes, first.width))
        run_start, nodes_at, elements_at, offsets, strides, weights_at = self._runs(
            runs,
            lambda e: e[0].ratio if e[0].seen is None else e[0].ratio + e[1] * e[0].nodes,
            lambda e: e[0].element,
            lambda e: e[1] * e[0].width,
            lambda e: e[0].elements,
            lambda e: e[0].weights + e[1] * e[0].width,
        )
        trains = [_trains(tables[run[0][0].table], run[0][0].parameter) for run in runs]
        support, support_at = self._support([run[0][0].table for run in runs], tables) if learns else (None, None)
        return FusedEdges(
            nodes=first.nodes,
            width=first.width,
            runs=len(runs),
            run_start=run_start,
            nodes_at=nodes_at,
            elements_at=elements_at,
            offsets=offsets,
            strides=strides,
            weights_at=weights_at,
            shared=len(runs) > len(sharing),
            aligned=_aligned(blocks),
            learns=learns,
            trainable=self._tensor(trains).to(torch.int32),
            support=support,
            support_at=support_at,
        )

    def _support(self, which: list[int], tables: tuple[SumTable, ...]) -> tuple[Tensor | None, Tensor | None]:
        """Which weights of some tables are there, flat, and where each one's begin; ``None``: all are."""
        found, starts, held = [], dict[int, int](), 0
        for t in dict.fromkeys(which):
            if (holes := tables[t].choice.kernel.support()) is not None:
                found.append(holes.flatten().cpu())
                starts[t], held = held, held + holes.numel()
        return (torch.cat(found).to(self.device), self._tensor([starts[t] for t in which])) if found else (None, None)

    def leaves(self, t: int, table: LeafTable, learns: bool) -> FusedLeaves:
        """All slots of a leaf table, and those of one parameter set beside each other."""
        owner, held = table.rows.tolist(), self._slots[t]
        users: dict[int, list[int]] = {}
        for slot, (_, _, use) in enumerate(held):
            users.setdefault(owner[use], []).append(slot)
        run_start, uses, elements_at, offsets, strides = self._runs(
            [users[s] for s in range(len(table.parameters))],
            lambda slot: slot,
            lambda slot: held[slot][0].element,
            lambda slot: held[slot][1] * held[slot][0].width * held[slot][0].parts,
            lambda slot: held[slot][0].elements,
        )
        source = torch.tensor([use for _, _, use in held])
        _, same = torch.stack([elements_at, offsets], 1).cpu().unique(dim=0, return_inverse=True)
        firsts = torch.full((int(same.max()) + 1,), len(same)).scatter_reduce_(0, same, torch.arange(len(same)), "amin")
        trains = torch.ones(len(users), dtype=torch.int32) if table.trainable is None else table.trainable.cpu().to(torch.int32)
        return FusedLeaves(
            table=t,
            nodes=table.nodes,
            categories=table.categories or 0,
            variables=table.variables.cpu()[source].to(self.device),
            owners=table.rows.cpu()[source].to(self.device),
            source=source.to(self.device),
            runs=len(users),
            run_start=run_start,
            most=max(len(found) for found in users.values()),
            uses=uses,
            elements_at=elements_at,
            offsets=offsets,
            strides=strides,
            firsts=firsts.to(self.device),
            same=same.to(self.device),
            aligned=not bool(((offsets | strides | table.nodes) & 15).any()),
            learns=learns,
            trainable=trains.to(self.device),
        )


def _runs(sharing: list[list[T]], nodes: int, width: int) -> Iterator[list[T]]:
    """Runs of terms that share weights: long, but enough of them to fill the chip."""
    tiles = tiles_of(nodes, width) * len(sharing)
    parts = max(1, FILL // tiles)
    for terms in sharing:
        step = max(1, -(-len(terms) // parts))
        yield from (terms[i : i + step] for i in range(0, len(terms), step))


def tiles_of(nodes: int, width: int) -> int:
    """Programs that count the edges of a term."""
    return -(-nodes // 128) * -(-width // 128)


def _trains(table: SumTable, parameter: int) -> int:
    return 1 if table.trainable is None else int(table.trainable[parameter])


def _aligned(blocks: list[FusedBlock]) -> bool:
    return all(block.weights % 16 == 0 and block.width % 16 == 0 for block in blocks)


def rows_of(
    tables: tuple[SumTable, ...], starts: list[int], which: Mapping[int, Sequence[int]], device: torch.device
) -> tuple[FusedRows, ...]:
    """The sum nodes of some parameters of some tables, those of tables with holes apart."""
    whole: list[tuple[SumTable, int, Sequence[int]]] = []
    holed: list[tuple[SumTable, int, Sequence[int]]] = []
    for t, parameters in which.items():
        (whole if tables[t].choice.kernel.support() is None else holed).append((tables[t], starts[t], parameters))
    return tuple(_joined(parts, device) for parts in (whole, holed) if parts)


def _joined(parts: list[tuple[SumTable, int, Sequence[int]]], device: torch.device) -> FusedRows:
    at, lengths, learns, support, support_at, held = [], [], [], [], [], 0
    for table, start, parameters in parts:
        (sets, nodes, elements), several, chosen = table.shape, len(parameters), torch.tensor(parameters)
        at.append(start + ((chosen * nodes)[:, None] + torch.arange(nodes)).flatten() * elements)
        lengths.append(torch.full((several * nodes,), elements))
        trains = torch.ones(sets, dtype=torch.bool) if table.trainable is None else table.trainable.cpu()
        learns.append(trains[chosen].repeat_interleave(nodes))
        if (holes := table.choice.kernel.support()) is not None:
            support.append(holes.flatten().cpu())
            support_at.append((held + torch.arange(nodes) * elements).repeat(several))
            held += nodes * elements
    return FusedRows(
        torch.cat(at).to(device),
        torch.cat(lengths).to(device, torch.int32),
        torch.cat(learns).to(device, torch.int32),
        max(table.shape[2] for table, *_ in parts),
        all((start | table.shape[2]) % 16 == 0 for table, start, _ in parts),
        torch.cat(support).to(device) if support else None,
        torch.cat(support_at).to(device) if support else None,
    )
