"""Bits per dimension and pictures of a hidden Chow-Liu tree on the 10,000 digits that ship with pcbench.

    python tests/bench/mnist.py [--latents 32] [--epochs 12] [--picture FILE.png] [--json FILE]

The first 8,000 images train and the last 2,000 test, so figures do not compare with those of all of MNIST. Of the training
rows, 800 are held out: the pseudocount and the best epoch are chosen on them. The picture shows, from the top: 64 samples
(8 × 8), then 8 test digits, what is given of them (the upper half), two fillings of the lower half drawn from the
conditional distribution, and the expected value of each missing pixel.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "kernels"), str(ROOT / "widgets")]

import torch  # noqa: E402
from quality import machine  # noqa: E402
from torch import Tensor  # noqa: E402

import pcbench as pcb  # noqa: E402
from pcbench.datasets import Dataset, hold_out, mnist10k  # noqa: E402
from pcbench.learn import Cosine, MiniBatchEM, Run, fit  # noqa: E402
from pcbench.structures import hclt  # noqa: E402
from pcbench_widgets import png  # noqa: E402

#: Rows' worth of a uniform choice at every node, relative to a mini-batch, from which validation chooses.
PSEUDOCOUNTS = (0.1, 0.3, 1.0)
MOST_SECONDS = 600.0


def bits(nats: float, dimensions: int) -> float:
    """Mean log-likelihood of a row in nats → bits per dimension."""
    return -nats / (dimensions * math.log(2))


def train(data: Dataset, circuit: pcb.Circuit, pseudocount: float, epochs: int, batch: int) -> Run:
    """Mini-batch EM with a falling step size."""
    method = MiniBatchEM(Cosine(0.6, 0.02), pseudocount=pseudocount)
    return fit(circuit, data.train, valid=data.valid, epochs=epochs, batch_size=batch, method=method, validate_every=2)


def posterior_means(model: pcb.Model, given: pcb.Evidence) -> Tensor:
    """Each missing pixel's expected value given the others: ``[B, V]``."""
    out = given.values.clone()
    for posterior in pcb.conditional(model, given).values():
        out[:, posterior.variable.index] = posterior.mean.round().to(out.dtype)
    return out


def picture(model: pcb.Model, test: Tensor, shape: tuple[int, int]) -> Tensor:
    """Samples and fillings as one image ``[H, W]``."""
    height, width = shape
    digits = test[:8]
    upper = (torch.arange(height * width) < height * width // 2).expand(len(digits), -1)
    given = pcb.Evidence(digits, upper)
    fillings = pcb.sample(model, count=2, evidence=given, seed=1).to(torch.uint8)
    rows = [
        *pcb.sample(model, count=64, seed=0).to(torch.uint8).view(8, 8, -1),
        digits,
        torch.where(upper, digits, 96),
        fillings[:, 0],
        fillings[:, 1],
        posterior_means(model, given),
    ]
    out = torch.full((len(rows) * (height + 2) + 8, 8 * (width + 2)), 64, dtype=torch.uint8)
    for r, row in enumerate(rows):
        top = 1 + r * (height + 2) + (8 if r >= 8 else 0)
        for c, image in enumerate(row):
            left = 1 + c * (width + 2)
            out[top : top + height, left : left + width] = image.view(height, width)
    return out.repeat_interleave(2, 0).repeat_interleave(2, 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    begin = time.perf_counter()
    data = mnist10k()
    assert data.test is not None  # it ships with both
    assert data.image_shape is not None
    data, test, shape = hold_out(data, 0.1, seed=0), data.test, data.image_shape
    dimensions = len(data.variables)
    circuit = hclt(data.train, options.latents, pcb.Categorical(256), data.variables)
    print(f"{circuit}\ntree learnt, {time.perf_counter() - begin:.1f} s", flush=True)
    runs = {}
    for pseudocount in PSEUDOCOUNTS:
        runs[pseudocount] = train(data, circuit, pseudocount, options.epochs, options.batch)
        found = runs[pseudocount].best_valid_ll
        assert found is not None  # there are validation rows
        print(
            f"pseudocount {pseudocount:g}: valid {bits(found, dimensions):.4f} bpd, {time.perf_counter() - begin:.1f} s",
            flush=True,
        )
    chosen = max(runs, key=lambda p: runs[p].best_valid_ll or -math.inf)
    model = runs[chosen].best_model
    result = {
        "pseudocount": chosen,
        "valid_bpd": bits(runs[chosen].best_valid_ll or -math.inf, dimensions),
        "test_bpd": bits(float(pcb.log_likelihood(model, test).mean()), dimensions),
        "parameters": model.circuit.num_parameters,
    }
    if options.picture:
        image, _, _ = png.encode(picture(model, test, shape).numpy())
        options.picture.write_bytes(image)
    return {**result, "seconds": time.perf_counter() - begin}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=32, help="hidden states of each pixel")
    parser.add_argument("--epochs", type=int, default=12, help="for each pseudocount tried")
    parser.add_argument("--batch", type=int, default=256, help="rows of a mini-batch")
    parser.add_argument("--picture", type=Path, help="write samples and fillings there, as PNG")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    print(machine())
    result = measure(options)
    print(
        f"mnist10k, HCLT with {options.latents} latents, {result['parameters']:,} parameters: "
        f"valid {result['valid_bpd']:.4f}, test {result['test_bpd']:.4f} bits per dimension "
        f"(pseudocount {result['pseudocount']:g} chosen on validation), {result['seconds']:.1f} s in all"
    )
    if options.json:
        told = {
            "machine": machine(),
            "latents": options.latents,
            "epochs": options.epochs,
            "batch": options.batch,
            **result,
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if result["seconds"] <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
