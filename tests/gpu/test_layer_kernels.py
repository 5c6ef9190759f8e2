"""What is compiled for one layer: each pass of it, for a GPU that is not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import pcbench
from pcbench import Categorical, Circuit, InputBlock, ProductBlock, SumBlock, Variables


def compiled(circuit: Circuit, folder: Path, layer: int, target: int, precision: str = "fast") -> list[dict[str, Any]]:
    path = folder / "circuit.pcb"
    pcbench.save(circuit, path)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "pcbench.execute.layer_kernels", str(path), str(layer), str(target), precision, "512"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_pass_of_a_sum_layer_uses_tensor_cores(tmp_path: Path) -> None:
    circuit = pcbench.structures.hclt(latents=64, variables=Variables.finite(4, 16), tree=[-1, 0, 1, 1])
    program = pcbench.compile(circuit)
    layer = next(i for i, found in enumerate(program.layers) if found.kind == "sum" and found.nodes == 64)
    head, *kernels = compiled(circuit, tmp_path, layer, 90)
    assert head["total"] == len(kernels) == 3
    assert [k["pass"] for k in kernels] == ["upward", "downward", "counts and update"]
    for kernel in kernels:
        assert "wgmma.mma_async" in kernel["instructions"]
        assert kernel["spills"] == 0
        assert 0 < kernel["resident_warps"] <= kernel["most_warps"]
        assert kernel["resident_warps"] * 32 * kernel["registers"] <= 65536
        assert kernel["limited_by"] in ("registers", "shared memory")
    limit = head["roofline"]
    assert limit["by"] == ("arithmetic" if limit["compute_us"] > limit["memory_us"] else "memory")
    groups = len(program.layers[layer].blocks)  # type: ignore[attr-defined]
    assert limit["compute_us"] == pytest.approx(1e6 * 6 * groups * 64 * 64 * 512 / 989e12)


def test_what_triton_does_not_compile_is_said(tmp_path: Path) -> None:
    variables = Variables.finite(2, 3)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    product = ProductBlock([InputBlock(v, Categorical(3), 4) for v in variables], pairs)
    (told,) = compiled(Circuit(SumBlock([product]), variables), tmp_path, 0, 90)
    assert "Triton compiles nothing for it: input layer 0 feeds products that pick single nodes" in told["error"]
