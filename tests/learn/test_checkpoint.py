"""Checkpoints: going on as if nothing had happened, and files that survive whatever happens while they are written."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from pcbench.errors import DataError, FileFormatError, OptionError
from pcbench.io import load_state, save_state
from pcbench.learn import EM, Cosine, Gradient, MiniBatchEM, Run, fit, saved_events

from .small import LEAVES, chain, rows

METHODS = [EM(), MiniBatchEM(Cosine(0.4, 0.05), pseudocount=0.02), Gradient(learning_rate=Cosine(0.3, 0.05))]


def assert_same(a: Run, b: Run) -> None:
    for model, other in ((a.model, b.model), (a.best_model, b.best_model)):
        for v, w in zip(model.values().values(), other.values().values(), strict=True):
            assert torch.equal(v, w)
    for metric in ("train_ll", "valid_ll", "step_size", "epoch_train_ll"):
        for x, y in zip(a.curve(metric), b.curve(metric), strict=True):
            assert x.tolist() == y.tolist()
    assert (a.step, a.epoch, a.state, a.best_valid_ll) == (b.step, b.epoch, b.state, b.best_valid_ll)


def stop_at(run_of: list[Run], kind: str, count: int):
    seen = []

    def callback(event) -> None:
        if event.kind == kind:
            seen.append(event)
            if len(seen) == count:
                run_of[0].stop()

    return callback


def options(leaf: str, method) -> dict:
    return {
        "data": rows(130, leaf),
        "valid": rows(40, leaf, seed=9),
        "epochs": 6,
        "batch_size": 32,
        "method": method,
        "seed": 3,
    }


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_resumed_run_is_bit_identical(tmp_path, leaf, method, dtype):
    circuit, given = chain(leaf), options(leaf, method)
    whole = fit(circuit, dtype=dtype, **given)
    path = tmp_path / "run.ckpt"
    half = fit(circuit, dtype=dtype, checkpoint=path, on_event=_interrupt_after_epoch(3), **given)
    assert half.epoch == 3
    resumed = fit(chain(leaf), dtype=dtype, resume=path, **given)
    assert_same(whole, resumed)


def _interrupt_after_epoch(epoch: int):
    def callback(event) -> None:
        if event.kind == "epoch" and event.epoch == epoch:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("count", [1, 7, 12])
def test_stopped_in_the_middle_of_an_epoch(tmp_path, count):
    circuit, given = chain(), options("bernoulli", METHODS[1])
    whole = fit(circuit, **given)
    path, runs, ready = tmp_path / "run.ckpt", [], threading.Event()  # a fast run might be over before there is a handle
    hold = stop_at(runs, "step", count)
    half = fit(circuit, checkpoint=path, background=True, on_event=lambda e: (ready.wait(5), hold(e)), **given)
    runs.append(half)
    ready.set()
    half.wait(10)
    assert half.step == count
    resumed = fit(circuit, resume=path, checkpoint=path, **given)
    assert_same(whole, resumed)
    again = fit(circuit, resume=path, **given)  # already at its end: nothing is left to do
    assert again.step == whole.step
    assert_same(whole, again)


def test_more_epochs(tmp_path):
    circuit, path = chain(), tmp_path / "run.ckpt"
    given = options("bernoulli", EM())
    fit(circuit, checkpoint=path, **{**given, "epochs": 2})
    assert_same(fit(circuit, **given), fit(circuit, resume=path, **given))


def test_patience_goes_on_counting(tmp_path, monkeypatch):
    import pcbench.learn.trainer as trainer

    circuit, path = chain(), tmp_path / "run.ckpt"
    given = options("bernoulli", EM())
    script = iter([-3.0, -4.0, -4.0, -4.0, -4.0])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda self, model, valid: next(script))
    fit(circuit, checkpoint=path, **{**given, "epochs": 3})
    run = fit(circuit, resume=path, patience=3, **given)
    assert run.epoch == 4
    assert run.best_valid_ll == -3.0


def test_a_continuation_must_be_one(tmp_path):
    circuit, path = chain(), tmp_path / "run.ckpt"
    given = options("bernoulli", EM())
    fit(circuit, checkpoint=path, **{**given, "epochs": 1})
    for error, match, change in [
        (OptionError, "batch_size=32, but now batch_size=16", {"batch_size": 16}),
        (OptionError, "seed=3, but now seed=4", {"seed": 4}),
        (OptionError, "method=", {"method": MiniBatchEM()}),
        (DataError, "other training data", {"data": rows(130, seed=1)}),
        (DataError, "other validation data", {"valid": None}),
        (OptionError, "another circuit", {"model": chain(nodes=3)}),
    ]:
        with pytest.raises(error, match=match):
            fit(**{"model": circuit, "resume": path, **given, **change})


def test_files_that_are_no_checkpoints(tmp_path):
    circuit, path = chain(), tmp_path / "run.ckpt"
    given = options("bernoulli", EM())
    fit(circuit, checkpoint=path, **{**given, "epochs": 1})
    tensors, meta = load_state(path)
    cut, other, holed = tmp_path / "cut", tmp_path / "other", tmp_path / "holed"
    cut.write_bytes(path.read_bytes()[:-100])
    save_state(other, tensors, {"kind": "shopping list"})
    save_state(holed, {k: v for k, v in tensors.items() if k != "model.3"}, meta)
    bad = {**tensors, "model.0": tensors["model.0"] * 2 - 3}
    save_state(tmp_path / "bad", bad, meta)
    for name in ("cut", "other", "holed", "bad"):
        with pytest.raises(FileFormatError, match=name):
            fit(circuit, resume=tmp_path / name, **given)
    with pytest.raises(FileNotFoundError):
        fit(circuit, resume=tmp_path / "none", **given)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupt_in_the_middle_of_a_save_leaves_the_old_file(tmp_path, monkeypatch, error):
    circuit, path = chain(), tmp_path / "run.ckpt"
    given = options("bernoulli", METHODS[1])
    fit(circuit, checkpoint=path, on_event=_interrupt_after_epoch(2), **given)
    old = path.read_bytes()

    def refuse(*_):
        raise error("now")

    monkeypatch.setattr(os, "replace", refuse)
    run = fit(circuit, resume=path, checkpoint=path, **given)
    assert run.state == "finished"
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["run.ckpt"]
    if error is OSError:
        assert run.epoch == 6
        assert any(e.kind == "error" and "could not be written" in e.text for e in run.events())
    else:
        assert run.epoch == 3
    assert_same(fit(circuit, **given), fit(circuit, resume=path, **given))


def test_what_a_run_reported_is_read_without_its_circuit(tmp_path):
    path = tmp_path / "run.ckpt"
    run = fit(chain(), checkpoint=path, **options("bernoulli", METHODS[1]))
    saved = saved_events(path)
    assert saved == run.events()[: len(saved)]
    assert sum(event.kind == "step" for event in saved) == run.step
    other = tmp_path / "other.ckpt"
    save_state(other, {}, {"kind": "something else"})
    with pytest.raises(FileFormatError, match="no training checkpoint but 'something else'"):
        saved_events(other)
    tensors, meta = load_state(path)
    for broken in ("events.place", "events.time", "events.metrics"):
        save_state(other, {name: tensor for name, tensor in tensors.items() if name != broken}, meta)
        with pytest.raises(FileFormatError, match="corrupt"):
            saved_events(other)
    save_state(other, {**tensors, "events.time": tensors["events.time"][:-1]}, meta)
    with pytest.raises(FileFormatError, match="corrupt"):
        saved_events(other)
    with pytest.raises(FileNotFoundError):
        saved_events(tmp_path / "nothing.ckpt")
