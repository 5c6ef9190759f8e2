"""What the compiler did, as data for views and in words for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from .eligible import tensor_cores
from .layers import InputLayer, Layer, ProductLayer, SumLayer, Term
from .program import Program


def describe_program(program: Program) -> dict[str, Any]:
    """Plain data with ``layers``, ``memory`` (name, purpose, offset, bytes; values and flows: a sample) and ``totals``.

    ``flops`` count a multiply and an add as two, for one sample and one training step (upward, downward, statistics).
    ``padding`` is the share of what the chosen kernels multiply that is no edge; ``tile_padding`` the same for a layout that
    stores whole tiles of ``tile``, which is what that block size would cost.
    """
    layers = [_describe_layer(program, layer) for layer in program.layers]
    for described, (eligible, reason) in zip(layers, tensor_cores(program), strict=True):
        described["tensor_cores"] = {"eligible": eligible, "reason": reason}
    memory = _memory(program)
    totals = {
        "layers": len(layers),
        "units": program.num_units,
        "edges": sum(d["edges"] for d in layers),
        "flops": sum(d["flops"] for d in layers),
        "parameter_bytes": sum(m["bytes"] for m in memory if m["purpose"] == "parameters"),
        "value_bytes": sum(m["bytes"] for m in memory if m["purpose"] in ("values", "flows")),
        "padding": _padding(sum(d["edges"] for d in layers), sum(d["cells"] for d in layers)),
        "tiles": sum(d["tiles"] for d in layers),
        "tile_padding": _padding(sum(d["edges"] for d in layers), sum(d["tiles"] for d in layers) * program.tile**2),
    }
    return {
        "device": str(program.device),
        "dtype": str(program.dtype)[6:],
        "tile": program.tile,
        "layers": layers,
        "memory": memory,
        "totals": totals,
    }


def _describe_layer(program: Program, layer: Layer) -> dict[str, Any]:
    index = program.circuit.index
    size = program.dtype.itemsize
    assert isinstance(layer, InputLayer | ProductLayer | SumLayer)
    groups = len(layer.blocks)
    out: dict[str, Any] = {
        "index": layer.index,
        "kind": layer.kind,
        "level": layer.level,
        "groups": groups,
        "nodes": layer.nodes,
        "elements": layer.elements,
        "blocks": [index[b] for b in layer.blocks],
        "rejected": [],
        "edges": 0,
        "tiles": 0,
        "cells": 0,
        "tile_size": program.tile,
        "padding": 0.0,
        "tile_padding": 0.0,
        "parameter_bytes": 0,
        "value_bytes": groups * (layer.nodes + layer.elements) * size + groups * 8,
        "offset": sum(w * n * size for w, n in program.value_rows.items() if w < layer.nodes)
        + layer.value_row * layer.nodes * size,
    }
    if isinstance(layer, InputLayer):
        table = program.leaf_tables[layer.table]
        looked_up = table.categories is not None
        out |= {
            "kernel": "lookup" if looked_up else "density",
            "flops": groups * layer.nodes * 2,
            "why": f"{table.distribution}: "
            + (
                f"log probabilities of {table.categories} values are looked up"
                if looked_up
                else "a real domain has no table; densities are computed"
            )
            + ("; kept in memory because they have several parents" if looked_up else ""),
            "parameter_bytes": groups * table.distribution.num_parameters * table.nodes * size,
        }
    elif isinstance(layer, ProductLayer):
        out |= {
            "kernel": "gather-sum",
            "flops": groups * layer.nodes * 2 * _arity((layer.term,)),
            "why": "products with several parents (or roots) are computed once and kept",
        }
    else:
        out |= _describe_sum(program, layer)
    return out


def _describe_sum(program: Program, layer: SumLayer) -> dict[str, Any]:
    table, groups = program.sum_tables[layer.table], len(layer.blocks)
    pattern = table.pattern
    edges = pattern.edges * groups
    tiles = _tiles(program, layer) * groups
    cells = groups * _count(table.choice.kernel.form())  # what the kernel multiplies, edges or not
    leaves = sum(len(t.leaves) for t in layer.terms)
    why = table.choice.why
    if leaves:
        why += f"; {leaves} leaf vector{'s' if leaves > 1 else ''} a block looked up on the way in, never stored"
    # Upward, downward and statistics each multiply and add once an edge; products add once a factor and element.
    flops = 6 * cells + groups * (2 * layer.elements * _arity(layer.terms) + 8 * (layer.elements + layer.nodes))
    return {
        "kernel": table.choice.kernel.name,
        "why": why,
        "edges": edges,
        "tiles": tiles,
        "tile_padding": _padding(edges, tiles * program.tile**2),
        "cells": cells,
        "rejected": [{"kernel": n, "reason": r} for n, r in table.choice.rejected],
        "padding": _padding(edges, cells),
        "flops": flops,
        "parameter_bytes": cells * program.dtype.itemsize,
    }


def _arity(terms: tuple[Term, ...]) -> int:
    return max(len(t.factors) + len(t.leaves) for t in terms)


def _padding(edges: int, cells: int) -> float:
    return 1.0 - edges / cells if cells else 0.0


def _tiles(program: Program, layer: SumLayer) -> int:
    """How many tiles of one block's weight matrix hold an edge; no mask is made, which for 16384² would be a gigabyte."""
    pattern, tile = program.sum_tables[layer.table].pattern, program.tile
    wide = -(-pattern.elements // tile)
    if pattern.rows is None or pattern.cols is None:
        return -(-pattern.nodes // tile) * wide
    at = [edges.cpu().numpy().astype(np.int64) * pattern.tile for edges in (pattern.rows, pattern.cols)]
    first, last = [a // tile for a in at], [(a + pattern.tile - 1) // tile for a in at]
    reach = int(max((b - a).max(initial=0) for a, b in zip(first, last, strict=True))) + 1
    found = []
    for down, right in np.ndindex(reach, reach):  # a block may lie across several tiles
        row, col = first[0] + down, first[1] + right
        found.append((row * wide + col)[(row <= last[0]) & (col <= last[1])])
    return len(np.unique(np.concatenate(found)))


def _memory(program: Program) -> list[dict[str, Any]]:
    """Every buffer of a training step. Parameters are whole bytes; values and flows are bytes for one sample."""
    size = program.dtype.itemsize
    parts: list[tuple[str, str, int]] = []
    for i, sums in enumerate(program.sum_tables):
        parts.append((f"sum weights {i} {sums.shape}", "parameters", _count(sums.shape) * size))
    for i, leaf in enumerate(program.leaf_tables):
        parts.append((f"{leaf.distribution.name} leaves {i} {leaf.shape}", "parameters", _count(leaf.shape) * size))
        if leaf.categories is not None:
            lookup = len(leaf.parameters) * (leaf.categories + 1) * leaf.nodes
            parts.append((f"log probabilities {i}", "parameters", lookup * size))
    for width, rows in program.value_rows.items():
        parts.append((f"values of {rows} units of {width}", "values", rows * width * size))
    for width, rows in program.element_rows.items():
        parts.append((f"elements, then flows, {rows} rows of {width}", "flows", rows * width * size))
    parts.append((f"scales of {program.num_units} units", "values", program.num_units * 8))
    out, offset = [], 0
    for name, purpose, count in parts:
        out.append({"name": name, "purpose": purpose, "offset": offset, "bytes": count})
        offset += count
    return out


def _count(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def explain_program(program: Program) -> str:
    """See :meth:`Program.explain`."""
    data = describe_program(program)
    circuit, totals = program.circuit, data["totals"]
    fused_products = sum(1 for b in circuit.blocks if b not in program.address and b.children)
    fused_leaves = sum(1 for b in circuit.blocks if b not in program.address and not b.children)
    lines = [
        f"{circuit!r}",
        f"compiled for {data['device']} in {data['dtype']}: {totals['layers']} layers, {totals['units']:,} units in memory; "
        f"{fused_products:,} products and {fused_leaves:,} leaf vectors fused into the sums above them",
        f"parameters {_bytes(totals['parameter_bytes'])}; a training step needs {_bytes(totals['value_bytes'])} and "
        f"{totals['flops'] / 1e6:.2f} MFLOP a sample; {totals['padding']:.1%} of the weights are padding",
    ]
    if program.fused is not None:
        launches = len(program.fused.layers) * 2 + len(program.fused.edges)
        lines.append(
            f"a training step is at most {launches} fused launches in {program.fused.precision} precision, captured in one "
            "CUDA graph; values, scales, flows and elements of sums are stored"
        )
    elif program.unfused:
        lines.append(f"no fused kernels, so every operation is one of PyTorch's: {program.unfused}")
    shapes: dict[tuple[str, ...], list[int]] = {}
    for d in data["layers"]:
        size = f"{d['nodes']}" if d["kind"] == "input" else f"{d['elements']} → {d['nodes']}"
        shapes.setdefault((d["kind"], size, d["kernel"], d["why"]), []).append(d["groups"])
    for (kind, size, kernel, why), groups in shapes.items():
        where = f" in {len(groups)} layers" if len(groups) > 1 else ""
        lines.append(f"  {sum(groups):5d} {kind:7s} blocks [{size}]{where}  {kernel}: {why}")
    seen = set()
    for d in data["layers"]:
        for r in d["rejected"]:
            if (r["kernel"], r["reason"]) not in seen:
                seen.add((r["kernel"], r["reason"]))
                lines.append(f"  not {r['kernel']}: {r['reason']}")
    return "\n".join(lines)


def _bytes(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
        value /= 1024
    raise AssertionError("unreachable")
