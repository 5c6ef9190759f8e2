"""Launches around leaves: codes of data, samples in the order of their categories, counts and updates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from ..fused import FusedLeaves
from .em import leaf_em
from .encode import encode
from .launching import launch
from .leaves import flow_totals, leaf_counts, leaf_masses, sort_samples
from .tiles import FILL, Pass, Update, power

#: Most samples of a parameter set that one program sorts.
SORTED = 2048
#: Samples whose flows one program adds up: at most, and at least where that keeps more of the chip busy.
PART, LEAST_PART = 1024, 32
#: Samples of a category that are no reason to give it a program of its own.
FEW = 16
#: Flows that a program adds up at once, and parameters that it updates; programs that keep a GPU busy with adding.
MASS_CELLS, LEAF_CELLS, MASS_FILL = 4096, 2048, 12 * FILL
#: Most sums of a node's flows that every program of the update adds up again.
FEW_PARTS = 8


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of a leaf table in the order of their categories: see :func:`~.leaves.sort_samples`.

    Attributes:
        places: ``[slots·B]`` int64; bounds: ``[sets, C + 2]`` int32.
        masses: float32 ``[sets, parts, N]``, flows added up, each over a part of the samples of a set.
        totals: the same in at most :data:`FEW_PARTS` parts; may be ``masses`` itself.
        common: float32 ``[D, parts, N]``, flows into each place added up, where sets share them; else nothing.
    """

    places: Tensor
    bounds: Tensor
    masses: Tensor
    totals: Tensor
    common: Tensor


