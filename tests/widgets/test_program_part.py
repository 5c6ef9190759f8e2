"""Python's half of the compiled layout, with the messages caught before they reach Jupyter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench import Bernoulli, BlockSparse, Circuit, InputBlock, Model, ProductBlock, SumBlock, Variables
from pcbench.errors import OptionError
from pcbench.execute import em_step
from pcbench.execute.weight_map import Tile
from pcbench_widgets import Workbench, layout
from pcbench_widgets.program.kernels import KernelJobs
from pcbench_widgets.program.part import ProgramPart
from pcbench_widgets.program.shades import shades


def small() -> Circuit:
    """Two sums of eight nodes over leaves in tiles of four, multiplied and mixed."""
    names = Variables.binary(2)
    rows = torch.arange(2)
    sums = [SumBlock([InputBlock(v, Bernoulli(), 8)], 8, edges=BlockSparse(4, rows, rows), name=f"sum {v.name}") for v in names]
    return Circuit([SumBlock([ProductBlock(sums, name="pair")], 1, name="root")], variables=names)


class Caught(Workbench):
    """Keeps what it would send."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def ask(self, kind: str, **args: Any) -> tuple[dict[str, Any], list[bytes]]:
        number = len(self.__dict__.setdefault("sent", []))
        self._handle_custom_msg({"type": "part", "part": "program", "body": {"kind": kind, "ask": number, **args}}, [])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for content, buffers in list(self.__dict__["sent"]):
                if content["type"] == "part" and content["body"].get("ask") == number:
                    return content["body"], buffers
            time.sleep(0.01)
        raise AssertionError(f"{kind} was not answered")

    def states(self, kind: str = "state") -> list[dict[str, Any]]:
        sent = list(self.__dict__.get("sent", []))
        return [c["body"] for c, _ in sent if c["type"] == "part" and c["body"]["kind"] == kind]


def wait_for(condition: Callable[[], bool], limit: float = 60.0) -> bool:
    deadline = time.monotonic() + limit
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def bench() -> Iterator[Caught]:
    opened = Caught(panes=["program"])
    opened.model = Model.create(pcbench.compile(small()), seed=3)
    yield opened
    opened.close()


def test_layout_takes_a_program_or_a_model_and_nothing_else() -> None:
    program = pcbench.compile(small())
    model = Model.create(program)
    assert layout(program).model is None
    assert layout(program).program is program
    shown = layout(model, torch.tensor([[0, 1], [1, 1]]))
    assert (shown.model, shown.program) == (model, program)
    assert shown.evidence is not None
    assert len(shown.evidence) == 2
    with pytest.raises(OptionError, match=r"takes a Program or a Model, got Circuit; pcbench\.compile\(circuit\) gives one"):
        layout(small())  # type: ignore[arg-type]


def test_a_map_is_opened_and_its_tiles_are_bytes(bench: Caught) -> None:
    told, _ = bench.ask("open", layer=0, block=1)
    assert told["ok"]
    assert (told["rows"], told["cols"], told["levels"], told["edges"], told["padding"]) == (8, 8, 1, 32, 32)
    assert told["labels"] == ["sum x0", "sum x1"]
    occupied, buffers = bench.ask("tiles", layer=0, block=1, mode="occupancy", tiles=[[0, 0, 0]])
    assert occupied["tiles"] == [[0, 0, 0, 8, 8]]
    expected = np.kron(np.eye(2), np.full((4, 4), 255)).astype(np.uint8)
    assert np.frombuffer(buffers[0], np.uint8).reshape(8, 8).tolist() == expected.tolist()
    _, buffers = bench.ask("tiles", layer=0, block=1, mode="padding", tiles=[[0, 0, 0]])
    assert np.frombuffer(buffers[0], np.uint8).reshape(8, 8).tolist() == (255 - expected).tolist()


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"layer": 7, "block": 0, "mode": "occupancy", "tiles": [[0, 0, 0]]}, "layer must lie in"),
        ({"layer": 0, "block": 2, "mode": "occupancy", "tiles": [[0, 0, 0]]}, "block must lie in 0…1, got 2"),
        ({"layer": 0, "block": 0, "mode": "colour", "tiles": [[0, 0, 0]]}, "mode 'colour': expected one of occupancy"),
        ({"layer": 0, "block": 0, "mode": "occupancy", "tiles": [[0, 0, 1]]}, "lies outside level 0"),
    ],
)
def test_what_cannot_be_shown_is_answered_with_the_reason(bench: Caught, args: dict[str, Any], reason: str) -> None:
    told, buffers = bench.ask("tiles", **args)
    assert told["ok"] is False
    assert reason in told["text"]
    assert not buffers


