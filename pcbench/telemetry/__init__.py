"""What a dashboard shows of a running computation, as plain data: time, memory, share of the machine, Tensor Cores."""

from .clock import StepClock, StepSplit
from .gpu_use import GpuMeter, GpuUse
from .machine import MachineMeter
from .memory import MemoryMeter, MemoryUse
from .roofline import Roofline, Share, measure, share
from .tensor_cores import TensorCoreMeter, TensorCoreUse
from .throughput import Throughput
from .why_slow import why_slow

__all__ = [
    "GpuMeter",
    "GpuUse",
    "MachineMeter",
    "MemoryMeter",
    "MemoryUse",
    "Roofline",
    "Share",
    "StepClock",
    "StepSplit",
    "TensorCoreMeter",
    "TensorCoreUse",
    "Throughput",
    "measure",
    "share",
    "why_slow",
]
