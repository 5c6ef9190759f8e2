"""The contract of the fused GPU kernels: where each block of a launch finds its children, leaves, weights and parents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """Addresses of ``groups`` blocks of one width that one launch evaluates; all tensors are int64 on the GPU.

    A *node number* counts the nodes laid out before a block in its arena: its values start at ``number · B``. A *term* is a
    product that fills ``width`` elements of a block, or one of its ``parts``; the blocks of a launch may have different numbers
    of terms.

    Attributes:
        place: the launch's among all, on the way up.
        is_sum: whether weights follow; otherwise a product or a vector of leaves.
        narrow: whether blocks have one term, and are small enough for its elements to stay in registers.
        many: whether every block has several terms; otherwise every block has one.
        holes: whether nodes see some of their block's terms only, each of them whole or not at all.
        groups, nodes, width, terms: blocks; nodes of a block; elements of a term; terms of all blocks together.
        parts: how many terms in a row are parts of one product, whose nodes they take in turn.
        nodes_at, units_at, elements_at: ``[groups]``, node number in the values, unit, and node number in the elements.
        ratios_at: ``[groups]``, node number of the ratios; with ``holes``, of those of the first term, and others follow.
        term_start: ``[groups + 1]``, the terms of each block; group_of: ``[terms]``, the block of each term.
        seen: ``[terms, nodes]`` int8, which nodes see a term; only read where there are ``holes``.
        term_units: ``[terms]``, row of the scales that holds a term's own (those of a block follow each other); the unit itself
            where it is the only one.
        factors, units: ``[terms / parts, F]``, node numbers of the units that a product multiplies, and whose scales they have;
            −1: none.
        slots: ``[terms / parts + 1]``, runs in the rows of the codes of leaf table ``leaf_table`` (``None``: no leaves).
        most_uses: of leaves in a term.
        weights_at: ``[groups]``, first weight of a block; a row of weights follows the other after ``width · terms`` of them.
        pull_rows, pull_widths, pull_offsets: ``[groups, P]`` (P a power of two), node number of a parent in the elements (−1:
            none), its elements, and the first of the term that multiplies this block.
        seed_columns: ``[groups]``, first output column of a root, −1 elsewhere.
        roots: whether there are any.
        keep: whether the flows of the elements are read again, by a child or for the counts of leaves.
        aligned: whether all weights start at multiples of 16; pulls_aligned: whether widths and offsets of pulls do.
        chain: where blocks of several levels are joined, which of them read each other.
    """

    place: int
    is_sum: bool
    narrow: bool
    many: bool
    holes: bool
    groups: int
    nodes: int
    width: int
    terms: int
    parts: int
    nodes_at: Tensor
    units_at: Tensor
    elements_at: Tensor
    ratios_at: Tensor
    seen: Tensor
    term_start: Tensor
    group_of: Tensor
    term_units: Tensor
    factors: Tensor
    units: Tensor
    slots: Tensor
    most_uses: int
    leaf_table: int | None
    weights_at: Tensor
    pull_rows: Tensor
    pull_widths: Tensor
    pull_offsets: Tensor
    seed_columns: Tensor
    roots: bool
    keep: bool
    aligned: bool
    pulls_aligned: bool
    chain: FusedChain | None = None

    @property
    def places(self) -> range:
        """Its place, or those of the launches that it takes the place of."""
        return range(self.place, self.place + 1) if self.chain is None else self.chain.places


@dataclass(frozen=True, eq=False)
class FusedChain:
    """Several levels in one launch, from the lowest on: their programs wait for each other.

    Attributes:
        places: the launches that it takes the place of.
        widest: most blocks of a level.
        children, parents: ``[groups, 1, 2 or 4]``, blocks of the launch that one multiplies, and is multiplied by; −1: none.
    """

    places: range
    widest: int
    children: Tensor
    parents: Tensor


@dataclass(frozen=True, eq=False)
class FusedEdges:
    """Terms of one shape in the whole program, whose expected edge counts one launch adds up; int64 on the GPU.

    Attributes:
        nodes, width: of a term's weights.
        run_start: ``[runs + 1]``, runs of terms that share weights and are added up in registers.
        nodes_at, elements_at: ``[entries]``, node number of the term's ratios, and of its elements.
        offsets, strides: ``[entries]``, first element of the term in its block, and elements of the block.
        weights_at: ``[entries]``, first weight of the term.
        shared: whether several runs add to the same weights.
        aligned: whether all weights start at multiples of 16.
        learns: whether a run holds all that a step needs to know of its weights: one term a block.
        trainable: ``[runs]`` int32.
        support: flat booleans, which weights of those that learn are there, those of a run from ``support_at`` (``[runs]``) on;
            ``None``: all are.
    """

    nodes: int
    width: int
    runs: int
    run_start: Tensor
    nodes_at: Tensor
    elements_at: Tensor
    offsets: Tensor
    strides: Tensor
    weights_at: Tensor
    shared: bool
    aligned: bool
    learns: bool
    trainable: Tensor
    support: Tensor | None
    support_at: Tensor | None


@dataclass(frozen=True, eq=False)
class FusedLeaves:
    """Leaves of one table: where they are looked up, and where their flows lie; int64 on the GPU.

    Attributes:
        table: the leaf table.
        nodes, categories: of its leaves; 0 categories: of a domain that has no table. Row ``slot · B + sample`` of what
            is looked up is then computed for every batch.
        variables, owners: ``[slots]``, the variable that each row of the codes holds, and the parameter set that it looks up.
        source: ``[slots]``, use of the leaf table of each.
        runs: parameter sets, all of them.
        run_start: ``[runs + 1]``, the slots of each.
        most: slots of a run.
        uses: ``[slots]``, rows of the codes.
        elements_at, offsets, strides: ``[slots]``, where their flows lie, as in :class:`FusedEdges`.
        firsts: ``[D]``, of the slots whose flows lie at the same place, the first; same: ``[slots]``, which of these it is.
        aligned: whether nodes, offsets and strides are multiples of 16.
        learns: whether their family is updated by dividing counts by their sum.
        trainable: ``[runs]`` int32.
    """

    table: int
    nodes: int
    categories: int
    variables: Tensor
    owners: Tensor
    source: Tensor
    runs: int
    run_start: Tensor
    most: int
    uses: Tensor
    elements_at: Tensor
    offsets: Tensor
    strides: Tensor
    firsts: Tensor
    same: Tensor
    aligned: bool
    learns: bool
    trainable: Tensor

    @property
    def shared(self) -> bool:
        """Whether most flows go into several slots: all leaves below a product share those of the product."""
        return 2 * len(self.firsts) <= len(self.same)

    @property
    def looked_up(self) -> bool:
        """Whether there is a table of their parameters."""
        return self.categories > 0


@dataclass(frozen=True, eq=False)
class FusedRows:
    """Sum nodes whose weights are updated by one launch: where their weights start, and how many they have.

    Attributes:
        at: ``[rows]`` int64; lengths, learns: ``[rows]`` int32.
        longest: of the lengths; aligned: whether all rows start at multiples of 16, and are as long.
        support: flat booleans, which weights are there, those of each row from ``support_at`` on; ``None``: no holes.
    """

    at: Tensor
    lengths: Tensor
    learns: Tensor
    longest: int
    aligned: bool
    support: Tensor | None
    support_at: Tensor | None


@dataclass(frozen=True, eq=False)
class FusedPart:
    """Weights that no launch updates while it counts: their counts are kept until all are there.

    Attributes:
        base, end: the first of the weights, and past the last of them.
        edges: launches that count; rows: launches that update.
    """

    base: int
    end: int
    edges: tuple[FusedEdges, ...]
    rows: tuple[FusedRows, ...]

    @property
    def shared(self) -> bool:
        """Whether several runs add to the same weights: their counts have to begin at 0."""
        return any(edges.shared for edges in self.edges)


@dataclass(frozen=True, eq=False)
class FusedStage:
    """Weights that can be counted and updated once the flows of launch ``after`` are there: no launch to come reads them.

    Attributes:
        after: the launch's place.
        learning: launches that count and update.
        late: the others, part by part.
    """

    after: int
    learning: tuple[FusedEdges, ...]
    late: tuple[FusedPart, ...]
