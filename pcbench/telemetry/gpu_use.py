"""How busy a GPU is, part by part: measured where the hardware counts, estimated or explained where it does not."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import time
from dataclasses import dataclass
from typing import Any, Literal

import torch

_FIRST_WITH_TENSOR_CORES = (7, 0)

#: Part → its counter in NVML, after ``NVML_GPM_METRIC_``.
COUNTERS = {
    "tensor_cores": "ANY_TENSOR_UTIL",
    "half_precision": "HMMA_TENSOR_UTIL",
    "multiprocessors": "SM_UTIL",
    "occupancy": "SM_OCCUPANCY",
    "memory": "DRAM_BW_UTIL",
}


@dataclass(frozen=True)
class GpuUse:
    """Shares from 0 to 1 since the reading before; ``None`` where one is unknown.

    Attributes:
        tensor_cores: of the time, in which the Tensor Cores worked. Estimated: matrix work by the most that fits in the time.
        half_precision: the same, for products of 16-bit operands (HMMA).
        multiprocessors: of the time, in which a multiprocessor had something to do, on average.
        occupancy: of the warps that the multiprocessors could hold.
        memory: of the bandwidth of the GPU's memory. Estimated: traffic by the most that fits in the time.
        source: ``"measured"`` by the GPU's own counters, ``"estimated"`` from the work done, or ``"none"``.
        reason: where the numbers come from, or why there are none, as a sentence.
    """

    tensor_cores: float | None
    half_precision: float | None
    multiprocessors: float | None
    occupancy: float | None
    memory: float | None
    source: Literal["measured", "estimated", "none"]
    reason: str

    @classmethod
    def none(cls, reason: str) -> GpuUse:
        """Nothing is known."""
        return cls(None, None, None, None, None, "none", reason)

    @classmethod
    def estimated(cls, compute: float, memory: float, reason: str) -> GpuUse:
        """Shares of the roofline: of arithmetic and of bandwidth, cut off at 1."""
        return cls(min(1.0, compute), None, None, None, min(1.0, memory), "estimated", reason)

    def metrics(self) -> dict[str, float]:
        """As metrics of an event: ``gpu_*`` where they were measured, ``roofline_*`` where estimated, otherwise nothing."""
        if self.source == "measured":
            parts = {f"gpu_{name}": getattr(self, name) for name in COUNTERS}
        else:
            parts = {"roofline_compute": self.tensor_cores, "roofline_memory": self.memory}
        return {name: value for name, value in parts.items() if value is not None}


class GpuMeter:
    """Reads the GPU performance monitor (GPM: Hopper and newer, through NVML). Never raises; says why it cannot.

    Each reading covers the time since the one before. The counters are the GPU's, whoever uses it. They advance every
    100 ms or so: over 20 ms a busy H100 reads 0. So a reading stays good for ``interval`` seconds, and a new one needs that.
    """

    def __init__(self, device: str | torch.device = "cuda", interval: float = 0.5) -> None:
        self._device = torch.device(device)
        self._interval = interval
        self._last = GpuUse.none(f"nothing was counted yet: the counters need {interval} s")
        self._sampled_at = 0.0
        self._nvml: Any = None
        self._handle: Any = None
        self._previous: Any = None
        self._counters: dict[str, int] = {}
        self.why_not = self._open()
        """Why nothing is counted; an empty text where it is."""

    @property
    def counts(self) -> bool:
        """Whether the GPU's own counters are read."""
        return self._nvml is not None

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
            # An older package may lack the name of a counter; the others are read all the same.
            named = {part: getattr(nvml, f"NVML_GPM_METRIC_{counter}", None) for part, counter in COUNTERS.items()}
            self._counters = {part: number for part, number in named.items() if number is not None}
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

    def read(self) -> GpuUse:
        """Use since the last reading, or that reading if it is less than the interval old."""
        if self._nvml is not None:
            if time.monotonic() - self._sampled_at < self._interval:
                return self._last
            try:
                self._last = self._measure()
                return self._last
            except Exception as error:  # as above
                self.why_not = f"NVML stopped counting: {type(error).__name__}: {error}"
                self.close()
        return GpuUse.none(self.why_not)

    def _measure(self) -> GpuUse:
        nvml = self._nvml
        sample = self._sample()
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(self._counters)
        request.sample1, request.sample2 = self._previous, sample
        for place, number in enumerate(self._counters.values()):
            request.metrics[place].metricId = number
        nvml.nvmlGpmMetricsGet(request)
        nvml.nvmlGpmSampleFree(self._previous)
        self._previous = sample
        answers = {part: request.metrics[place] for place, part in enumerate(self._counters)}
        found = {part: answer.value / 100 for part, answer in answers.items() if answer.nvmlReturn == 0}
        if not found:
            codes = sorted({int(answer.nvmlReturn) for answer in answers.values()})
            return GpuUse.none(f"nothing was counted since the last reading (NVML codes {codes})")
        unknown = dict.fromkeys(f.name for f in dataclasses.fields(GpuUse))
        parts: dict[str, Any] = {**unknown, **found}
        parts["source"], parts["reason"] = "measured", "GPU performance monitor, all processes on the GPU"
        return GpuUse(**parts)

    def close(self) -> None:
        """Stop counting; a second call does nothing."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            with contextlib.suppress(Exception):  # nothing is left to be saved
                nvml.nvmlGpmSampleFree(self._previous)
                nvml.nvmlShutdown()
            self.why_not = self.why_not or "the meter is closed"
