"""What the dashboard says of Tensor Cores, in words; where there are none, it says why."""

from __future__ import annotations

import torch

_FIRST_WITH_TENSOR_CORES = (7, 0)


def tensor_core_text() -> str:
    if torch.version.cuda is None:
        return f"Tensor Cores: no GPU. This PyTorch ({torch.__version__}) is built without CUDA; training runs on the CPU."
    if not torch.cuda.is_available():
        return "Tensor Cores: no GPU. PyTorch is built with CUDA, but finds no usable device; training runs on the CPU."
    name = torch.cuda.get_device_name()
    capability = torch.cuda.get_device_capability()
    if capability < _FIRST_WITH_TENSOR_CORES:
        return f"Tensor Cores: {name} has none (compute capability {capability[0]}.{capability[1]}, 7.0 is the first)."
    return f"Tensor Cores: {name} has them; their use is not measured by this dashboard yet."
