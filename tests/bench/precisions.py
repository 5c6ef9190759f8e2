"""Whether a model trained by the fast path is as good as one trained by the exact path.

``python -m tests.bench.precisions [CASE …] [--epochs 5] [--batch 512]``, cases over images as in ``pcbench bench``: mini-batch
EM on the 8,000 training digits that ship with pcbench, from the same parameters, in the same order; then the mean
log-likelihood of the 2,000 test digits, of both models by the exact path. The bar: within 0.1 %. ``given up``: batches that the
fused passes handed over to PyTorch's; ``worst row``: the fast path's relative error on what it has trained. Exit status 1 when
the bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch

import pcbench as pcb
from pcbench.bench import cases
from pcbench.execute import Workspace, em_step

BAR = 1e-3
#: Of mini-batch EM: the step size falls from the first to the last on a straight line.
FIRST, LAST, PSEUDOCOUNT = 0.4, 0.05, 0.1


def trained(circuit: pcb.Circuit, precision: str, data: torch.Tensor, epochs: int, batch: int) -> tuple[pcb.Model, float, int]:
    """A model, seconds of its training, and batches that were given up."""
    model = pcb.Model.create(pcb.compile(circuit, device="cuda", precision=precision), seed=1)
    space, spare = Workspace(), None
    order = torch.Generator().manual_seed(1)
    steps = epochs * (len(data) // batch)
    began, done = time.perf_counter(), 0
    for _ in range(epochs):
        for chosen in torch.randperm(len(data), generator=order).split(batch)[: len(data) // batch]:
            size = FIRST + (LAST - FIRST) * done / (steps - 1)
            new = em_step(model, data[chosen.cuda()], size, PSEUDOCOUNT, space, spare).model
            model, spare, done = new, model, done + 1
    torch.cuda.synchronize()
    return model, time.perf_counter() - began, space.given_up


def compared(case: str, epochs: int, batch: int) -> dict[str, Any]:
    digits = pcb.datasets.mnist10k()
    assert digits.test is not None
    circuit = cases.build(case)
    exact = pcb.compile(circuit, device="cuda", precision="exact")
    row: dict[str, Any] = {"case": case}
    for precision in ("exact", "fast"):
        model, seconds, given_up = trained(circuit, precision, digits.train.long().cuda(), epochs, batch)
        found = pcb.log_likelihood(model.recompiled(exact), digits.test.long(), batch_size=batch)
        row |= {f"{precision} ll": float(found.mean()), f"{precision} s": seconds, f"{precision} given up": given_up}
        if precision == "fast":
            own = pcb.log_likelihood(model, digits.test.long(), batch_size=batch)
            row["fast path, worst row"] = float((own / found - 1).abs().max())
        del model
        torch.cuda.empty_cache()
    row["off"] = abs(row["fast ll"] / row["exact ll"] - 1)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["hclt-256", "rat-256", "pd-64"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512)
    given = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {given.epochs} epochs, {given.batch} rows a step")
    missed = False
    for case in given.cases:
        row = compared(case, given.epochs, given.batch)
        missed |= not row["off"] <= BAR
        print("  ".join(f"{k} {v:.5g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
