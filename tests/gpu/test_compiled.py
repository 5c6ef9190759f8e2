"""Every kernel compiles for every generation of GPU, on a machine without one, and uses its Tensor Cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcbench_kernels.gpu.recorded import SHARED_MEMORY

ROOT = Path(__file__).parents[2]
#: Those that multiply matrices.
MATRIX = {"narrow_sum_forward", "narrow_sum_flow", "wide_sum_forward", "wide_sum_flow",
          "edge_flow", "edge_em"}  # fmt: skip
#: Bytes of a thread that may spill. The tile of ``edge_em`` does, and was faster on an H100 than half of it, which does not.
ACCEPTED_SPILLS, SPILLS = 32, {"edge_em": 256}
#: Those that go without the instructions of a group of warps: of whole rows of float32 weights, too few fit into a tile.
WARP_BY_WARP_IF_EXACT = {"edge_em"}


def program(module: str, *arguments: str) -> Any:
    """What a program prints, as JSON; not in interpreter mode."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", f"tests.gpu.{module}", *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("capability", "precision", "instructions"),
    [
        (80, "fast", {"mma.sync"}),
        (89, "fast", {"mma.sync"}),
        (89, "exact", {"mma.sync"}),
        (90, "fast", {"wgmma.mma_async", "mma.sync"}),
        (90, "exact", {"wgmma.mma_async", "mma.sync"}),
        (100, "fast", {"tcgen05.mma", "mma.sync"}),
    ],
)
def test_kernels_use_tensor_cores_and_fit(capability: int, precision: str, instructions: set[str]) -> None:
    kernels = program("compiled", str(capability), precision)
    assert kernels.keys() >= MATRIX
    for kernel, reports in kernels.items():
        for report in reports:
            where, found = f"{kernel}, {precision}, sm_{capability}", report["instructions"]
            if kernel in MATRIX:
                assert instructions & set(found), f"{where}: {found or 'no Tensor Core instruction'}"
            if capability >= 90 or precision == "fast":
                accepted = SPILLS.get(kernel, ACCEPTED_SPILLS)
                assert report["spills"] <= accepted, f"{where}: {report['spills']} bytes of a thread spill"
            assert 0 <= report["shared_bytes"] <= SHARED_MEMORY[capability], where
            assert 8 <= report["registers"] <= 255, where
    if capability >= 90:
        large = {"wgmma.mma_async", "tcgen05.mma"}
        small_only = {k for k in MATRIX if not large & {i for r in kernels[k] for i in r["instructions"]}}
        assert small_only == (WARP_BY_WARP_IF_EXACT if precision == "exact" else set())


def test_a_report_tells_what_a_tile_costs() -> None:
    found = program("reported")
    usual, hungry = found["usual"], found["hungry"]
    assert usual["spills"] == 0
    assert hungry["spills"] > 100  # four warps cannot hold its sums
    assert hungry["registers"] == 255
    assert hungry["shared_bytes"] > usual["shared_bytes"]
    assert usual["warps"] == hungry["warps"] == 4
    assert "['WIDTH']" in found["forgotten"]
