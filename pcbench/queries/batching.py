"""Run a query over rows in batches that fit in memory. Answers do not depend on where batches are cut."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import OptionError, QueryError
from ..execute import Evidence, Model

#: Bytes of values that a batch may take when the caller does not say how many rows to take at once; a GPU wants more at once.
BATCH_BYTES, GPU_BATCH_BYTES = 256 << 20, 2 << 30


def check_output(model: Model, output: int) -> None:
    """Raise QueryError for a root node that there is not."""
    outputs = model.circuit.num_outputs
    if not 0 <= output < outputs:
        raise QueryError(f"output must lie in 0…{outputs - 1} (the circuit has {outputs} root nodes), got {output}")


def check_batch_size(batch_size: int | None) -> None:
    """Raise OptionError for a batch without rows."""
    if batch_size is not None and batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, got {batch_size}")


def batches(model: Model, evidence: Evidence, batch_size: int | None, output: int = 0) -> Iterator[tuple[int, Evidence]]:
    """(first row, evidence) of each batch; the whole evidence, and the root asked for, are checked before the first one."""
    check_output(model, output)
    check_batch_size(batch_size)
    evidence.check(model.circuit.variables)
    if batch_size is None:
        program = model.program
        rows = (program.value_rows, program.element_rows)
        per_row = sum(w * n for arena in rows for w, n in arena.items()) * program.dtype.itemsize
        most = BATCH_BYTES if program.device.type == "cpu" else GPU_BATCH_BYTES
        batch_size = max(1, min(4096, most // max(1, per_row)))
    for start in range(0, len(evidence), batch_size):
        yield start, evidence[start : start + batch_size]
