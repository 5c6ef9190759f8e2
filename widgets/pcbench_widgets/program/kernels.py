"""Compiles a layer's kernels for a GPU that need not be here, in a process beside the notebook, and tells how far it is."""

from __future__ import annotations

import contextvars
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pcbench
from pcbench import Circuit
from pcbench.execute.layer_kernels import TARGETS

BATCH = 512
"""Rows of a batch: of them depends how a layer is cut up, and so which kernels it gets."""
_ABSENT = (
    "Triton is not installed, and it is Triton that compiles the kernels: pip install 'pcbench[gpu]' brings it (on Linux)."
)
_CANCELLED = "cancelled"


class KernelJobs:
    """At most one compilation at a time; another one takes its place. `tell` is called from its thread with each new state."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._serial = 0
        self._process: subprocess.Popen[str] | None = None
        self._context = contextvars.copy_context()
        self.state: dict[str, Any] | None = None
        """What was told last."""

    @staticmethod
    def choices() -> dict[str, Any]:
        """Targets and precisions, and why nothing can be compiled here (empty: it can)."""
        why = "" if importlib.util.find_spec("triton") is not None else _ABSENT
        targets = [{"capability": capability, "gpu": gpu} for capability, gpu in TARGETS.items()]
        return {"targets": targets, "precisions": ["fast", "exact"], "why": why, "batch": BATCH}

    def start(self, circuit: Circuit, layer: int, target: int, precision: str) -> None:
        """Begins to compile the kernels of a layer; whatever was being compiled is given up."""
        self.stop()
        with self._lock:
            self._serial += 1
            serial = self._serial
        work = partial(self._run, serial, circuit, layer, target, precision)
        threading.Thread(target=self._context.copy().run, args=(work,), name="pcbench-kernels", daemon=True).start()

    def stop(self) -> None:
        """Gives up what is being compiled, if anything is."""
        with self._lock:
            self._serial += 1
            process, self._process = self._process, None
            running = self.state is not None and not self.state["done"]
        if process is not None:
            process.kill()
        if running and self.state is not None:
            self._set(self._serial, {**self.state, "done": True, "error": _CANCELLED})

    def forget(self) -> None:
        """Gives up, and what was compiled belongs to a program that is gone."""
        self.stop()
        self.state = None

    def _set(self, serial: int, state: dict[str, Any]) -> None:
        with self._lock:
            if serial != self._serial:
                return
            self.state = state
        self._tell(state)

    def _run(self, serial: int, circuit: Circuit, layer: int, target: int, precision: str) -> None:
        state: dict[str, Any] = {"layer": layer, "target": target, "precision": precision, "batch": BATCH}
        state |= {"total": 0, "rows": [], "roofline": None, "done": False, "error": ""}
        self._set(serial, state)
        try:
            with tempfile.TemporaryDirectory(prefix="pcbench-kernels-") as folder:
                path = Path(folder) / "circuit.pcb"
                pcbench.save(circuit, path)
                for line in self._lines(serial, [str(path), str(layer), str(target), precision, str(BATCH)]):
                    told = json.loads(line)
                    if "total" in told or "error" in told:
                        state = {**state, **told}
                    else:
                        state = {**state, "rows": [*state["rows"], told]}
                    self._set(serial, state)
        except Exception as error:  # whatever it was, the person at the screen must read it
            state = {**state, "error": f"{type(error).__name__}: {error}"}
        self._set(serial, {**state, "done": True})

    def _lines(self, serial: int, arguments: list[str]) -> Iterator[str]:
        # The interpreter of Triton, if this notebook uses it, compiles nothing.
        environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        command = [sys.executable, "-m", "pcbench.execute.layer_kernels", *arguments]
        with (
            tempfile.TemporaryFile("w+") as trouble,  # a pipe that nobody reads might fill up and stop the compiler
            subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=trouble) as process,
        ):
            with self._lock:
                if serial != self._serial:
                    process.kill()
                    return
                self._process = process
            assert process.stdout is not None
            yield from process.stdout
            process.wait()
            trouble.seek(0)
            if process.returncode > 0:
                raise RuntimeError(f"the compilation failed: {trouble.read().strip()[-600:]}")
