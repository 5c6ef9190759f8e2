"""Soft evidence as neural networks give it: by the names of variables, as likelihoods or as their logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from ..circuit import Circuit
from ..errors import DataError, OptionError
from ..execute import Evidence
from ..scope import Finite, Variables

#: Variables by name or column, and a tensor ``[B, C]`` or ``[C]`` for each (checked by hand, with the variable named).
Soft: TypeAlias = Mapping[str | int, object]


def with_soft(evidence: Evidence, soft: Soft | None, log_soft: Soft | None, circuit: Circuit) -> tuple[Evidence, Tensor | None]:
    """Evidence that also holds the given soft evidence, and what is then to be added to log-likelihoods, ``[B or 1, outputs]``.

    Log likelihoods are taken relative to their maximum, so that none vanishes when they are exponentiated.

    Raises:
        DataError: for a tensor of a wrong shape or with impossible numbers; names the variable.
        OptionError: when one variable has two pieces of soft evidence.
    """
    merged, rest = dict(evidence.soft), None
    for given, logarithmic in ((soft, False), (log_soft, True)):
        for key, tensor in (given or {}).items():
            variable = circuit.variables[key]
            if not isinstance(tensor, Tensor):
                raise DataError(f"soft evidence on {variable.name!r} must be a tensor, got {type(tensor).__name__}")
            if variable.index in merged:
                raise OptionError(
                    f"there are two pieces of soft evidence on {variable.name!r}; multiply (or add the logs of) them"
                )
            if not logarithmic:
                merged[variable.index] = tensor
                continue
            _check_logs(tensor, circuit.variables, variable.index)
            peak = tensor.detach().amax(-1, keepdim=True)
            peak = torch.where(torch.isfinite(peak), peak, 0.0)  # nothing is possible: stays so
            merged[variable.index] = (tensor.double() - peak).exp()  # e^-200 is zero in float32
            reached = torch.tensor([bool(r.scope >> variable.index & 1) for r in circuit.roots for _ in range(r.nodes)])
            part = peak.double().view(-1, 1) * reached.to(peak.device)
            rest = part if rest is None else rest + part
    if merged.keys() == evidence.soft.keys():
        return evidence, None
    return Evidence(evidence.values, evidence.observed, merged), rest


def _check_logs(logs: Tensor, variables: Variables, index: int) -> None:
    """What :meth:`Evidence.check` cannot see once they are exponentiated."""
    variable = variables[index]
    what = f"soft evidence on {variable.name!r}"
    if not isinstance(variable.domain, Finite):
        raise DataError(f"soft evidence needs a finite variable; {variable.name!r} is {variable.domain}")
    if logs.ndim not in (1, 2) or logs.shape[-1] != variable.domain.size:
        raise DataError(
            f"{what} needs shape [rows, {variable.domain.size}] or [{variable.domain.size}], got {list(logs.shape)}"
        )
    if not logs.is_floating_point() or bool((torch.isnan(logs) | (logs == torch.inf)).any()):
        raise DataError(f"{what}: log likelihoods must be floats below infinity, and not NaN")
