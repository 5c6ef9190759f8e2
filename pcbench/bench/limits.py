"""What a step costs at least on a GPU, and what PyJuice's costs.

The step times of PyJuice are those of version 2.6.3 (the better of its Triton and its CUTLASS kernels, torch 2.11) on one
H100, measured on 2026-11-22: forward, backward and mini-batch EM of the same configurations. They are not measured here.
Its hidden Chow-Liu tree is the one that it learns itself; the one learnt here has 5 % more sum edges (K=64: 2,240,576 beside
2,142,272), all other circuits have the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..circuit import InputBlock, SumBlock
from ..execute import Model

ANCHOR_SOURCE = "PyJuice 2.6.3 on one H100, torch 2.11, 2026-11-22"
#: (case, batch) → ms a step.
ANCHOR_MS = {
    ("rat-64", 512): 2.38, ("rat-256", 512): 9.81, ("rat-256", 2048): 22.4, ("rat-1024", 512): 60.8,
    ("rat-1024", 2048): 142.6, ("hclt-64", 512): 4.59, ("hclt-256", 512): 15.3, ("hclt-256", 2048): 40.3,
    ("hclt-1024", 512): 117.6, ("hclt-1024", 2048): 350.0, ("hmm-512", 512): 5.15, ("hmm-2048", 512): 22.5,
    ("hmm-2048", 2048): 79.1, ("hmm-6144", 512): 157.0, ("hmm-6144", 2048): 603.0, ("pd-64", 512): 6.98,
    ("pd-64", 2048): 22.6, ("pd-256", 512): 53.0, ("pd-256", 2048): 183.0,
}  # fmt: skip

#: Part of a device's name → FLOP/s of a large bf16 matrix product, and bytes/s of its memory.
CEILINGS = {"H200": (788e12, 4.3e12), "H100": (788e12, 3.03e12)}


@dataclass(frozen=True)
class Size:
    """Counts of a circuit; tied parameters count once, their edges at every use."""

    nodes: int
    sum_edges: int
    sum_parameters: int
    leaf_parameters: int
    sum_nodes: int
    leaf_nodes: int

    @classmethod
    def of(cls, model: Model) -> Size:
        blocks = model.circuit.blocks
        sums = [b for b in blocks if isinstance(b, SumBlock)]
        leaves = [b for b in blocks if isinstance(b, InputBlock)]
        return cls(
            model.circuit.num_nodes,
            sum(b.num_edges for b in sums),
            sum(p.numel() for p in model.parameters.weights),
            sum(p.numel() for p in model.parameters.leaves),
            sum(b.nodes for b in sums),
            sum(b.nodes for b in leaves),
        )

    def flops(self, batch: int) -> float:
        """Of a step: a multiply and an add an edge and row, upward once and downward twice."""
        return 6.0 * self.sum_edges * batch

    def traffic(self, batch: int) -> float:
        """Bytes that a step moves at least."""
        parameters = 14.0 * self.sum_parameters + 8.0 * self.leaf_parameters
        return parameters + (18.0 * self.sum_nodes + 4.0 * self.leaf_nodes) * batch

    def limit_ms(self, batch: int, device_name: str) -> float | None:
        """The least time of a step on a device of that name; ``None`` where its ceilings are not known."""
        for part, (flops_per_s, bytes_per_s) in CEILINGS.items():
            if part in device_name:
                return 1e3 * max(self.flops(batch) / flops_per_s, self.traffic(batch) / bytes_per_s)
        return None
