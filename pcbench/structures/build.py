"""A structure by its name, for the command line and the estimators."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..circuit import Circuit
from ..errors import OptionError, suggest
from ..scope import Variables


def build(name: str, data: Tensor, variables: Variables, observed: Tensor | None = None, **options: Any) -> Circuit:
    """The circuit that a structure of ``STRUCTURES`` makes of data.

    Args:
        name: as in ``STRUCTURES``; ``"pd"`` is short for Poon-Domingos.
        data: ``[B, V]``.
        variables: one a column.
        observed: ``[B, V]`` bool, which values count; ignored by structures that learn nothing from data.
        options: of the builder; ``None`` means its own default.

    Raises:
        OptionError: for an unknown structure, or an option that it does not have.
    """
    from . import STRUCTURES  # the list names the builders, and this file is one of its package

    known = {s.name: s for s in STRUCTURES}
    chosen = known.get({"pd": "poon-domingos"}.get(name, name))
    if chosen is None:
        raise OptionError(f"there is no structure {name!r}; {suggest(name, list(known))}")
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in chosen.options:
            raise OptionError(f"the structure {chosen.name!r} has no option {key!r}; {suggest(key, list(chosen.options))}")
    if observed is not None and "observed" in chosen.options:
        given["observed"] = observed
    return chosen.build(data=data, variables=variables, **given)
