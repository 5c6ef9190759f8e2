"""Hidden Chow-Liu trees: a hidden state beside every variable, joined along a Chow-Liu tree.

A. Liu and G. Van den Broeck, Tractable regularization of probabilistic circuits, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..circuit import Block, Circuit, ProductBlock, SumBlock
from ..errors import OptionError, hinted
from ..scope import Variables
from .chow_liu import Tree, checked_tree, table_tree
from .common import Data, Leaves, leaf_block, read_table, variables_of, whole


@hinted
def hclt(
    data: Data | None = None,
    latents: int = 16,
    distribution: Leaves = None,
    variables: Variables | None = None,
    tree: Tree | Sequence[int] | None = None,
    observed: Data | None = None,
    bins: int | None = None,
    pseudocount: float = 1.0,
    num_trees: int = 1,
    leaf_sums: bool = False,
    seed: int = 0,
) -> Circuit:
    """A hidden Chow-Liu tree, or a mixture of several.

    A variable with children in the tree has ``latents`` hidden states: its leaves, one a state, multiply the messages of
    its children, and a dense sum passes the product on to the parent. A variable without children hangs directly on its
    parent's state.

    Args:
        data: ``[B, V]``, from which the tree is learnt; not needed when ``tree`` is given.
        latents: hidden states of each variable.
        distribution: leaf family for all variables, or a function from variable to family; by default categorical for
            finite variables and Gaussian for real ones.
        variables: one a column; inferred from the data where left out.
        tree: parents of the variables (−1 at the root), instead of learning one.
        observed: ``[B, V]`` bool, which values count when the tree is learnt.
        bins, pseudocount: of the mutual information; see :func:`~pcbench.structures.information.mutual_information`.
        num_trees: trees in the mixture: the first from the data, the others from bootstrap samples of it.
        leaf_sums: give variables without children hidden states of their own as well.
        seed: of the bootstrap samples.

    Raises:
        OptionError: for options that make no sense.
        DataError: for data that does not fit the variables.
    """
    whole(latents, "latents")
    whole(num_trees, "num_trees")
    if tree is not None and num_trees > 1:
        raise OptionError(f"num_trees={num_trees} trees are learnt from data; give tree= for one tree only")
    if tree is not None:
        variables = variables_of(data, variables, "hclt() with tree=")
        trees = [checked_tree(tree, variables)]
    else:
        if data is None:
            raise OptionError("hclt() needs data= to learn a tree from, or tree= and variables=")
        table = read_table(data, variables, observed)
        variables = table.variables
        generator = torch.Generator().manual_seed(seed)
        samples = [table, *(table.resampled(generator) for _ in range(num_trees - 1))]
        trees = [table_tree(sample, bins, pseudocount) for sample in samples]
    tops = [_top(t, variables, distribution, latents, leaf_sums) for t in trees]
    return Circuit(SumBlock(tops, 1, name="root"), variables)


def _top(tree: Tree, variables: Variables, leaves: Leaves, latents: int, leaf_sums: bool) -> Block:
    """The root variable's states, each times the messages of its children."""
    below = tree.children
    message: dict[int, Block] = {}
    for v in reversed(tree.order):
        variable = variables[v]
        parts: list[Block] = [leaf_block(variable, leaves, latents), *(message.pop(c) for c in below[v])]
        states: Block = ProductBlock(parts) if len(parts) > 1 else parts[0]
        if v == tree.root:
            return states
        summed = bool(below[v]) or leaf_sums
        message[v] = SumBlock([states], latents, name=f"z({variable.name})") if summed else states
    raise AssertionError("a tree ends at its root")
