"""How busy the Tensor Cores are: measured where the hardware counts, estimated or explained where it does not."""

from __future__ import annotations

import contextlib
import importlib
import time
from dataclasses import dataclass
from typing import Any, Literal

import torch

_FIRST_WITH_TENSOR_CORES = (7, 0)


@dataclass(frozen=True)
class TensorCoreUse:
    """Share of the time in which the Tensor Cores worked.

    Attributes:
        value: from 0 to 1; ``None`` where it is unknown.
        source: ``"measured"`` by the GPU's own counters, ``"estimated"`` from the work done, or ``"none"``.
        reason: where the number comes from, or why there is none, as a sentence.
    """

    value: float | None
    source: Literal["measured", "estimated", "none"]
    reason: str


class TensorCoreMeter:
    """Reads the GPU performance monitor (GPM: Hopper and newer, through NVML). Never raises; says why it cannot.

    Each reading covers the time since the one before. The counters are the GPU's, whoever uses it. They advance every
    100 ms or so: over 20 ms a busy H100 reads 0. So a reading stays good for ``interval`` seconds, and a new one needs that.
    """

    def __init__(self, device: str | torch.device = "cuda", interval: float = 0.5) -> None:
        self._device = torch.device(device)
        self._interval = interval
        self._last = TensorCoreUse(None, "none", f"nothing was counted yet: the counters need {interval} s")
        self._sampled_at = 0.0
        self._nvml: Any = None
        self._handle: Any = None
        self._previous: Any = None
        self._why_not = self._open()

    def _open(self) -> str:
        """Begin to count; the reason if that is not possible, otherwise an empty text."""
        if self._device.type != "cuda":
            return f"training runs on {self._device.type!r}, which has no Tensor Cores"
        if torch.version.cuda is None:
            return f"no GPU: this PyTorch ({torch.__version__}) is built without CUDA"
        if not torch.cuda.is_available():
            return "no GPU: PyTorch is built with CUDA, but finds no usable device"
        name, capability = torch.cuda.get_device_name(self._device), torch.cuda.get_device_capability(self._device)
        if capability < _FIRST_WITH_TENSOR_CORES:
            return f"{name} has no Tensor Cores (compute capability {capability[0]}.{capability[1]}, 7.0 is the first)"
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return f"{name} may count their use, but the package nvidia-ml-py is not installed (pip install 'pcbench[gpu]')"
        try:
            nvml.nvmlInit()
            # By UUID: CUDA_VISIBLE_DEVICES renumbers PyTorch's devices, not NVML's.
            uuid = str(torch.cuda.get_device_properties(self._device).uuid)
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
            if not nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
                return f"{name} has no performance monitor that NVML can read (Hopper is the first with one)"
            self._nvml, self._handle = nvml, handle
            self._previous = self._sample()
        except Exception as error:  # NVML's errors differ by driver; none of them may stop a training run
            self._nvml = None
            return f"{name}: NVML refuses to count: {type(error).__name__}: {error}"
        return ""

    def _sample(self) -> Any:
        sample = self._nvml.nvmlGpmSampleAlloc()
        self._nvml.nvmlGpmSampleGet(self._handle, sample)
        self._sampled_at = time.monotonic()
        return sample

    def read(self, flops_per_s: float | None = None, peak_flops_per_s: float | None = None) -> TensorCoreUse:
        """Use since the last reading, or that reading if it is less than the interval old.

        Args:
            flops_per_s, peak_flops_per_s: matrix work done and the most the machine can do; with both, a GPU without
                counters gets an estimate, their ratio.
        """
        if self._nvml is not None:
            if time.monotonic() - self._sampled_at < self._interval:
                return self._last
            try:
                self._last = self._measure()
                return self._last
            except Exception as error:  # as above
                self._why_not = f"NVML stopped counting: {type(error).__name__}: {error}"
                self.close()
        has_cores = self._device.type == "cuda" and torch.cuda.is_available()
        if has_cores and flops_per_s is not None and peak_flops_per_s:
            share = min(1.0, flops_per_s / peak_flops_per_s)
            return TensorCoreUse(share, "estimated", f"share of a matrix product's speed; not measured: {self._why_not}")
        return TensorCoreUse(None, "none", self._why_not)

    def _measure(self) -> TensorCoreUse:
        nvml = self._nvml
        sample = self._sample()
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = 1
        request.sample1, request.sample2 = self._previous, sample
        request.metrics[0].metricId = nvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL
        nvml.nvmlGpmMetricsGet(request)
        nvml.nvmlGpmSampleFree(self._previous)
        self._previous = sample
        metric = request.metrics[0]
        if metric.nvmlReturn != 0:
            return TensorCoreUse(None, "none", f"nothing was counted since the last reading (NVML code {metric.nvmlReturn})")
        return TensorCoreUse(metric.value / 100, "measured", "GPU performance monitor, all processes on the GPU")

    def close(self) -> None:
        """Stop counting; a second call does nothing."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            with contextlib.suppress(Exception):  # nothing is left to be saved
                nvml.nvmlGpmSampleFree(self._previous)
                nvml.nvmlShutdown()
            self._why_not = self._why_not or "the meter is closed"
