"""A workspace that stays with a model, so that the second question to it finds buffers and captured graphs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch

from .model import Model
from .workspace import Workspace

#: Bytes that may stay with a model between questions, or the share of a GPU's memory where that is more.
KEPT, SHARE = 2 << 30, 16


class _Lent:
    def __init__(self) -> None:
        self.space = Workspace()
        self.taken = threading.Lock()


_lent: WeakKeyDictionary[Model, _Lent] = WeakKeyDictionary()


def _kept(device: torch.device) -> int:
    """Bytes that may stay with a model on a device."""
    return KEPT if device.type == "cpu" else max(KEPT, torch.cuda.get_device_properties(device).total_memory // SHARE)


@contextmanager
def lent_workspace(model: Model) -> Iterator[Workspace]:
    """The model's own workspace; a fresh one for programs without fused kernels, and while another thread has the model's.

    It is forgotten with the model, after an error, or when it has grown beyond :data:`KEPT` and a :data:`SHARE`-th of the GPU.
    """
    if model.program.fused is None:
        yield Workspace()
        return
    lent = _lent.setdefault(model, _Lent())
    if not lent.taken.acquire(blocking=False):
        yield Workspace()
        return
    try:
        yield lent.space
        if lent.space.num_bytes > _kept(model.program.device):
            lent.space = Workspace()
    except BaseException:
        lent.space = Workspace()
        raise
    finally:
        lent.taken.release()
