"""Tiles of a weight map as bytes: 0 is nothing, 1…255 is from the least to the most of what is looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcbench.execute import WeightMap
from pcbench.execute.weight_map import Tile

MODES = ("occupancy", "weight", "flow", "padding")
DECADES = 4
"""Weights and flows differ by powers of ten: a shade is the logarithm, over so many of them below the largest."""

Bytes = npt.NDArray[np.uint8]


def shades(tile: Tile, mode: str, largest: float, stores_all: bool) -> Bytes:
    """``[H, W]`` uint8. Of weights and flows the mean beneath a pixel against `largest`; otherwise a share of its cells."""
    if mode == "occupancy":
        return _share(tile.density)
    if mode == "padding":
        return _share(1.0 - tile.density) if stores_all else np.zeros(tile.edges.shape, dtype=np.uint8)
    mean = tile.mean
    assert mean is not None, f"{mode} needs values"
    with np.errstate(divide="ignore"):
        level = 1.0 + np.log10(mean / largest if largest > 0 else np.zeros_like(mean)) / DECADES
    shade = 1 + np.rint(254 * np.clip(level, 0.0, 1.0))
    shade[tile.edges == 0] = 0
    return shade.astype(np.uint8)


def _share(share: npt.NDArray[np.float64]) -> Bytes:
    """Rounded up, so that a single cell of thousands is seen."""
    return np.ceil(share * 255).astype(np.uint8)


def overview(found: WeightMap) -> tuple[int, int]:
    """Edges, and cells that are stored without one."""
    tile = found.region((max(found.rows, found.cols) - 1).bit_length(), 0, 0, 1, 1)
    edges = int(tile.edges[0, 0])
    return edges, found.rows * found.cols - edges if found.stores_all else 0
