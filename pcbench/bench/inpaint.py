"""10,000 digits of MNIST, their right halves drawn anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..compile import compile
from ..datasets import mnist10k
from ..errors import OptionError
from ..execute import Evidence
from ..execute.files import load_model
from ..learn import fit
from ..queries import sample
from ..structures import hclt
from . import query_check
from .measure import outcome_of
from .query_cell import seconds

#: Of the model that is trained where none is given.
LATENTS, EPOCHS = 64, 5


def job(device: str, repeat: int, model: str | None, rows: int | None) -> dict[str, Any]:
    """The time of all digits; ``status`` is ok, wrong, oom or failed.

    Args:
        device: where they are drawn.
        repeat: repetitions of which the median counts.
        model: a file with a model over 784 pixels of 256 levels; one is trained where left out.
        rows: digits; all 10,000 where left out.
    """
    row: dict[str, Any] = {"case": "mnist", "device": torch.device(device).type, "status": "ok", "errors": {}}
    with outcome_of(row):
        _measure(row, torch.device(device), repeat, model, rows)
    return row


def _measure(row: dict[str, Any], device: torch.device, repeat: int, file: str | None, rows: int | None) -> None:
    digits = mnist10k()
    assert digits.test is not None
    everything = torch.cat((digits.train, digits.test))[:rows]
    row["batch"] = len(everything)
    if file is None:
        circuit = hclt(digits.train, LATENTS, variables=digits.variables)
        model = fit(circuit, digits.train, epochs=EPOCHS, device=device).model
        row["model"] = f"HCLT, {LATENTS} states, {EPOCHS} epochs"
    else:
        given = load_model(Path(file))
        if len(given.circuit.variables) != everything.shape[1]:
            raise OptionError(f"--model {file}: has {len(given.circuit.variables)} variables, digits have 784 pixels")
        model, row["model"] = given.recompiled(compile(given.circuit, device=device)), file
    left = query_check.half_observed(model.circuit)
    reference = model.recompiled(compile(model.circuit, dtype=torch.float64))
    few = Evidence(everything[: query_check.ROWS].long(), left)
    drawn = sample(model, evidence=few, count=64).cpu()
    row["errors"]["complete"] = query_check.sampling_error(reference, drawn, few)
    if not row["errors"]["complete"] <= query_check.LIMIT:
        row["status"] = "wrong"
        return
    whole = Evidence(everything, left)
    row["seconds"] = seconds(lambda: sample(model, evidence=whole), device, min(repeat, 3))
    row["complete_per_s"] = len(everything) / row["seconds"]
