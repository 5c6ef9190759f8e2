"""A float64 reference for circuits in NumPy, SciPy and plain Python; it shares no code with the engine.

It reads a circuit only as data (blocks, children, indices, edges, hyperparameters of families) and parameter values as
arrays. Three ways of saying the same thing stand side by side and are tested against each other:

- :mod:`.scalar` walks single nodes with Python floats, straight from the definitions;
- :mod:`.passes` works block by block on arrays in log space, for any number of rows and for large circuits;
- :mod:`.worlds` enumerates every assignment of a small finite circuit.
"""

from .densities import best_log, log_density, sufficient
from .learning import Counts, expected_counts, maximised
from .passes import Rows, best_values, log_likelihood, node_flows, node_values, numbers
from .worlds import Joint

__all__ = [
    "Counts",
    "Joint",
    "Rows",
    "best_log",
    "best_values",
    "expected_counts",
    "log_density",
    "log_likelihood",
    "maximised",
    "node_flows",
    "node_values",
    "numbers",
    "sufficient",
]
