"""A job in a process of its own, with empty caches: its peak memory and its first step owe nothing to what ran before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Seconds after which a job is given up.
PATIENCE = 1800.0
#: Where compilers and tuners keep what they made: each gets an empty folder. ``XDG_CACHE_HOME`` is that of pcbench itself.
CACHES = ("TRITON_CACHE_DIR", "XDG_CACHE_HOME", "CUDA_CACHE_PATH", "TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR")

#: PyJuice's CUTLASS path takes minutes of nvcc and tuning for steps that are no faster; without it, it uses Triton.
SETTINGS = {"PYJUICE_DISABLE_CUDA_KERNELS": "1"}


def in_fresh_process(job: str, spec: Mapping[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
    """What :mod:`pcbench.bench.jobs` makes of a job; a process that dies is a result with ``status`` failed.

    Args:
        job: a name of :data:`pcbench.bench.jobs.JOBS`.
        spec: its arguments, as plain data.
        patience: seconds after which it is given up.
    """
    with tempfile.TemporaryDirectory(prefix="pcbench-bench-") as name:
        folder = Path(name)
        environment = {**os.environ, **SETTINGS}
        for cache in CACHES:
            (folder / cache).mkdir()
            environment[cache] = str(folder / cache)
        (folder / "spec.json").write_text(json.dumps({**spec, "started_at": time.time()}))
        command = [sys.executable, "-m", "pcbench.bench.jobs", job, name]
        with open(folder / "log", "wb") as log:
            try:
                code = subprocess.run(command, env=environment, stdout=log, stderr=log, timeout=patience).returncode
            except subprocess.TimeoutExpired:
                return {"status": "failed", "error": f"no answer within {patience:g} s"}
        result = folder / "result.json"
        if code == 0 and result.exists():
            found: dict[str, Any] = json.loads(result.read_text())
            return found
        return {"status": "failed", "error": f"its process ended with {_ending(code)}: {_last_line(folder / 'log')}"}


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it said nothing"
