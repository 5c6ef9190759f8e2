"""Counter-based random numbers: a draw depends on its seed, row and place in the circuit, and on nothing else.

So sample ``i`` of a seed is the same whatever the batch size, the order of evaluation or the backend, and no two draws
share noise. The mixer is SplitMix64's finaliser (Steele, Lea and Flood 2014), applied to one counter after the other.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift (the operator on signed integers copies the sign)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def uniform(seed: int, rows: Int64[Tensor, " draws"], places: Int64[Tensor, " draws"]) -> Float64[Tensor, " draws"]:
    """Uniforms in (0, 1), float64, one for each pair of row and place (int64 tensors of one shape)."""
    state = _mix(torch.full_like(rows, seed) * _GOLDEN + _GOLDEN)
    return uniform_of(_mix(state + rows * _GOLDEN + 1), places)


def uniform_of(states: Int64[Tensor, "..."], places: Int64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """The same from what seed and row were mixed to."""
    state = _mix(states ^ (places * _GOLDEN + _FIRST))
    # 52 bits and a half: the largest is 1 − 2^-53, which is a float64; with 53 bits it would round to 1.
    return (_shift(state, 12).double() + 0.5) * 2.0**-52
