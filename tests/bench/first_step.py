"""What the first training step of a case costs beside computing: building the circuit, and compiling it and its kernels.

    python tests/bench/first_step.py                    # construction: circuit, program, model
    python tests/bench/first_step.py --kernels          # kernels too, for an H100, from a cold cache; no GPU is needed

Kernels are compiled for real, one after the other and then side by side, in a process each; a stand-in for the GPU's driver
only leaves out loading them. On few cores « side by side » saves little; seconds of CPU say what many cores could share.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import torch

import pcbench as pcb
from pcbench.bench import cases
from pcbench.compile.fuse import fuse
from pcbench.execute import Workspace
from pcbench.execute.fused_evidence import fused_batch
from pcbench.execute.fused_update import fused_step
from pcbench.execute.maximise import recycled

BATCH = 512


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["hclt-64", "rat-64", "pd-64", "hmm-256"])
    parser.add_argument("--kernels", action="store_true", help="compile the kernels of a step as well")
    parser.add_argument("--child", choices=["serial", "together"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        for case in options.cases:
            kernels(case, options.child == "together")
        return 0
    print(f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; seconds of wall clock (of CPU)")
    for case in options.cases:
        construction(case)
        for how in ("serial", "together") if options.kernels else ():
            with tempfile.TemporaryDirectory() as cold:
                subprocess.run(
                    [sys.executable, "-W", "ignore", __file__, case, "--child", how],
                    env={**os.environ, "TRITON_CACHE_DIR": cold},
                    check=True,
                )
    return 0


def seconds() -> tuple[float, float]:
    """Wall clock, and CPU with that of children that have ended."""
    t = os.times()
    return time.perf_counter(), t.user + t.system + t.children_user + t.children_system


def told(start: tuple[float, float]) -> str:
    wall, cpu = (b - a for a, b in zip(start, seconds(), strict=True))
    return f"{wall:6.2f} ({cpu:6.2f})"


def construction(case: str) -> None:
    start = seconds()
    circuit = cases.build(case)
    built = told(start)
    start = seconds()
    program = pcb.compile(circuit)
    compiled = told(start)
    start = seconds()
    pcb.Model.create(program)
    print(f"{case:10} build {built}  compile {compiled}  model {told(start)}", flush=True)


def kernels(case: str, together: bool) -> None:
    """Compile every kernel of a training step for compute capability 9.0."""
    import triton

    from pcbench_kernels.gpu import rehearsal, tiles
    from pcbench_kernels.gpu.launching import Launch, compile_together

    triton.runtime.driver.set_active(stand_in())
    torch.cuda.current_device, torch.cuda.set_device = lambda: 0, lambda _: None
    tiles._capability = lambda _: (9, 0)
    program = pcb.compile(cases.build(case))
    tables = (program.layers, program.sum_tables, program.leaf_tables)
    plan = fuse(*tables, program.num_units, "fast", program.device, len(program.circuit.variables))
    model = pcb.Model.create(dataclasses.replace(program, fused=plan))
    workspace, new = Workspace(), recycled(model, None)
    batch = fused_batch(model.program, pcb.Evidence(cases.rows(program.circuit, BATCH)), workspace)
    assert batch is not None
    noted: list[Launch] = []
    with torch.no_grad(), rehearsal(noted.extend):
        fused_step(model.program, model.parameters, new.parameters, batch, workspace).launch(0.01, 0.001)
    start = seconds()
    if together:
        compile_together(noted)
    else:
        for launched in noted:
            launched.kernel.warmup(*launched.arguments, grid=launched.grid, **launched.options)._init_handles()
    print(f"{'':10} {len(noted)} kernels, {'side by side' if together else 'one by one':12} {told(start)}", flush=True)


def stand_in() -> Any:
    """A driver for an H100 that is not there."""
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia import driver
    from triton.runtime import build

    class Launcher:
        def __init__(self, src: Any, metadata: Any) -> None:
            if not hasattr(driver, "make_launcher"):
                return  # from Triton 3.7 on there is one launcher for all kernels
            types = dict(enumerate(src.signature.values()))
            code = driver.make_launcher(src.constants, types, getattr(metadata, "tensordesc_meta", None))
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "launcher.c")
                with open(path, "w") as file:
                    file.write(code)
                build._build("launcher", path, folder, [], driver.include_dirs, [], [])

    return SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda _: 0,
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        launcher_cls=Launcher,
        utils=SimpleNamespace(
            load_binary=lambda *_: (1, 1, 32, 0, 1024),
            get_device_properties=lambda _: {"max_shared_mem": 232448},
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
