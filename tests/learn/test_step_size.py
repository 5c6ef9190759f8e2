"""Step sizes that are changed by hand while a run goes on."""

from __future__ import annotations

import math
import threading

import pytest
import torch

from pcbench import Model
from pcbench.errors import FileFormatError, OptionError, PCBenchError
from pcbench.io import load_state, save_state
from pcbench.learn import EM, Cosine, Gradient, MiniBatchEM, fit, mini_batch_em

from .small import chain, rows

METHODS = [EM(), MiniBatchEM(Cosine(0.4, 0.05)), Gradient(learning_rate=Cosine(0.3, 0.05))]


def changed(changes, **options):
    """A run whose step size is set after steps, or which is stopped then; it stands until there is a handle to it."""
    ready, runs = threading.Event(), []

    def callback(event):
        ready.wait(10)
        if event.kind == "step" and event.step in changes:
            value = changes[event.step]
            runs[0].stop() if value == "stop" else setattr(runs[0], "step_size", value)

    run = fit(background=True, on_event=callback, **options)
    runs.append(run)
    ready.set()
    run.wait(30)
    return run


def used(run):
    return run.curve("step_size")[1].tolist()


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_it_holds_from_the_next_step_until_it_is_taken_back(method):
    given = {"model": chain(), "data": rows(90), "epochs": 9 if method == EM() else 3, "batch_size": 30, "method": method}
    run = changed({2: 0.07, 4: 0.07, 5: 0.5, 6: None}, **given)  # the same again is no change
    own = [method.step_size(step, 9) for step in range(9)]
    assert used(run) == [*own[:2], 0.07, 0.07, 0.07, 0.5, *own[6:]]
    told = [(e.step, e.text) for e in run.events() if e.text.startswith("step size: ")]
    assert [step for step, _ in told] == [2, 5, 6]
    assert told[0][1] == f"step size: 0.07 from step 3 on, set by hand; the method's would be {own[2]:g}"
    assert told[2][1] == f"step size: the method's own from step 7 on, {own[6]:g} now"
    assert run.step_size_by_hand is False


def test_the_step_is_really_made_with_it():
    data = rows(30)
    start = Model.create(chain(), seed=3)
    run = changed({1: 0.9}, model=start, data=data, epochs=2, batch_size=30, method=MiniBatchEM(0.1, pseudocount=0.0))
    expected = start
    for step_size in (0.1, 0.9):
        expected = mini_batch_em(expected, data, step_size).model
    for got, wanted in zip(run.model.values().values(), expected.values().values(), strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("leaf", ["categorical", "gaussian"])
def test_full_batch_em_never_falls_with_a_shorter_step_either(leaf):
    given = {
        "model": chain(leaf),
        "data": rows(120, leaf),
        "epochs": 25,
        "batch_size": 50,
        "method": EM(),
        "dtype": torch.float64,
    }
    run = changed({3: 0.3, 10: 0.05, 18: 1.0}, **given)
    assert set(used(run)) == {1.0, 0.3, 0.05}
    likelihood = run.curve("train_ll")[1]
    assert (likelihood[1:] >= likelihood[:-1] - 1e-10).all()
    assert likelihood[10] > likelihood[3] + 1e-6


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_it_survives_a_break(tmp_path, method):
    """A run that is changed, stopped and resumed goes on as one that was changed and never stopped."""
    path = tmp_path / "run.ckpt"
    given = {"data": rows(90), "valid": rows(30, seed=5), "batch_size": 30, "method": method}
    given["epochs"] = 9 if method == EM() else 3
    whole = changed({2: 0.07}, model=chain(), **given)
    half = changed({2: 0.07, 4: "stop"}, model=chain(), checkpoint=path, **given)
    assert half.step == 4
    rest = fit(chain(), resume=path, **given)
    assert used(rest) == used(whole)
    assert rest.step_size_by_hand
    for got, wanted in zip(rest.model.values().values(), whole.model.values().values(), strict=True):
        assert torch.equal(got, wanted)
    texts = [e.text for e in rest.events() if e.text.startswith("step size: 0.07")]
    assert len(texts) == 2, "once when it was set, once when the run went on with it"
    assert "before the break" in texts[1]


def test_a_change_while_paused_and_then_stopped_is_kept(tmp_path):
    path = tmp_path / "run.ckpt"
    given = {"data": rows(90), "epochs": 1000, "batch_size": 30, "method": MiniBatchEM(0.1)}
    run = fit(chain(), checkpoint=path, background=True, **given)
    run.pause(wait=True)
    run.step_size = 0.25
    assert (run.step_size, run.step_size_by_hand) == (0.25, True)  # at once, though no step was made with it
    run.stop()
    run.wait(10)
    rest = fit(chain(), resume=path, background=True, **given)
    assert rest.step_size == 0.25
    rest.stop()
    rest.wait(10)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_values_that_make_no_step_are_refused(method):
    run = fit(chain(), rows(90), epochs=100_000, batch_size=30, method=method, background=True)
    run.pause(wait=True)
    own = run.step_size
    for bad in (0, -0.1, math.nan, math.inf, True):
        with pytest.raises(OptionError, match=f"step_size of '{method.name}' must be a"):
            run.step_size = bad
    if not isinstance(method, Gradient):
        with pytest.raises(OptionError, match=r"\(0, 1\], got 1.5"):
            run.step_size = 1.5
    with pytest.raises(OptionError, match=r"got '0\.1'"):
        method.checked_step_size("0.1")
    assert (run.step_size, run.step_size_by_hand) == (own, False)
    run.stop()
    run.wait(10)
    with pytest.raises(PCBenchError, match="finished"):
        run.step_size = 0.1


def test_checkpoints_without_one_or_with_a_bad_one(tmp_path):
    path = tmp_path / "run.ckpt"
    given = {"data": rows(90), "batch_size": 30, "method": MiniBatchEM(0.1)}
    fit(chain(), epochs=1, checkpoint=path, **given)
    tensors, meta = load_state(path)
    assert meta["position"].pop("step_size") is None
    save_state(path, tensors, meta)  # as older versions wrote it
    assert fit(chain(), epochs=2, resume=path, **given).step == 6
    meta["position"]["step_size"] = "fast"
    save_state(path, tensors, meta)
    with pytest.raises(FileFormatError, match="corrupt: step_size"):
        fit(chain(), epochs=2, resume=path, **given)
