"""Structures: builders of circuits, one a file. A new structure is one new file and one line in ``STRUCTURES``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from ..circuit import Circuit
from .chow_liu import Tree, chow_liu, chow_liu_tree, spanning_tree
from .hclt import hclt
from .hmm import hmm
from .information import mutual_information
from .poon_domingos import poon_domingos, rectangle_regions
from .quad_tree import patch_regions, quad_tree
from .rat import random_regions, rat
from .regions import Region, from_regions


@dataclass(frozen=True)
class Structure:
    """A builder as the command line and widgets see it.

    Attributes:
        name: as typed.
        build: makes the circuit. Every builder takes ``data=`` and ``variables=``, and works with the defaults of all
            its other options (over a square number of variables, for images).
        summary: one line for people.
        needs_data: whether ``build`` must have data; otherwise variables are enough.
    """

    name: str
    build: Callable[..., Circuit]
    summary: str
    needs_data: bool

    @property
    def options(self) -> dict[str, object]:
        """Every option of the builder but ``data`` and ``variables``, with its default."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("data", "variables")}


#: Every structure; the command line, widgets and conformance tests iterate over it.
STRUCTURES: tuple[Structure, ...] = (
    Structure("hclt", hclt, "hidden Chow-Liu tree: a tree of hidden states learnt from data", True),
    Structure("chow-liu", chow_liu, "Chow-Liu tree: deterministic, fitted in closed form", True),
    Structure("hmm", hmm, "hidden Markov model over the variables in order", False),
    Structure("rat", rat, "RAT-SPN: random binary splits", False),
    Structure("poon-domingos", poon_domingos, "Poon-Domingos: every rectangle of an image, split in every way", False),
    Structure("quad-tree", quad_tree, "quad tree: an image halved down to its pixels", False),
)

__all__ = [
    "STRUCTURES",
    "Region",
    "Structure",
    "Tree",
    "chow_liu",
    "chow_liu_tree",
    "from_regions",
    "hclt",
    "hmm",
    "mutual_information",
    "patch_regions",
    "poon_domingos",
    "quad_tree",
    "random_regions",
    "rat",
    "rectangle_regions",
    "spanning_tree",
]
