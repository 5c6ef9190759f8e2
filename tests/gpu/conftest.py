"""Triton's interpreter, without two things that took most of the time of these tests.

It prepares Triton's language anew for every function that a kernel calls: once a launch is enough. And Python keeps frames in
pieces of 16 KB: where a loop calls at the end of one, each call asks the system for a piece and gives it back. A launch that
claims a large frame gets a large piece, and what it calls shares it. A Triton that names these otherwise runs as it is.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported: Triton decides when it decorates them

from types import SimpleNamespace
from typing import Any

import pytest
import triton.language as tl
from triton.runtime import interpreter

#: What kernels see of the language, and what the language's own functions see.
ALL = SimpleNamespace(__globals__={"tl": tl, "core": tl.core})
KNOWN = hasattr(interpreter, "_patch_lang") and all(
    hasattr(interpreter, name) for name in ("GridExecutor", "InterpretedFunction", "InterpreterError")
)


def _call(function: Any, *args: Any, **options: Any) -> Any:
    """A kernel calls a function; the launch has prepared everything."""
    try:
        return function.rewrite()(*args, **options)
    except Exception as error:
        raise interpreter.InterpreterError(repr(error)) from error


@pytest.fixture(scope="session", autouse=True)
def quick_interpreter() -> None:
    if not KNOWN:
        return
    prepare, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__

    def launched(executor: Any, *args: Any, **options: Any) -> None:
        launch(executor, *args, **options)

    launched.__code__ = launched.__code__.replace(co_stacksize=(1 << 16) + 1024)  # of a piece of 1 MB, half is left
    interpreter._patch_lang = lambda function: prepare(ALL)
    interpreter.InterpretedFunction.__call__ = _call
    interpreter.GridExecutor.__call__ = launched
