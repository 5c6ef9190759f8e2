"""Every kernel compiles for every generation of GPU, on a machine without one, and uses its Tensor Cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("capability", "instructions"), [(80, {"mma.sync"}), (90, {"wgmma", "mma.sync"}), (100, {"tcgen05.mma", "mma.sync"})]
)
def test_kernels_use_tensor_cores(capability: int, instructions: set[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.gpu.compiled", str(capability)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    for precision, kernels in json.loads(result.stdout).items():
        for kernel, found in kernels.items():
            assert instructions & set(found), f"{kernel}, {precision}, sm_{capability}: {found or 'no Tensor Core instruction'}"
