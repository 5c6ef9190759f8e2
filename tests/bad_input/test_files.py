"""Files that are damaged, and work that is broken off."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pcbench.errors import (
    FileFormatError,
)
from pcbench.execute import expectation, maximise
from pcbench.execute.files import load, save

from .models import DATA, MODELS


def damage_truncate(content: bytes) -> bytes:
    return content[:-3]


def damage_flip(content: bytes) -> bytes:
    return content[:20] + bytes([content[20] ^ 0xFF]) + content[21:]


def damage_version(content: bytes) -> bytes:
    start = content.index(b"version")
    digit = next(i for i in range(start, len(content)) if 48 <= content[i] <= 57)
    return content[:digit] + b"9" + content[digit + 1 :]


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (damage_truncate, "truncated"),
    "corrupt": (damage_flip, "JSON|corrupt"),
    "newer": (damage_version, "version 9|newer"),
    "empty": (lambda content: b"", "empty"),
    "of another kind": (lambda content: b"\x89PNG\r\n" + content, "no known format"),
    "a pickle": (lambda content: b"\x80\x04" + content, "pickle"),
}


@pytest.mark.parametrize("damage", FILES)
def test_files_that_cannot_be_opened(damage: str, tmp_path: Path) -> None:
    change, message = FILES[damage]
    path = tmp_path / "model.pcb"
    save(MODELS["finite"], path)
    path.write_bytes(change(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_interrupt_in_the_middle_of_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pcb"
    save(MODELS["finite"], path)
    before = path.read_bytes()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                save(MODELS["mixed"], path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", [0, 1])
def test_interrupt_in_the_middle_of_a_step(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off in a kernel, a step leaves model and workspace as good as before."""
    from pcbench.execute import Workspace
    from pcbench_kernels.cpu import sum_dense

    model, space = MODELS["finite"], Workspace()
    expected, found = expectation(model, DATA)
    after = maximise(model, expected).values()
    name = ("apply", "apply_transposed")[call]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sum_dense.DenseSum, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            expectation(model, DATA, space)
    statistics, again = expectation(model, DATA, space)
    assert torch.equal(found, again)
    for parameter, value in maximise(model, statistics).values().items():
        assert torch.equal(value, after[parameter])
