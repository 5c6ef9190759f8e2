"""Triton's interpreter prepares Triton's language anew for every function that a kernel calls, which is most of the time of
these tests: once a launch is enough."""

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


def _call(function: Any, *args: Any, **options: Any) -> Any:
    """A kernel calls a function; the launch has prepared everything."""
    try:
        return function.rewrite()(*args, **options)
    except Exception as error:
        raise interpreter.InterpreterError(repr(error)) from error


@pytest.fixture(scope="session", autouse=True)
def prepared_once() -> None:
    prepare = interpreter._patch_lang
    interpreter._patch_lang = lambda function: prepare(ALL)
    interpreter.InterpretedFunction.__call__ = _call
