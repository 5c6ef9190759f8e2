"""What the dashboard says and takes beside curves: why a run is slow, its step size, snapshots. With a real run."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import pcbench
from pcbench.errors import DataError
from pcbench.learn import MiniBatchEM, Run
from pcbench.telemetry import GpuUse
from pcbench_widgets.feed import RunFeed
from tests.widgets.scripted_run import ScriptedRun
from tests.widgets.test_workbench import Caught, ask, small_circuit, wait_for


@pytest.fixture
def run() -> Iterator[Run]:
    data = torch.randint(0, 2, (60, 2), generator=torch.Generator().manual_seed(1))
    run = pcbench.fit(small_circuit(), data, epochs=1_000_000, batch_size=20, method=MiniBatchEM(0.1), background=True)
    yield run
    run.stop()
    assert run.wait(10)


@pytest.fixture
def bench(run: Run) -> Iterator[Caught]:
    opened = Caught(run=run)
    yield opened
    opened.close()


def status(bench: Caught) -> dict[str, object]:
    found: dict[str, object] = bench.of("status")[-1]["status"]
    return found


def test_the_sentence_comes_once_there_are_steps(bench: Caught, run: Run) -> None:
    assert wait_for(lambda: bool(status(bench)["why"]))
    assert re.fullmatch(r"[A-Z][A-Za-z ]+: .*\d.*\.", str(status(bench)["why"]))


def test_the_sentence_stands_for_a_second(run: Run) -> None:
    assert wait_for(lambda: run.step > 10)
    feed = RunFeed(1, run, lambda message: None, lambda: "")
    assert len({feed.status()["why"] for _ in range(20)}) == 1
    feed.close()


def test_step_size_from_the_view(bench: Caught, run: Run) -> None:
    assert wait_for(lambda: status(bench)["stepSize"] == 0.1)
    assert status(bench)["byHand"] is False
    ask(bench, type="command", id=1, op="stepSize", value=" 0.05 ")
    assert run.step_size == 0.05
    assert wait_for(lambda: (status(bench)["stepSize"], status(bench)["byHand"]) == (0.05, True))
    logged = [entry["text"] for message in bench.of("log") for entry in message["entries"]]
    assert wait_for(lambda: any("step size: 0.05 from step" in e.text for e in run.events())), logged
    ask(bench, type="command", id=2, op="stepSize", value="")
    assert (run.step_size, run.step_size_by_hand) == (0.1, False)
    assert [(ack["id"], ack["ok"]) for ack in bench.of("ack")] == [(1, True), (2, True)]


@pytest.mark.parametrize("value", ["7", "0", "-0.1", "nan", "inf", "fast"])
def test_a_step_size_that_makes_no_step_is_refused(bench: Caught, run: Run, value: str) -> None:
    ask(bench, type="command", id=1, op="stepSize", value=value)
    (ack,) = bench.of("ack")
    assert ack["ok"] is False
    assert re.match(r"OptionError: step_size .*must be a number.*, got ", ack["text"])
    assert run.step_size == 0.1


def test_a_snapshot_says_where_it_is(bench: Caught, run: Run, tmp_path: Path) -> None:
    assert status(bench)["snapshot"] == {"state": "", "text": ""}
    ask(bench, type="command", id=1, op="snapshot", value=str(tmp_path / "now.pcb"))
    assert wait_for(lambda: status(bench)["snapshot"] == {"state": "done", "text": f"saved to {tmp_path / 'now.pcb'}"})
    assert isinstance(pcbench.load(tmp_path / "now.pcb"), pcbench.Model)
    ask(bench, type="command", id=2, op="snapshot", value=str(tmp_path / "nowhere" / "now.pcb"))
    assert wait_for(lambda: "there is no folder" in str(status(bench)["snapshot"]))
    assert run.state == "running"


def test_stop_does_not_wait_for_a_snapshot(bench: Caught, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = threading.Event()
    monkeypatch.setattr(Run, "snapshot", lambda self, path: slow.wait(10) and "there")
    ask(bench, type="command", id=1, op="snapshot", value="")
    ask(bench, type="command", id=2, op="snapshot", value="")  # one at a time
    ask(bench, type="command", id=3, op="stop")
    assert run.wait(5)
    assert [ack["ok"] for ack in bench.of("ack")] == [True, False, True]
    assert wait_for(lambda: status(bench)["snapshot"] == {"state": "writing", "text": "writing …"})
    slow.set()
    assert wait_for(lambda: status(bench)["snapshot"] == {"state": "done", "text": "saved to there"})


def test_a_run_without_them_is_followed_all_the_same(bench: Caught) -> None:
    other = ScriptedRun(total_steps=10, delay=0.001)
    bench.run = other
    other.wait(5)
    found = status(bench)
    assert (found["why"], found["stepSize"], found["snapshot"]) == ("", None, None)
    for id, op in enumerate(("stepSize", "snapshot")):
        ask(bench, type="command", id=id, op=op, value="0.1")
    assert [ack["text"] for ack in bench.of("ack")] == [
        "OptionError: a ScriptedRun has no step_size to change",
        "OptionError: a ScriptedRun takes no snapshots",
    ]


# ---- the machine, and what goes wrong --------------------------------------------------------------------------------
def test_measured_estimated_and_unknown_are_told_apart(bench: Caught) -> None:
    measured = GpuUse(0.37, 0.31, 0.9, 0.25, 0.55, "measured", "GPU performance monitor")
    for use in (measured, GpuUse.estimated(0.2, 0.1, "share of the roofline"), GpuUse.none("no GPU")):
        run = ScriptedRun(total_steps=3, delay=0.001, use=use)
        bench.run = run
        assert run.wait(5)
        assert wait_for(lambda: status(bench)["state"] == "finished")
        sentence = use.reason[0].upper() + use.reason[1:] + "."
        assert status(bench)["machine"] == {"device": "", "source": use.source, "reason": sentence}
        columns = {name for message in bench.of("points") if message["run"] == bench._runs for name in message["columns"]}
        assert {name for name in columns if name.startswith(("gpu_", "roofline_"))} == set(use.metrics())


def test_a_real_run_says_where_it_computes_and_why_nothing_is_measured(bench: Caught) -> None:
    machine = status(bench)["machine"]
    assert isinstance(machine, dict)
    assert machine["device"] == "cpu"
    assert wait_for(lambda: "'cpu', which has no Tensor Cores" in status(bench)["machine"]["reason"])  # type: ignore[index]
    assert status(bench)["machine"]["source"] == "estimated"  # type: ignore[index]


def test_training_that_raises_is_said() -> None:
    """A row of probability zero, at the first step: nothing but the error is there to be shown."""
    model = pcbench.Model.create(small_circuit(), seed=0)
    leaves = {block.parameter for block in model.circuit.blocks if isinstance(block, pcbench.InputBlock)}
    values = {p: torch.zeros_like(v) if p in leaves else v for p, v in model.values().items()}  # a 1 is impossible
    model = pcbench.Model.from_values(model.program, values)
    run = pcbench.fit(model, torch.ones(4, 2, dtype=torch.int64), method="em", background=True)
    with pytest.raises(DataError):
        run.wait(10)
    opened = Caught(run=run)
    assert wait_for(lambda: bool(opened.of("status")))
    assert status(opened)["state"] == "failed"
    assert re.match(r"DataError: .*row 0", str(status(opened)["error"]))
    assert [entry["kind"] for message in opened.of("log") for entry in message["entries"]].count("error") == 1
    opened.close()


def test_without_rows_there_is_no_run_to_watch() -> None:
    with pytest.raises(DataError, match="training data: the batch is empty"):
        pcbench.fit(small_circuit(), torch.zeros(0, 2, dtype=torch.int64), background=True)
