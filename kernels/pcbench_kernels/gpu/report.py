"""What a kernel became for a GPU: its Tensor Core instructions, registers, spills and shared memory. Needs no GPU.

Triton ships ``ptxas`` and ``cuobjdump``: it compiles for any GPU that it knows, and the binary says what it will take. The
binary is asked, not ``ptxas`` once more: other options there would allocate other registers.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

#: Tensor Core instructions by their beginning in PTX: of Ampere and Ada (and as a fallback later), of Hopper, of Blackwell.
INSTRUCTIONS = ("mma.sync", "wgmma.mma_async", "tcgen05.mma")
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


@dataclass(frozen=True)
class KernelReport:
    """A compiled kernel.

    Attributes:
        instructions: those of :data:`INSTRUCTIONS` that it holds.
        registers: of a thread, 32 bits each.
        spills: bytes of a thread in local memory, where registers did not suffice.
        shared_bytes: shared memory of a block of threads.
        warps: of a block, 32 threads each.
    """

    instructions: tuple[str, ...]
    registers: int
    spills: int
    shared_bytes: int
    warps: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "instructions": list(self.instructions),
            "registers": self.registers,
            "spills": self.spills,
            "shared_bytes": self.shared_bytes,
            "warps": self.warps,
        }


def kernel_report(
    kernel: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    target: int | GPUTarget,
    num_warps: int = 4,
    num_stages: int = 3,
    aligned: Collection[str] = (),
    maxnreg: int | None = None,
) -> KernelReport:
    """Compile a kernel for a GPU that need not be here (about a second), and report on it.

    Args:
        kernel: decorated with ``triton.jit``.
        signature: argument → type as Triton writes it: ``"*bf16"``, ``"i32"``; for all that are not constants.
        constants: argument → value.
        target: compute capability, 90 for sm_90; or a Triton target.
        num_warps, num_stages: of the launch.
        aligned: arguments that are multiples of 16, as pointers and extents of ordinary sizes are.
        maxnreg: most registers of a thread, where the launch limits them.
    """
    places = {name: place for place, name in enumerate(kernel.arg_names)}
    if wrong := set(places) ^ (set(signature) | set(constants)):
        raise ValueError(f"{kernel.__name__}: expected a type or a value for exactly {sorted(places)}, not so {sorted(wrong)}")
    source = ASTSource(
        kernel,
        {name: "constexpr" if name in constants else signature[name] for name in places},
        {(places[name],): value for name, value in constants.items()},
        {(places[name],): [["tt.divisibility", 16]] for name in aligned},
    )
    gpu = target if isinstance(target, GPUTarget) else GPUTarget("cuda", target, 32)
    options = {"num_warps": num_warps, "num_stages": num_stages, "maxnreg": maxnreg}
    return report_of(triton.compile(source, target=gpu, options=options))


def report_of(compiled: Any) -> KernelReport:
    """Report on a kernel that Triton has compiled, here or at a launch."""
    registers, spills = _usage(compiled.asm["cubin"])
    found = tuple(name for name in INSTRUCTIONS if name in compiled.asm["ptx"])
    return KernelReport(found, registers, spills, int(compiled.metadata.shared), int(compiled.metadata.num_warps))


def _usage(binary: bytes) -> tuple[int, int]:
    """Registers, and bytes of local memory, of a thread."""
    with tempfile.TemporaryDirectory(prefix="pcbench-kernel-") as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(binary)
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(file)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = _USAGE.search(told)
    if found is None:
        raise RuntimeError(f"cuobjdump names no registers: {told[-300:]!r}")
    return int(found[1]), int(found[2]) + int(found[4])
