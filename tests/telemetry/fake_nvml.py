"""A stand-in for the package ``pynvml``, and for a GPU that PyTorch would find."""

from __future__ import annotations

import importlib
import types
from typing import Any

import pytest
import torch

#: Counter → per cent that the stand-in reports.
REPORTED = {"SM_UTIL": 90.0, "SM_OCCUPANCY": 25.0, "ANY_TENSOR_UTIL": 37.0, "HMMA_TENSOR_UTIL": 31.0, "DRAM_BW_UTIL": 55.0}
#: As in NVML's header.
NUMBERS = {"SM_UTIL": 2, "SM_OCCUPANCY": 3, "ANY_TENSOR_UTIL": 5, "HMMA_TENSOR_UTIL": 7, "DRAM_BW_UTIL": 10}


class FakeNvml(types.ModuleType):
    """What the meters ask of pynvml.

    Args:
        supported: whether the GPU has counters.
        broken: whether it is lost while they are read.
        silent: counters without an answer.
        unnamed: counters that this version of the package does not know.
    """

    NVML_GPM_METRICS_GET_VERSION = 1

    def __init__(
        self, supported: bool = True, broken: bool = False, silent: tuple[str, ...] = (), unnamed: tuple[str, ...] = ()
    ) -> None:
        super().__init__("pynvml")
        self.supported, self.broken, self.silent, self.samples = supported, broken, silent, 0
        for counter, number in NUMBERS.items():
            if counter not in unnamed:
                setattr(self, f"NVML_GPM_METRIC_{counter}", number)

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert uuid == "GPU-0000"
        return "handle"

    def nvmlGpmQueryDeviceSupport(self, handle: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(isSupportedDevice=self.supported)

    def nvmlGpmSampleAlloc(self) -> int:
        self.samples += 1
        return self.samples

    def nvmlGpmSampleFree(self, sample: int) -> None:
        self.samples -= 1

    def nvmlGpmSampleGet(self, handle: str, sample: int) -> None: ...

    def c_nvmlGpmMetricsGet_t(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(metrics=[types.SimpleNamespace(value=0.0, nvmlReturn=999) for _ in range(98)])

    def nvmlGpmMetricsGet(self, request: Any) -> None:
        if self.broken:
            raise RuntimeError("GPU is lost")
        assert request.version == 1
        names = {number: counter for counter, number in NUMBERS.items()}
        for metric in request.metrics[: request.numMetrics]:
            counter = names[metric.metricId]
            metric.nvmlReturn = 6 if counter in self.silent else 0
            metric.value = REPORTED[counter]


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None, capability: tuple[int, int] = (9, 0)) -> None:
    """PyTorch finds an H100, and ``import pynvml`` the stand-in, or nothing."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for name, value in {
        "is_available": True,
        "get_device_name": "NVIDIA H100",
        "get_device_capability": capability,
        "get_device_properties": types.SimpleNamespace(uuid="0000"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)

    def find(name: str) -> FakeNvml:
        if nvml is None:
            raise ImportError(name)
        return nvml

    monkeypatch.setattr(importlib, "import_module", find)
