"""Launches written down instead of done, and compiled for a GPU that need not be here.

For a process of its own: while launches are recorded, all of it launches as another GPU would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from . import launching, tiles
from .report import KernelReport, kernel_report
from .tiles import Pass

_TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float64: "*fp64",
          torch.int64: "*i64", torch.int32: "*i32", torch.int16: "*i16", torch.int8: "*i8", torch.uint8: "*u8",
          torch.bool: "*i1"}  # fmt: skip

#: Compute capability → bytes of shared memory that a program may ask for.
SHARED_MEMORY = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}


class Launch(launching.Launch):
    """A launch that tells how many programs it runs, and what Triton makes of them."""

    @property
    def programs(self) -> int:
        """How many programs run, each on a multiprocessor."""
        count = 1
        for extent in self.grid:
            count *= extent
        return count

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for launches that Triton compiles once."""
        given = _given(self).items()
        return (self.kernel.__name__, tuple((name, _shape_of(value)) for name, value in given))

    def report(self, capability: int) -> KernelReport:
        """What Triton makes of it: sizes that are 1 are constants, those that 16 divides are known to be."""
        given = _given(self)
        signature, constants, aligned = {}, {}, []
        for place, name in enumerate(self.kernel.arg_names):
            value = given[name]
            if self.kernel.params[place].is_constexpr or value is None or (isinstance(value, int) and value == 1):
                constants[name] = value
            elif isinstance(value, torch.Tensor):
                signature[name] = _TYPES[value.dtype]
                aligned.append(name)
            elif isinstance(value, int):
                signature[name] = "i32"
                aligned += [name] if value % 16 == 0 else []
            else:
                signature[name] = "fp32"
        more = {name: self.options[name] for name in ("num_warps", "num_stages", "maxnreg") if name in self.options}
        return kernel_report(self.kernel, signature, constants, capability, aligned=aligned, **more)


def _given(launch: Launch) -> dict[str, Any]:
    return {**dict(zip(launch.kernel.arg_names, launch.arguments, strict=False)), **launch.options}


def _shape_of(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype)
    # Of other numbers Triton asks no more than whether 16 divides them.
    return (value, value == 1, value % 16 == 0) if isinstance(value, int) else value


@contextmanager
def recording(capability: int) -> Iterator[list[Launch]]:
    """Within it the launching functions of this package write down what a GPU of that compute capability would be given."""
    found: list[Launch] = []
    usual = tiles._capability, tiles._shared_memory
    try:
        tiles._capability = lambda device: divmod(capability, 10)  # type: ignore[assignment]
        tiles._shared_memory = lambda device: SHARED_MEMORY[capability]  # type: ignore[assignment]
        with launching.noting(lambda noted: found.append(Launch(**vars(noted)))):
            yield found
    finally:
        tiles._capability, tiles._shared_memory = usual


def stand_in(batch: int, operands: torch.dtype, logs: torch.dtype, precision: str, lookups: Sequence[torch.dtype]) -> Pass:
    """Buffers of an evaluation that hold nothing; of their types alone kernels are made."""

    def some(kind: torch.dtype) -> torch.Tensor:
        return torch.empty(16, dtype=kind, device="meta")

    single, flag = some(torch.float32), some(torch.int32)
    return Pass(
        batch, some(logs), some(operands), flag, flag, some(operands), some(logs), some(torch.float64),
        torch.empty(batch, 1, device="meta"), single, some(operands), tuple(map(some, lookups)), (flag,) * len(lookups), flag,
        True, precision,
    )  # fmt: skip
