"""What makes blocks a circuit: every sum smooth, every product decomposable. Where not, the place and the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import DecomposabilityError, SmoothnessError
from ..scope import Variables
from .blocks import Block, ProductBlock, SumBlock

#: A block's name for people.
Label = Callable[[Block], str]


@dataclass(frozen=True)
class Violation:
    """One place where a property fails: the block, and a sentence with the offending values."""

    block: Block
    message: str


def unsmooth(blocks: Sequence[Block], variables: Variables, label: Label) -> Iterator[Violation]:
    """Sums of which some child lacks variables that another has."""
    for block in blocks:
        if isinstance(block, SumBlock):
            for child in block.children:
                if child.scope != block.scope:
                    lacking = variables.names(block.scope & ~child.scope)
                    yield Violation(
                        block,
                        f"{label(block)} is not smooth: its child {label(child)} does not depend on "
                        f"{lacking}, which other children do; multiply it with inputs over {lacking}",
                    )


def undecomposable(blocks: Sequence[Block], variables: Variables, label: Label) -> Iterator[Violation]:
    """Products of which two children share a variable."""
    for block in blocks:
        if isinstance(block, ProductBlock):
            seen = 0
            for child in block.children:
                if overlap := seen & child.scope:
                    first = next(c for c in block.children if c.scope & overlap)
                    yield Violation(
                        block,
                        f"{label(block)} is not decomposable: its children {label(first)} and "
                        f"{label(child)} both depend on {variables.names(overlap)}",
                    )
                seen |= child.scope


def require_valid(blocks: Sequence[Block], variables: Variables, label: Label) -> None:
    """Raise on the first violation of decomposability, then of smoothness."""
    if wrong := next(undecomposable(blocks, variables, label), None):
        raise DecomposabilityError(wrong.message)
    if wrong := next(unsmooth(blocks, variables, label), None):
        raise SmoothnessError(wrong.message)
