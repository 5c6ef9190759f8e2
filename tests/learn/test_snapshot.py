"""Models of a run that goes on, in files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

import pcbench
from pcbench.errors import OptionError
from pcbench.io import load_stored
from pcbench.learn import MiniBatchEM, fit

from .small import chain, rows


@pytest.fixture
def run():
    run = fit(chain(), rows(256), epochs=1_000_000, batch_size=32, method=MiniBatchEM(0.1), background=True)
    yield run
    run.stop()
    assert run.wait(10)


def same(a, b) -> bool:
    return all(torch.equal(v, w) for v, w in zip(a.values().values(), b.values().values(), strict=True))


def test_it_is_the_model_of_the_last_complete_step(run, tmp_path):
    run.pause(wait=True)
    where = run.snapshot(tmp_path / "now.pcb")
    assert where == tmp_path / "now.pcb"
    assert same(pcbench.load(where), run.model)
    assert load_stored(where).notes == {"step": run.step, "epoch": run.epoch}


def test_the_run_goes_on_and_changes_no_snapshot(run, tmp_path):
    first = run.snapshot(tmp_path / "a.pcb")
    kept, stood = pcbench.load(first), load_stored(first).notes["step"]
    deadline = time.monotonic() + 10
    while run.step < stood + 20:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert run.state == "running"
    assert same(pcbench.load(first), kept)
    run.snapshot(tmp_path / "a.pcb")  # the same name: replaced as a whole
    assert load_stored(first).notes["step"] >= stood + 20
    assert not same(pcbench.load(first), kept)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pcb"], "nothing half written is left"


def test_the_step_and_the_numbers_belong_together(run, tmp_path):
    """Snapshots in the middle of steps: each is what a run of so many steps, made alone, ends with."""
    while run.step < 1:
        time.sleep(0.001)
    for k in range(5):
        where = run.snapshot(tmp_path / f"{k}.pcb")
        step = load_stored(where).notes["step"]
        alone = fit(chain(), rows(256), epochs=step // 8 + 1, batch_size=32, method=MiniBatchEM(0.1), on_event=stop_after(step))
        assert alone.step == step
        assert same(pcbench.load(where), alone.model)


def stop_after(step: int):
    def callback(event):
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    return callback


def test_a_name_of_its_own_never_replaces_a_file(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.pause(wait=True)
    names = [run.snapshot().name for _ in range(3)]
    step = run.step
    assert names == [f"snapshot-step-{step}.pcb", f"snapshot-step-{step}-2.pcb", f"snapshot-step-{step}-3.pcb"]
    assert run.snapshot().parent == Path.cwd()


def test_names_that_cannot_be(run, tmp_path):
    (tmp_path / "folder.pcb").mkdir()
    for name, match in (
        (tmp_path / "model.txt", r"ends in \.pcb, got '.*model\.txt'"),
        (tmp_path / "model", r"ends in \.pcb"),
        (tmp_path / "nowhere" / "model.pcb", r"there is no folder '.*nowhere'"),
        (tmp_path / "folder.pcb", "is a folder"),
    ):
        with pytest.raises(OptionError, match=match):
            run.snapshot(name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.pcb"]
    assert run.state == "running"


def test_a_disk_that_refuses_does_not_cost_the_run(run, tmp_path, monkeypatch):
    from pcbench.io import container

    old = run.snapshot(tmp_path / "a.pcb")
    before = old.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(container.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        run.snapshot(old)
    monkeypatch.undo()
    assert old.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pcb"]
    assert run.state == "running"


def test_after_the_end(tmp_path):
    run = fit(chain(), rows(64), epochs=2, batch_size=32)
    assert same(pcbench.load(run.snapshot(tmp_path / "end.pcb")), run.model)
