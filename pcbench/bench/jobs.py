"""The measurements that run in processes of their own: ``python -m pcbench.bench.jobs JOB FOLDER``.

The folder holds ``spec.json``; ``result.json`` is written beside it. Made for :func:`pcbench.bench.fresh.in_fresh_process`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

#: Name → module of this package, and its function from a spec to a result. Imported when asked for: importing PyJuice takes
#: seconds, and it may not be there.
JOBS: dict[str, tuple[str, str]] = {
    "cell": ("measure", "job"),
    "pyjuice cell": ("pyjuice_step", "job"),
    "try": ("measure", "attempt"),
    "pyjuice try": ("pyjuice_step", "attempt"),
    "queries": ("query_cell", "job"),
    "pyjuice queries": ("pyjuice_queries", "job"),
    "digits": ("inpaint", "job"),
}


def run(job: str, folder: Path) -> None:
    """Do the job that is described in a folder."""
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    module, function = JOBS[job]
    work = getattr(importlib.import_module(f".{module}", __package__), function)
    if job.startswith("pyjuice"):
        importlib.import_module("pyjuice")  # takes seconds, which are no circuit's
    started_at = spec.pop("started_at")
    ready(spec.get("device"))
    result = {"start_s": time.time() - started_at, **work(**spec)}
    (folder / "result.json").write_text(json.dumps(result))


def ready(device: str | None) -> None:
    """Have the GPU's context made: it is part of every program, and of no circuit's first step."""
    import torch

    if device is not None and device.startswith("cuda"):
        torch.zeros(1, device=device)
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
