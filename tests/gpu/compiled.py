"""Compiles what training and sampling launch for a named GPU, without one: ``python -m tests.gpu.compiled 90 fast``.

Prints one JSON line, kernel → reports. Run as a program of its own: the tests beside it put Triton in interpreter mode, which
lasts as long as its process.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from unittest.mock import patch

import torch

import pcbench
from pcbench import Circuit, Variables, structures
from pcbench.bench import cases
from pcbench.compile.fuse import Fused, fuse
from pcbench.compile.group import WASTE
from pcbench_kernels.gpu import (
    Draws,
    Launches,
    Samples,
    Trees,
    Update,
    computed,
    down,
    leafwise,
    mixtures,
    topdown,
    trees,
    up,
    update,
)
from pcbench_kernels.gpu.recorded import Launch, recording, stand_in

BATCH = 512
#: Between them they launch everything: blocks of one term and of several, small and large, alone and in chains, with weights of
#: their own and shared.
CIRCUITS: dict[str, Circuit] = {
    "hclt": structures.hclt(latents=256, variables=Variables.finite(6, 256), tree=[-1, 0, 1, 2, 3, 4]),
    "pd": structures.poon_domingos(64, (4, 4), split_interval=1, max_splits=4, variables=Variables.finite(16, 16)),
    "sparse": cases.sparse_tree(256),
    "hmm": structures.hmm(latents=1024, variables=Variables.finite(3, 512)),
    "normal": structures.hclt(latents=256, variables=Variables.real(4), tree=[-1, 0, 1, 2]),
}


#: Six parents share each vector of leaves; for best trees.
SHARED = structures.rat(latents=32, depth=1, repetitions=6, variables=Variables.finite(12, 3))


def launches(circuit: Circuit, precision: str, capability: int) -> list[Launch]:
    """What a step of training launches, posteriors, samples with evidence and without, and best trees."""
    with recording(capability) as found, patch.dict(WASTE, cpu=WASTE["cuda"]):  # kernels are chosen as for a GPU
        program = pcbench.compile(circuit)
        tables = (program.layers, program.sum_tables, program.leaf_tables)
        plan = fuse(*tables, program.num_units, precision, program.device, len(circuit.variables))
        _step(plan)
        if not plan.looked_up:
            return found
        for prior, whole in ((False, 2048), (True, 2048), (False, 64)):
            with patch.object(topdown, "WHOLE", whole):
                _draw(plan, prior)
        _explain(plan)
        program = pcbench.compile(SHARED)
        _explain(fuse(program.layers, program.sum_tables, program.leaf_tables, program.num_units, precision, program.device))
    return found


def _step(plan: Fused) -> None:
    p = stand_in(BATCH, plan.operands, plan.logs, plan.precision, plan.lookup_types)
    single, flag, logs, operands = torch.empty(16, device="meta"), p.suspect, p.flows, p.operands
    told, reported = Update(single, flag, flag, 1e-30), torch.empty(BATCH + 4, dtype=torch.float64, device="meta")
    four = torch.empty(4, dtype=torch.int32, device="meta")
    up.renew(four, 2)
    passes = Launches(plan.layers).of(BATCH)
    for layer in passes:
        up.value_of(p, layer)
    for hold in (flag, None):
        up.conclude(p, plan.roots, 1, reported, hold)
    up.tell(four, reported[BATCH:])
    for layer in reversed(passes):
        down.flow_through(p, layer)
    for edges in plan.edges:
        if edges.learns:
            update.learn_edges(p, edges, single, None if plan.precision == "exact" else operands, told)
        else:
            down.count_edges(p, edges, single, 0, True)
    for rows in (rows for part in plan.late for rows in part.rows):
        update.maximise_sums(single, single, 0, rows, single, None if plan.precision == "exact" else operands, told)
    reals, columns = torch.empty(16, BATCH, dtype=torch.float64, device="meta"), torch.empty(2, 16, device="meta")
    update.replace_parameters(single, flag, single, columns[None])
    for leaves in plan.leaves:
        if not leaves.looked_up:
            computed.normal(reals, None, leaves, single, single)
            computed.weigh(p, leaves, reals[:, None].expand(-1, 3, -1), reals.view(1, 1, 16, BATCH))
            continue
        masses = torch.empty(1, leafwise.parts_of(leaves, BATCH), 1, device="meta")
        samples = Samples(torch.empty(16, dtype=torch.int64, device="meta"), flag, masses, masses, masses)
        if leaves.most * BATCH <= leafwise.SORTED:
            leafwise.sort(p, leaves, samples)
        leafwise.add_up(p, leaves, samples)
        leafwise.count_categories(p, leaves, samples, single, True)
        leafwise.learn_categories(p, leaves, samples, single, single, logs, told)
        mixtures.leaf_flows(p, leaves, leaves.uses, single)


def _draw(plan: Fused, prior: bool) -> None:
    p = stand_in(BATCH, plan.operands, plan.logs, plan.precision, plan.lookup_types)
    long, flag = torch.empty(16, dtype=torch.int64, device="meta"), p.suspect
    many = len(plan.leaves)
    d = Draws(
        BATCH, BATCH, long, long, flag, flag, (flag,) * many, p.weights, p.elements, p.scales, p.codes, flag, long,
        (long,) * many, prior,
    )  # fmt: skip
    topdown.start(d, 0)
    for layer in reversed(plan.layers):
        topdown.draw_edges(d, layer, int(layer.term_start.diff().max()) * layer.width)
    for leaves in plan.leaves:
        masses = torch.empty(leaves.runs, leaves.categories, leaves.nodes, device="meta")
        topdown.add_up_leaves(masses, p.scales)
        topdown.draw_categories(d, leaves, masses, p.scales, long.view(1, 16))


def _explain(plan: Fused) -> None:
    p = stand_in(BATCH, plan.operands, plan.logs, plan.precision, plan.lookup_types)
    single, flag, many = torch.empty(16, device="meta"), p.suspect, len(plan.leaves)
    held = Trees(
        BATCH, single, single, p.scales, single, single, single, (single,) * many, (flag,) * many, p.codes, flag, (flag,) * many
    )  # fmt: skip
    for layer in plan.layers:
        most = int(layer.term_start.diff().max()) * layer.width
        trees.best_of(held, layer, most)
        trees.walk_down(held, layer, most)
    for leaves in plan.leaves:
        trees.explain_leaves(held, leaves, torch.empty(16, dtype=torch.int64, device="meta").view(1, 16))


def main() -> None:
    capability, precision = int(sys.argv[1]), sys.argv[2]
    seen: set[tuple[Any, ...]] = set()
    reports: dict[str, list[dict[str, Any]]] = {}
    for circuit in CIRCUITS.values():
        for launch in launches(circuit, precision, capability):
            name, options = launch.kernel.__name__, launch.options
            # One of each kernel, with small and with large tiles, is what a test has time for; each form of those that draw.
            form = (options["PRIOR"], options.get("MANY"), options.get("WHOLE")) if "PRIOR" in options else ()
            kind = (
                name,
                options.get("BN", options.get("BM", 0)) >= 32,
                options.get("HOLES", options.get("MANY", options.get("WAITS", 0) > 0)),
                *form,
            )
            if kind not in seen:
                seen.add(kind)
                reports.setdefault(name, []).append(launch.report(capability).as_dict())
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
