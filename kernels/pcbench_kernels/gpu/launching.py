"""How kernels are launched: at once or, in a rehearsal, noted down and then compiled side by side.

A training step launches some twenty kernels. Triton compiles each at its first launch, for a second or two on one core; but a
tenth of that is Python, and the rest (MLIR, LLVM, ptxas, a C compiler) lets other threads run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: More threads than this would only wait for Python's lock.
THREADS = 16


@dataclass(frozen=True, eq=False)
class Launch:
    """A launch noted down: ``kernel[grid](*arguments, **options)``."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def key(self) -> Hashable:
        """The same for launches that share a compiled kernel, as far as we know Triton's rules."""
        return (self.kernel, *(_kind(a) for a in self.arguments), *sorted(self.options.items()))


def _kind(argument: Any) -> Hashable:
    """What Triton looks at before it compiles."""
    if isinstance(argument, Tensor):
        return argument.dtype, argument.data_ptr() % 16 == 0
    if isinstance(argument, int):
        return argument == 1, argument % 16 == 0, -(1 << 31) <= argument < 1 << 31
    return str(type(argument))


_note: ContextVar[Callable[[Launch], object] | None] = ContextVar("who notes launches down", default=None)
_compiled: set[Hashable] = set()


def launch(kernel: Any, grid: tuple[int, ...]) -> Callable[..., Any]:
    """``kernel[grid]``; within :func:`noting`, what notes down how it is called."""
    note = _note.get()
    if note is None:
        run: Callable[..., Any] = kernel[grid]
        return run
    return lambda *arguments, **options: note(Launch(kernel, grid, arguments, options))


@contextmanager
def noting(note: Callable[[Launch], object]) -> Iterator[None]:
    """Launches inside are handed to ``note``, and not done."""
    token = _note.set(note)
    try:
        yield
    finally:
        _note.reset(token)


def compile_together(launches: Sequence[Launch]) -> None:
    """Have Triton compile and load the kernels of launches, each in a thread.

    Nothing depends on it: a kernel that is not there at its launch is compiled then, and raises what is wrong with it.
    """
    if not launches:
        return
    device = torch.cuda.current_device()
    keys = {(device, launched.key): launched for launched in launches}
    new = [launched for key, launched in keys.items() if key not in _compiled]
    if len(new) < 3:
        return
    _compiled.update(keys)
    try:
        failed = _compile_all(new, device)
    except Exception as error:  # no threads to be had, or a Triton that we do not know
        failed = [error]
    if failed:
        warnings.warn(
            f"kernels could not be compiled ahead and side by side ({len(failed)} of {len(new)}; the first: "
            f"{type(failed[0]).__name__}: {failed[0]}). They are compiled when they are launched, which takes longer.",
            UserWarning,
            stacklevel=2,
        )


def _compile_all(launches: list[Launch], device: int) -> list[Exception]:
    for launched in launches:
        if (made := getattr(launched.kernel, "device_caches", None)) is not None:
            made.setdefault(device, made[device])  # made on demand; two threads would make two, and lose one
    # Long sources first. The shortest goes ahead alone: what Triton does once a process, it would do in every thread.
    shortest, *others = sorted(launches, key=lambda launched: len(getattr(launched.kernel, "src", "")))
    errors = [_compile(shortest)]
    with ThreadPoolExecutor(min(THREADS, _cores()), "compile", torch.cuda.set_device, (device,)) as pool:
        try:
            errors += pool.map(_compile, reversed(others))
        except BaseException:  # Ctrl-C: wait for the kernels under way only
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [e for e in errors if e is not None]


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compile(launched: Launch) -> Exception | None:
    try:
        kernel = launched.kernel.warmup(*launched.arguments, grid=launched.grid, **launched.options)
        # Up to Triton 3.6 the launcher of a kernel is compiled as well, by a C compiler, when a kernel is first loaded.
        if (load := getattr(kernel, "_init_handles", None)) is not None:
            load()
    except Exception as error:  # the launch itself will raise it, where it can be understood
        return error
    return None


@contextmanager
def rehearsal(compile: Callable[[Sequence[Launch]], None] = compile_together) -> Iterator[None]:
    """Launches inside do nothing; at the end their kernels are handed to ``compile``, one launch of each.

    Everything else inside does run: it must not mind that no kernel has written anything, and must be run again afterwards.
    """
    noted: dict[Hashable, Launch] = {}
    with noting(lambda launched: noted.setdefault(launched.key, launched)):
        yield
    compile(list(noted.values()))
