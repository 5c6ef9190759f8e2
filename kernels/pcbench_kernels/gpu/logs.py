"""Logarithms and exponentials, by the instructions that a GPU has for them."""

from __future__ import annotations

import os

import triton
import triton.language as tl
from triton.language.extra.cuda import libdevice

#: Whether kernels run on a GPU, and not in Triton's interpreter, which knows none of a GPU's functions.
COMPILED = tl.constexpr(os.environ.get("TRITON_INTERPRET", "0") in ("", "0"))


@triton.jit
def log_of(x):
    """Natural logarithm by the hardware's, whose error of 2⁻²² is that of a float32 value of 1, in one instruction instead of
    twenty-five. Numbers below 2⁻¹²⁶ count as 0."""
    if COMPILED:
        log = libdevice.fast_log2f(x)
    else:
        log = tl.log2(x)
    return log * 0.6931471805599453


@triton.jit
def log_of_any(x):
    """:func:`log_of` of numbers that may lie below 2⁻¹²⁶, too."""
    small = x < 1e-30
    return log_of(tl.where(small, x * 18446744073709551616.0, x)) - tl.where(small, 44.3614195558365, 0.0)


@triton.jit
def exp_of(x):
    """Exponential by the hardware's, where results below 2⁻¹²⁶ are 0: to keep those takes three instructions more."""
    return tl.exp2(x * 1.4426950408889634)


@triton.jit
def peak_of(v, k_in, FULL: tl.constexpr):
    """``[BN]``: the highest of each row, at least -1e30; ``FULL``: all columns are there."""
    if not FULL:
        v = tl.where(k_in[None, :], v, float("-inf"))
    return tl.maximum(tl.max(v, 1), -1e30)


@triton.jit
def linear(v, peak, k_in, FULL: tl.constexpr):
    """``[BN, BK]``: exponentials relative to the ``peak``, 0 in columns that are not there."""
    x = exp_of(v - peak[:, None])
    if not FULL:
        x = tl.where(k_in[None, :], x, 0.0)
    return x


@triton.jit
def per_value(flow, y):
    """``F / y`` from the logarithm of ``y``, zero where no flow arrives, or ``y`` is zero or infinite."""
    return tl.where((tl.abs(y) < float("inf")) & (flow != 0), flow * exp_of(-y), 0.0)
