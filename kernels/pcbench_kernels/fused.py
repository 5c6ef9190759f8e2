"""The contract of the fused GPU kernels: where each block of a layer finds its children, leaves, weights and parents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """Addresses of one layer of ``groups`` blocks; all tensors are int64 on the GPU.

    A *node number* counts the nodes laid out before a block in its arena: its values start at ``number · B``.

    Attributes:
        is_sum: whether weights follow; otherwise a product or a vector of leaves.
        groups, nodes, width, terms: blocks; nodes of a block; elements of a term; terms of a block.
        nodes_at, units_at, elements_at: ``[groups]``, node number in the values, unit, and node number in the elements.
        factor_start: ``[groups·terms + 1]``, runs in ``factors`` (node numbers) and ``units`` (whose scales they have).
        use_start: ``[groups·terms + 1]``, runs in ``uses`` of leaf table ``leaf_table`` (``None``: no leaves).
        sets: ``[groups]``, parameter set of each block in weight table ``table``.
        run_start: ``[runs + 1]``, runs of blocks of one parameter set, whose edge counts are added up in registers.
        shared: whether several runs add to one parameter set.
        pull_start: ``[groups + 1]``, runs in ``pull_rows`` (node number in the elements), ``pull_widths``, ``pull_offsets``.
        seed_columns: ``[groups]``, first output column of a root, −1 elsewhere.
        keep: whether some child pulls the flows of the elements.
    """

    is_sum: bool
    groups: int
    nodes: int
    width: int
    terms: int
    nodes_at: Tensor
    units_at: Tensor
    elements_at: Tensor
    factor_start: Tensor
    factors: Tensor
    units: Tensor
    use_start: Tensor
    uses: Tensor
    leaf_table: int | None
    sets: Tensor
    table: int
    run_start: Tensor
    runs: int
    shared: bool
    pull_start: Tensor
    pull_rows: Tensor
    pull_widths: Tensor
    pull_offsets: Tensor
    seed_columns: Tensor
    keep: bool
