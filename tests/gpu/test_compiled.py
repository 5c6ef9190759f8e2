"""Every kernel compiles for every generation of GPU, on a machine without one, and uses its Tensor Cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: Capability → bytes of a thread that may spill. Tiles are chosen on Hopper, where none may; elsewhere a few are no harm.
ACCEPTED_SPILLS = {80: 80, 90: 0, 100: 64}
#: Kernels that are known to spill far more at 256 elements, with all of them in one tile of float32. To be mended, not to grow.
KNOWN_SPILLS = {("exact", "narrow_sum_forward"): 7500, ("exact", "narrow_sum_flow"): 1200}
#: Capability → most shared memory that a block may ask for, in bytes.
SHARED_MEMORY = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}


def program(module: str, *arguments: str) -> Any:
    """What a program prints, as JSON; not in interpreter mode."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", f"tests.gpu.{module}", *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("capability", "instructions"),
    [(80, {"mma.sync"}), (90, {"wgmma.mma_async", "mma.sync"}), (100, {"tcgen05.mma", "mma.sync"})],
)
def test_kernels_use_tensor_cores_and_fit(capability: int, instructions: set[str]) -> None:
    for precision, kernels in program("compiled", str(capability)).items():
        for kernel, report in kernels.items():
            where, found = f"{kernel}, {precision}, sm_{capability}", report["instructions"]
            assert instructions & set(found), f"{where}: {found or 'no Tensor Core instruction'}"
            accepted = KNOWN_SPILLS.get((precision, kernel), ACCEPTED_SPILLS[capability])
            assert report["spills"] <= accepted, f"{where}: {report['spills']} bytes of a thread spill"
            assert 0 < report["shared_bytes"] <= SHARED_MEMORY[capability], where
            assert 16 <= report["registers"] <= 255, where


def test_a_report_tells_what_a_tile_costs() -> None:
    found = program("reported")
    usual, hungry = found["usual"], found["hungry"]
    assert usual["spills"] == 0
    assert hungry["spills"] > 100  # four warps cannot hold its sums
    assert hungry["registers"] == 255
    assert hungry["shared_bytes"] > usual["shared_bytes"]
    assert usual["warps"] == hungry["warps"] == 4
    assert "['WIDTH']" in found["forgotten"]
