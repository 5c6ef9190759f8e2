"""The layout as Python: the lines that compile the same program, and read the same cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pcbench import Program


def source(program: Program, at: Mapping[str, Any] | None = None, model: bool = False) -> str:
    """Python that compiles an equal program from ``circuit``.

    Args:
        program: what is on the screen.
        at: ``layer``, ``block`` and, if a cell is pinned, ``row`` and ``col`` of the map on the screen.
        model: whether weights are shown.
    """
    precision = "" if program.fused is None else f", precision={program.fused.precision!r}"
    dtype = str(program.dtype)
    lines = [
        "import torch",
        "",
        "import pcbench",
        "",
        f"# circuit: {program.circuit!r}; in a notebook, `bench.program.circuit`",
        f"program = pcbench.compile(circuit, device={str(program.device)!r}, dtype={dtype}, tile={program.tile}{precision})",
        "print(program.explain())",
    ]
    if at is not None:
        weights = ", parameters=model.parameters" if model else ""
        lines += ["", "from pcbench.execute import Model, WeightMap" if model else "from pcbench.execute import WeightMap", ""]
        lines += ["model = Model.create(program)  # or yours: load_model(…), fit(…).model"] if model else []
        lines += [f"found = WeightMap(program, layer={at['layer']}, block={at['block']}{weights})"]
        if at.get("row") is not None:
            lines += [f"print(found.cell({at['row']}, {at['col']}))  # node, element"]
    return "\n".join(lines) + "\n"
