"""Runs beside the dashboard's own: which are taken, what is sent of them, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench.errors import FileFormatError, OptionError
from pcbench_widgets import monitor
from tests.widgets.scripted_run import ScriptedRun
from tests.widgets.test_workbench import Caught, ask, small_circuit, wait_for


def ended(steps: int, **options: Any) -> ScriptedRun:
    run = ScriptedRun(steps, delay=0, **options)
    assert run.wait(10)
    return run


@pytest.fixture
def bench() -> Iterator[Caught]:
    opened = Caught(run=ended(10), panes=["training"])
    yield opened
    opened.close()


def told(bench: Caught) -> tuple[dict[str, Any], list[bytes]]:
    """The newest message on the other runs."""
    sent = [(m["body"], buffers) for m, buffers in bench.__dict__["sent"] if (m["type"], m.get("part")) == ("part", "training")]
    return sent[-1]


def test_curves_travel_with_names_and_states(bench: Caught) -> None:
    run = ended(40)
    bench.beside = {"K = 16": run, "none yet": ScriptedRun(1, delay=30)}
    assert bench.beside == ("K = 16", "none yet")
    body, buffers = told(bench)
    assert [(r["name"], r["state"], r["count"]) for r in body["runs"]] == [
        ("K = 16", "finished", 42),
        ("none yet", "running", 0),
    ]
    columns = body["runs"][0]["columns"]
    assert columns == ["samples_per_s", "train_bpd", "train_ll", "valid_bpd", "valid_ll"]
    last = np.frombuffer(buffers[1]).reshape(42, len(columns), 4)[:, columns.index("train_ll"), 3]
    assert last[~np.isnan(last)].tolist() == [e.metrics["train_ll"] for e in run.events() if "train_ll" in e.metrics]


def test_a_long_run_keeps_its_spike_in_a_small_message(bench: Caught) -> None:
    bench.beside = [ended(20_000, spike_at=12_345)]
    body, buffers = told(bench)
    (run,) = body["runs"]
    assert run["count"] <= 512
    least = np.frombuffer(buffers[1]).reshape(run["count"], -1, 4)[:, run["columns"].index("train_ll"), 0]
    assert np.nanmin(least) == -9999.0


def test_a_run_that_goes_on_is_followed_to_its_end(bench: Caught) -> None:
    other = ScriptedRun(30, delay=0.01)
    bench.beside = other
    assert bench.beside == ("run 1",)
    assert wait_for(lambda: told(bench)[0]["runs"][0]["state"] == "finished")
    body, buffers = told(bench)
    assert np.frombuffer(buffers[0]).reshape(-1, 5)[-1, 2] == 30
    rev = body["rev"]
    ask(bench, type="sync", have={"circuit": 0, "program": 0, "images": 0, "run": 1, "seq": 0, "log": 0, "parts": {}})
    assert told(bench)[0] == body, "a view that has nothing gets the same again"
    bench.forget()
    have = {"circuit": 0, "program": 0, "images": 0, "run": 1, "seq": 0, "log": 0, "parts": {"training": {"rev": rev}}}
    ask(bench, type="sync", have=have)
    assert [m for m in bench.of("part") if m["part"] == "training"] == [], "and one that has it all nothing"


def test_checkpoints_are_runs_too(bench: Caught, tmp_path: Path) -> None:
    data = torch.randint(0, 2, (60, 2), generator=torch.Generator().manual_seed(1))
    path = tmp_path / "monday.ckpt"
    run = pcbench.fit(small_circuit(), data, valid=data, epochs=3, batch_size=20, checkpoint=path)
    bench.beside = [path, str(path), run]
    assert bench.beside == ("monday", "monday (2)", "run 3")
    body, buffers = told(bench)
    assert [r["state"] for r in body["runs"]] == ["saved", "saved", "finished"]
    assert buffers[0] == buffers[2] == buffers[4]
    assert buffers[1] == buffers[3] == buffers[5]
    bench.beside = None
    assert told(bench)[0]["runs"] == []


def test_what_is_no_run_is_refused_by_name_and_changes_nothing(bench: Caught, tmp_path: Path) -> None:
    run = ended(2)
    bench.beside = [run]
    model = tmp_path / "model.pcb"
    pcbench.save(pcbench.Model.create(small_circuit(), seed=0), model)
    for bad, error, words in [
        ([run, 7], OptionError, "'run 2' is a int"),
        ({"a": None}, OptionError, "'a' is a NoneType"),
        ({1: run}, OptionError, "names that are texts, got 1"),
        (7, OptionError, "got int"),
        ([run] * 5, OptionError, "at most 4 runs.*got 5"),
        (model, FileFormatError, "model.pcb is a .*expected"),
        (tmp_path / "nothing.ckpt", FileNotFoundError, "nothing.ckpt"),
    ]:
        with pytest.raises(error, match=words):
            bench.beside = bad
    assert bench.beside == ("run 1",)


def test_monitor_takes_both() -> None:
    run, other = ended(2), ended(3)
    opened = monitor(run, beside=[other])
    assert (opened.panes, opened.beside) == (["training"], ("run 1",))
    opened.close()
    with pytest.raises(OptionError, match="at most 4"):
        monitor(run, beside=[other] * 5)
    with pytest.raises(OptionError, match=r"monitor\(\) takes a run, got Circuit"):
        monitor(small_circuit())  # type: ignore[arg-type]
