"""What is to be measured, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..errors import OptionError
from .peer import peer_wanted


@dataclass(frozen=True)
class Plan:
    """One run of ``pcbench bench``.

    Attributes:
        cells: cases and batch sizes.
        place: the device.
        repeat: repetitions of which the median counts.
        cold: each cell in a fresh process with empty caches, so that a first step compiles everything that it needs.
        peer: whether PyJuice is measured beside each cell, always in a fresh process.
        no_peer: why it is not, where nobody forbade it.
        model: a file, for questions that need a trained model.
    """

    cells: tuple[tuple[str, int], ...]
    place: torch.device
    repeat: int
    cold: bool
    peer: bool
    no_peer: str = ""
    model: str | None = None

    @classmethod
    def of(
        cls,
        cases: tuple[str, ...],
        batches: tuple[int, ...],
        device: str,
        repeat: int,
        peer: str,
        cold: bool | None,
        model: str | None = None,
    ) -> Plan:
        """Check the options.

        Raises:
            OptionError: for a device or a peer that is not there.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise OptionError(f"--device cuda: this PyTorch ({torch.__version__}) sees no CUDA GPU")
        place = torch.device("cuda", torch.cuda.current_device()) if device == "cuda" else torch.device("cpu")
        wanted, reason = peer_wanted(peer, device)
        cells = tuple((case, batch) for case in cases for batch in batches)
        # Nothing is compiled for a CPU: a process for each cell would only cost the time to import PyTorch.
        return cls(cells, place, repeat, device == "cuda" if cold is None else cold, wanted, reason, model)

    def spec(self, case: str, batch: int) -> dict[str, Any]:
        """A cell as plain data for :func:`~pcbench.bench.fresh.in_fresh_process`."""
        return {"case": case, "batch": batch, "device": str(self.place), "repeat": self.repeat}


def chosen_device(device: str | None) -> str:
    """``"cpu"`` or ``"cuda"``; a GPU where there is one and nothing was asked for.

    Raises:
        OptionError: for anything else.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen not in ("cpu", "cuda"):
        raise OptionError(f"--device {chosen}: expected cpu or cuda")
    return chosen