def test_flows_with_nothing_observed_are_how_often_a_sample_takes_an_edge(bench: Caught) -> None:
    model = bench.model
    assert model is not None
    numbers, buffers = bench.ask("region", layer=0, block=0, mode="flow", level=0, row=0, col=0, height=8, width=8)
    assert numbers["values"] == "flow"
    flow = np.frombuffer(buffers[0]).reshape(3, 8, 8)[2]
    values = {b.name: model.values()[b.parameter].double().numpy() for b in model.circuit.blocks if isinstance(b, SumBlock)}
    dense = np.zeros((8, 8))
    for k in range(2):
        dense[4 * k : 4 * k + 4, 4 * k : 4 * k + 4] = values["sum x0"][k]
    assert flow == pytest.approx(values["root"].reshape(8, 1) * dense, rel=1e-5)
    assert flow.sum() == pytest.approx(1.0, rel=1e-5)


def test_flows_of_data_are_summed_up_over_batches(bench: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randint(0, 2, (50, 2), generator=torch.Generator().manual_seed(0))
    bench.evidence = pcbench.Evidence(rows)
    place = {"layer": 0, "block": 1, "mode": "flow", "level": 0, "row": 0, "col": 0, "height": 8, "width": 8}
    at_once = np.frombuffer(bench.ask("region", **place)[1][0])
    monkeypatch.setattr("pcbench_widgets.program.part._ROWS", 7)
    bench.evidence = pcbench.Evidence(rows)
    in_parts = np.frombuffer(bench.ask("region", **place)[1][0])
    assert in_parts == pytest.approx(at_once, rel=1e-5)
    assert at_once.reshape(3, 8, 8)[2].sum() == pytest.approx(50, rel=1e-5), "each row passes the block once"


def test_no_rows_have_no_flow(bench: Caught) -> None:
    bench.evidence = torch.zeros(0, 2, dtype=torch.long)
    assert bench.states()[-1]["flows"] == "0 rows"
    told, buffers = bench.ask("region", layer=0, block=0, mode="flow", level=0, row=0, col=0, height=8, width=8)
    assert told["ok"]
    assert not np.frombuffer(buffers[0]).reshape(3, 8, 8)[2].any()


def test_a_circuit_of_one_node_has_a_layout() -> None:
    names = Variables.binary(1)
    alone = Model.create(pcbench.compile(Circuit([InputBlock(names[0], Bernoulli(), 1)], variables=names)))
    bench = Caught(panes=["program"])
    bench.model = alone
    told, _ = bench.ask("open", layer=0, block=0)
    assert told["text"] == "layer 0 is of input blocks; only sum layers have weights"
    other, _ = bench.ask("compare", tile=16, precision="float32")
    assert other["totals"]["tile_padding"] == 0
    assert "layer 0" in bench._repr_mimebundle_()[0]["image/svg+xml"]
    bench.close()


def test_a_step_changes_the_weights_and_nothing_else(bench: Caught) -> None:
    model = bench.model
    assert model is not None
    kinds = ("occupancy", "weight", "padding")
    before = {mode: bench.ask("tiles", layer=0, block=0, mode=mode, tiles=[[0, 0, 0]])[1] for mode in kinds}
    rev = bench.states()[-1]["rev"]
    bench.model = em_step(model, torch.tensor([[1, 1], [0, 1], [1, 1]])).model
    assert bench.states()[-1]["rev"] == rev + 1
    after = {mode: bench.ask("tiles", layer=0, block=0, mode=mode, tiles=[[0, 0, 0]])[1] for mode in kinds}
    assert [mode for mode in kinds if before[mode] != after[mode]] == ["weight"]


def test_another_program_forgets_the_model_and_says_what_is_lacking(bench: Caught) -> None:
    model = bench.model
    bench.program = pcbench.compile(small())
    assert bench.model is None
    state = bench.states()[-1]
    assert state["weights"] is False
    assert "bench.model = model" in state["why"]
    told, _ = bench.ask("tiles", layer=0, block=0, mode="weight", tiles=[[0, 0, 0]])
    assert "No weights" in told["text"]
    part = bench._parts["program"]
    assert isinstance(part, ProgramPart)
    with pytest.raises(OptionError, match="belongs to another program"):
        part.model = model


def test_a_runs_newest_weights_are_followed(bench: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bench.model
    assert model is not None
    monkeypatch.setattr("pcbench_widgets.program.part._FOLLOW", 0.0)
    bench.program = model.program
    data = torch.randint(0, 2, (64, 2), generator=torch.Generator().manual_seed(1))
    run = pcbench.fit(model, data, epochs=1, background=True)
    bench.run = run
    assert run.wait(30)
    assert wait_for(lambda: bench.model is not None and bench.model is not model, 5)


def test_a_pin_names_the_sum_and_the_child_of_the_element(bench: Caught) -> None:
    told, _ = bench.ask("pin", layer=1, block=0, row=0, col=5)
    circuit = bench.program.circuit
    assert [circuit.blocks[i].name for i in told["blocks"]] == ["root", "pair"]
    assert told["text"] == "node 0 of root ← element 5 of pair"


def test_the_copied_source_is_what_it_says(bench: Caught) -> None:
    told, _ = bench.ask("source", at={"layer": 0, "block": 1, "row": 2, "col": 3})
    names: dict[str, Any] = {"circuit": bench.program.circuit}
    exec(told["text"], names)
    assert names["program"].describe() == bench.program.describe()
    weights = names["model"].values()[next(b for b in bench.program.circuit.blocks if b.name == "sum x1").parameter]
    assert names["found"].cell(2, 3) == pytest.approx(float(weights[0, 2, 3]))


def test_a_comparison_is_what_the_compiler_says(bench: Caught) -> None:
    told, _ = bench.ask("compare", tile=16, precision="float64")
    expected = pcbench.compile(bench.program.circuit, tile=16, dtype=torch.float64).describe()
    assert (told["tile"], told["precision"]) == (16, "float64")
    for key, value in told["totals"].items():
        assert value == expected["totals"][key]
    assert [layer["tile_padding"] for layer in told["layers"]] == [layer["tile_padding"] for layer in expected["layers"]]
    wrong, _ = bench.ask("compare", tile=16, precision="float8")
    assert "precision 'float8': expected one of float32, float64, fast, exact" in wrong["text"]


def test_a_view_that_has_the_state_gets_nothing_twice(bench: Caught) -> None:
    part = bench._parts["program"]
    rev, before = bench.states()[-1]["rev"], len(bench.states())
    part.sync({"rev": rev})
    assert len(bench.states()) == before
    part.sync({})
    assert len(bench.states()) == before + 1


def test_shades_keep_zero_for_nothing() -> None:
    edges, area = np.array([[0.0, 1.0, 2.0, 4.0]]), np.full((1, 4), 4.0)
    tile = Tile(edges, area, np.array([[0.0, 0.0, 1e-6, 2.0]]))
    assert shades(tile, "occupancy", 0.0, False).tolist() == [[0, 64, 128, 255]]
    assert shades(tile, "padding", 0.0, True).tolist() == [[255, 192, 128, 0]]
    assert shades(tile, "padding", 0.0, False).tolist() == [[0, 0, 0, 0]]
    # No edge; a weight of zero; one below the scale; the largest.
    assert shades(tile, "weight", 0.5, False).tolist() == [[0, 1, 1, 255]]


def test_kernels_are_compiled_beside_and_can_be_given_up() -> None:
    states: list[dict[str, Any]] = []
    jobs = KernelJobs(states.append)
    circuit = pcbench.structures.hmm(latents=16, variables=Variables.finite(2, 4))
    jobs.start(circuit, 0, 80, "fast")
    jobs.stop()
    assert wait_for(lambda: bool(states) and states[-1]["done"])
    assert states[-1]["error"] == "cancelled"
    states.clear()
    jobs.start(circuit, 0, 75, "fast")
    assert wait_for(lambda: bool(states) and states[-1]["done"])
    assert states[-1]["error"] == "target sm_75: expected one of sm_80, sm_90, sm_100"
    json.dumps(states)


def test_the_still_picture_shows_the_layers(bench: Caught) -> None:
    data, _ = bench._repr_mimebundle_()
    picture = data["image/svg+xml"]
    assert picture.startswith("<svg")
    assert "layer 0" in picture
    assert "dense" in picture
    assert "50 %" in picture
