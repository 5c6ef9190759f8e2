"""CPU kernels in vectorised PyTorch: a real backend, and the twin that every GPU kernel is tested against."""

from ..variants import Variant
from .sum_dense import DENSE
from .sum_edges import EDGES
from .sum_tiles import TILES

#: In order of preference; the last one takes everything.
SUM_VARIANTS: tuple[Variant, ...] = (DENSE, TILES, EDGES)

__all__ = ["SUM_VARIANTS"]