def shares_of(leaves: FusedLeaves, size: int) -> int:
    """In how many parts the flows into a place are added up."""
    wanted = FILL // (len(leaves.firsts) * -(-leaves.nodes // 256))
    return max(1, min(wanted, FEW_PARTS, -(-size // LEAST_PART)))


def parts_of(leaves: FusedLeaves, size: int) -> int:
    """In how many parts the samples of a set are added up."""
    if leaves.shared:
        return 1
    samples = leaves.most * size
    wanted = MASS_FILL // (leaves.runs * -(-leaves.nodes // 256))
    return max(-(-samples // PART), min(wanted, -(-samples // LEAST_PART)))


def encode_data(data: Tensor, observed: Tensor | None, leaves: FusedLeaves, codes: Tensor, outside: Tensor) -> None:
    """Codes ``[slots, B]`` of integer data ``[B, V]`` on the GPU; raises ``outside`` for values that are no category.

    ``observed``: bytes ``[B, V]``, 0 where a value is missing; ``None``: none is.
    """
    rows = min(512, power(len(data)))
    seen = data if observed is None else observed
    launch(encode, (len(leaves.variables), triton.cdiv(len(data), rows)))(
        data,
        seen,
        leaves.variables,
        leaves.owners,
        codes,
        outside,
        data.stride(0),
        data.stride(1),
        seen.stride(0),
        seen.stride(1),
        len(data),
        leaves.categories,
        BN=rows,
        PARTIAL=observed is not None,
    )


def sort(p: Pass, leaves: FusedLeaves, samples: Samples) -> None:
    """Fills in ``places`` and ``bounds``."""
    codes, most = p.codes[leaves.table], leaves.most * p.size
    if most <= SORTED and leaves.categories <= SORTED:
        columns = max(16, power(most))
        launch(sort_samples, (leaves.runs,))(
            codes,
            leaves.run_start,
            leaves.uses,
            leaves.elements_at,
            leaves.offsets,
            leaves.strides,
            samples.places,
            samples.bounds,
            p.size,
            leaves.categories,
            BQ=columns,
            BC=min(512, power(leaves.categories + 2)),
            PASSES=-(-leaves.categories.bit_length() // 3),  # the greatest category, « missing », is the number of them
            STEPS=columns.bit_length(),
            num_warps=4 if columns <= 1024 else 8,
        )
        return
    # Rows of the lookup table ascend with the parameter set, and so do runs.
    keys, order = codes[leaves.uses].reshape(-1).sort(stable=True)
    numbers = torch.arange(p.size, device=keys.device)
    places = leaves.elements_at[:, None] * p.size + leaves.offsets[:, None] + leaves.strides[:, None] * numbers
    torch.index_select(places.view(-1), 0, order, out=samples.places)
    size = leaves.categories + 1
    first = torch.arange(leaves.runs, device=keys.device)[:, None] * size + torch.arange(size + 1, device=keys.device)
    bounds = torch.searchsorted(keys, first.to(keys.dtype)) - leaves.run_start[:-1, None] * p.size
    samples.bounds.copy_(bounds)


def add_up(p: Pass, leaves: FusedLeaves, samples: Samples) -> None:
    """Fills in ``masses`` and ``totals``."""
    cols = min(256, max(16, power(leaves.nodes)))
    shares, tile = samples.common.shape[1], {"BQ": max(16, MASS_CELLS // cols), "BN": cols, "ALIGNED": _aligned(p, leaves)}
    if leaves.shared:
        launch(flow_totals, (len(leaves.firsts), shares, triton.cdiv(leaves.nodes, cols)))(
            p.flows,
            leaves.firsts,
            leaves.elements_at,
            leaves.offsets,
            leaves.strides,
            samples.common,
            p.size,
            leaves.nodes,
            shares,
            **tile,
        )
    launch(leaf_masses, (leaves.runs, samples.masses.shape[1], triton.cdiv(leaves.nodes, cols)))(
        p.flows,
        samples.places,
        samples.bounds,
        leaves.run_start,
        leaves.same,
        samples.common,
        samples.masses,
        p.size,
        leaves.nodes,
        leaves.categories,
        samples.masses.shape[1],
        shares,
        SHARED=leaves.shared,
        **tile,
    )
    if samples.totals is not samples.masses:
        torch.sum(samples.masses, 1, keepdim=True, out=samples.totals)


def count_categories(p: Pass, leaves: FusedLeaves, samples: Samples, counts: Tensor, fresh: bool) -> None:
    """Expected counts ``[sets, C + 1, N]``; ``fresh``: overwritten, otherwise added to."""
    rows, cols = _tile(leaves)
    launch(leaf_counts, _grid(leaves, leaves.categories, rows, cols))(
        p.flows,
        samples.places,
        samples.bounds,
        leaves.run_start,
        counts,
        p.size,
        leaves.nodes,
        leaves.categories,
        _few(p, leaves),
        BC=rows,
        BN=cols,
        BQ=max(16, MASS_CELLS // cols),
        ALIGNED=_aligned(p, leaves),
        ADD=not fresh,
    )


def learn_categories(
    p: Pass, leaves: FusedLeaves, samples: Samples, old: Tensor, out: Tensor, table: Tensor, update: Update
) -> None:
    """Counts and updates leaves, and their log table (``leaves.learns``)."""
    rows, cols = _tile(leaves)
    launch(leaf_em, _grid(leaves, leaves.categories + 1, rows, cols))(
        p.flows,
        samples.places,
        samples.bounds,
        samples.totals,
        old,
        out,
        table,
        leaves.run_start,
        leaves.trainable,
        update.rates,
        update.wrong,
        update.hold,
        p.size,
        leaves.nodes,
        leaves.categories,
        samples.totals.shape[1],
        _few(p, leaves),
        update.least,
        BC=rows,
        BN=cols,
        BQ=max(16, MASS_CELLS // cols),
        ALIGNED=_aligned(p, leaves),
    )


def _few(p: Pass, leaves: FusedLeaves) -> int:
    """Samples of a category that a program adds up while it does those of others: most categories have no more."""
    return max(FEW, power(3 * leaves.most * p.size // leaves.categories))


def _aligned(p: Pass, leaves: FusedLeaves) -> bool:
    """Whether a sample's flows start at a multiple of 16, so that eight are loaded at once."""
    return leaves.aligned and p.size % 16 == 0


def _tile(leaves: FusedLeaves) -> tuple[int, int]:
    """Categories and nodes of a program: rows as long as they come, and not so few programs that the chip idles."""
    cols = min(256, max(16, power(leaves.nodes)))
    rows = max(1, LEAF_CELLS // cols)
    while rows > 1 and leaves.runs * triton.cdiv(leaves.categories, rows) * triton.cdiv(leaves.nodes, cols) < 8 * FILL:
        rows //= 2
    return rows, cols


def _grid(leaves: FusedLeaves, categories: int, rows: int, cols: int) -> tuple[int, int, int]:
    return (leaves.runs, triton.cdiv(categories, rows), triton.cdiv(leaves.nodes, cols))
