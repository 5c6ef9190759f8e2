"""The memory ruler's table: every byte of the plan is somebody's, and each block's bytes are its own."""

from __future__ import annotations

import numpy as np
import pytest

import pcbench
from pcbench import Program
from pcbench_widgets.program import memory
from pcbench_widgets.program.memory import spans
from tests.widgets.test_program_part import Caught, small
from tests.widgets.test_workbench import small_circuit

structures, Variables = pcbench.structures, pcbench.Variables
CIRCUITS = {
    "sparse": small(),
    "mixture": small_circuit(),
    "tied": structures.hmm(4, Variables.finite(5, 3)),
    "shared": structures.poon_domingos(2, (4, 4), variables=Variables.binary(16)),
    "real": structures.rat(4, variables=Variables.real(8)),
}


@pytest.fixture(params=CIRCUITS)
def program(request: pytest.FixtureRequest) -> Program:
    return pcbench.compile(CIRCUITS[request.param])


def test_every_byte_of_the_plan_belongs_to_a_block(program: Program) -> None:
    plan = program.describe()["memory"]
    covered = np.zeros(sum(entry["bytes"] for entry in plan), dtype=bool)
    for _, start, count in spans(program).astype(int):
        assert 0 <= start < start + count <= len(covered)
        covered[start : start + count] = True
    assert covered.all()
    starts = spans(program)[:, 1]
    assert (np.diff(starts) >= 0).all()


def test_no_span_reaches_from_one_buffer_into_the_next_and_kinds_fit(program: Program) -> None:
    plan = program.describe()["memory"]
    blocks = program.circuit.blocks
    for block, start, count in spans(program).astype(int):
        (entry,) = [e for e in plan if e["offset"] <= start < e["offset"] + e["bytes"]]
        assert start + count <= entry["offset"] + entry["bytes"]
        kind = type(blocks[block]).__name__
        if entry["name"].startswith("sum weights"):
            assert kind == "SumBlock"
        elif "leaves" in entry["name"] or "log probabilities" in entry["name"]:
            assert kind == "InputBlock"
        elif entry["name"].startswith("values"):
            assert count == blocks[block].nodes * program.dtype.itemsize


def test_only_tied_blocks_share_parameters_and_nobody_shares_values(program: Program) -> None:
    plan = program.describe()["memory"]
    holders: dict[tuple[int, int], list[int]] = {}
    for block, start, count in spans(program).astype(int):
        holders.setdefault((start, count), []).append(block)
    for (start, _), held in holders.items():
        (entry,) = [e for e in plan if e["offset"] <= start < e["offset"] + e["bytes"]]
        owners = [program.circuit.blocks[block] for block in held]
        if entry["purpose"] == "parameters":
            assert len({owner.parameter for owner in owners if not isinstance(owner, pcbench.ProductBlock)}) == 1
        elif entry["purpose"] == "values":
            assert len(owners) == 1
    end = max(entry["offset"] + entry["bytes"] for entry in plan if entry["purpose"] == "parameters")
    counted = {int(block) for block, start, _ in spans(program) if start < end}
    assert counted == {i for i, b in enumerate(program.circuit.blocks) if not isinstance(b, pcbench.ProductBlock)}


def test_the_view_gets_the_table_and_nothing_for_a_huge_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Caught(panes=["program"])
    try:
        answer, buffers = bench.ask("memory")
        assert (answer["ok"], buffers) == (True, [])
        bench.program = pcbench.compile(small())
        answer, (buffer,) = bench.ask("memory")
        assert answer["ok"]
        assert np.array_equal(np.frombuffer(buffer).reshape(-1, 3), spans(bench.program))
        monkeypatch.setattr(memory, "MOST_BLOCKS", 3)
        assert bench.ask("memory")[1] == [b""]
    finally:
        bench.close()
