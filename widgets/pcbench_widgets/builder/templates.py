"""What the palette drops as a region: every structure of pcbench, and circuits of the textbooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from pcbench import Bernoulli, Circuit, InputBlock, Parameter, ProductBlock, SumBlock, Variables
from pcbench.datasets import BUILT_IN, dataset
from pcbench.errors import OptionError, PCBenchError, suggest
from pcbench.structures import STRUCTURES

from .draft import Refusal

_MOST_VARIABLES = 4096
_LATENTS = 4
"""Hidden states that a template starts with: few enough to read."""


def _coin(variables: Variables, index: int, heads: float, name: str) -> InputBlock:
    value = torch.tensor([[heads]], dtype=torch.float64)
    return InputBlock(variables[index], Bernoulli(), 1, Parameter((1, 1), value), name)


def _mixed(parts: list[Any], weights: list[float], name: str) -> SumBlock:
    value = torch.tensor([weights], dtype=torch.float64)
    return SumBlock(parts, 1, parameter=Parameter((1, len(weights)), value), name=name)


def two_coins() -> Circuit:
    """A mixture of two independent pairs of coins: the smallest circuit with all three kinds of block."""
    v = Variables.binary(2, ["x1", "x2"])
    parts = [
        ProductBlock([_coin(v, 0, p, f"x1|{c}"), _coin(v, 1, q, f"x2|{c}")], name=c)
        for c, p, q in (("a", 0.9, 0.2), ("b", 0.3, 0.7))
    ]
    return Circuit(_mixed(parts, [0.6, 0.4], "mixture"), v)


def naive_bayes() -> Circuit:
    """A class and three features that are independent given it."""
    v = Variables.binary(4, ["class", "f1", "f2", "f3"])
    rates = {"no": (0.0, 0.1, 0.4, 0.2), "yes": (1.0, 0.7, 0.5, 0.9)}
    parts = [
        ProductBlock([_coin(v, i, p, f"{v[i].name}|{c}") for i, p in enumerate(ps)], name=f"class={c}")
        for c, ps in rates.items()
    ]
    return Circuit(_mixed(parts, [0.75, 0.25], "prior"), v)


def parity() -> Circuit:
    """The parity of three bits: no product of independent bits comes near it, a deterministic circuit has it exactly."""
    v = Variables.binary(3, ["x1", "x2", "x3"])
    literal = [[_coin(v, i, float(bit), f"x{i + 1}={bit}") for bit in (0, 1)] for i in range(3)]
    even: Any = literal[0][0]
    odd: Any = literal[0][1]
    for i in (1, 2):
        pairs = (("even", [(even, 0), (odd, 1)]), ("odd", [(even, 1), (odd, 0)]))
        even, odd = (
            _mixed([ProductBlock([below, literal[i][bit]]) for below, bit in ways], [0.5, 0.5], f"{what} to x{i + 1}")
            for what, ways in pairs
        )
    return Circuit(even, v)


#: Circuits of the textbooks, by name.
TEXTBOOK: dict[str, Callable[[], Circuit]] = {"two-coins": two_coins, "naive-bayes": naive_bayes, "parity": parity}


def templates() -> list[dict[str, Any]]:
    """Every template for the palette: name, summary, and its options with the values to start from."""
    out: list[dict[str, Any]] = []
    for structure in STRUCTURES:
        start: dict[str, Any] = {"data": next(iter(BUILT_IN))} if structure.needs_data else {"variables": 16}
        if structure.needs_data:
            start["data"] = "nltcs"
        if "latents" in structure.options:
            start["latents"] = _LATENTS
        out.append({"name": structure.name, "summary": structure.summary, "options": start})
    for name, make in TEXTBOOK.items():
        out.append({"name": name, "summary": inspect.getdoc(make) or "", "options": {}})
    return out


def template(name: str, options: Mapping[str, Any]) -> Circuit:
    """The circuit of a template.

    Args:
        name: as `templates` lists it.
        options: `data`, a built-in data set or the path of a file; or `variables`, a number of binary ones; and
            options of the builder itself.

    Raises:
        Refusal: an unknown template or option, or a value that makes no sense.
    """
    if name in TEXTBOOK:
        if options:
            raise Refusal(f"the template {name} has no options, got {', '.join(options)}")
        return TEXTBOOK[name]()
    known = {structure.name: structure for structure in STRUCTURES}
    if name not in known:
        raise Refusal(f"there is no template {name!r}; {suggest(name, [*known, *TEXTBOOK])}")
    given = {key: value for key, value in options.items() if value not in (None, "")}
    data, count = given.pop("data", None), given.pop("variables", None)
    try:
        for key in given:
            if key not in known[name].options:
                raise OptionError(f"the template {name} has no option {key!r}; {suggest(key, list(known[name].options))}")
        if data is not None:
            table = dataset(str(data))
            return known[name].build(data=table.train, variables=table.variables, **given)
        if known[name].needs_data:
            raise OptionError(f"the template {name} is learnt: give it data, a file or one of {', '.join(BUILT_IN)}")
        if type(count) is not int or not 1 <= count <= _MOST_VARIABLES:
            raise OptionError(f"variables must be a whole number from 1 to {_MOST_VARIABLES}, got {count!r}")
        return known[name].build(variables=Variables.binary(count), **given)
    except (PCBenchError, OSError, TypeError) as error:
        raise Refusal(f"{name}: {error}") from None
