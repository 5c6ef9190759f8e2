"""The loop: what it reports, early stopping, interrupts, and refusals before anything starts."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from pcbench import Evidence, Model, compile
from pcbench.errors import DataError, OptionError
from pcbench.execute import forward
from pcbench.learn import EM, Constant, Cosine, Event, MiniBatchEM, fit

from .small import chain, rows


def mean_ll(model: Model, data) -> float:
    return float(forward(model, data).mean())


def test_full_batch_em_is_monotone_and_reported():
    data, valid = rows(200), rows(80, seed=1)
    run = fit(chain(), data, valid=valid, epochs=15, method="em", batch_size=64, dtype=torch.float64)
    assert run.state == "finished"
    assert run.error is None
    assert (run.step, run.epoch, run.total_steps) == (15, 15, 15)
    steps, train = run.curve("train_ll")
    assert steps.tolist() == list(range(1, 16))
    assert (np.diff(train) >= -1e-9).all()
    valid_steps, curve = run.curve("valid_ll")
    assert len(valid_steps) == 15
    assert curve[-1] == pytest.approx(mean_ll(run.model, valid), abs=1e-12)
    bits = run.curve("valid_bpd")[1][-1]
    assert bits == pytest.approx(-curve[-1] / (6 * math.log(2)))
    assert run.best_valid_ll == curve.max()
    assert mean_ll(run.best_model, valid) == pytest.approx(curve.max(), abs=1e-12)
    assert run.wait() is True


def test_mini_batch_em_learns_and_follows_its_schedule():
    data = rows(500)
    schedule = Cosine(0.5, 0.05)
    run = fit(chain(), data, epochs=6, batch_size=100, method=MiniBatchEM(schedule, pseudocount=0.05))
    assert run.step == run.total_steps == 30
    assert run.curve("step_size")[1].tolist() == [schedule(s, 30) for s in range(30)]
    assert mean_ll(run.model, data) > mean_ll(Model.create(chain()), data) + 0.3
    assert len(run.curve("epoch_train_ll")[0]) == 6


def test_every_row_is_used_once_an_epoch(monkeypatch):
    import pcbench.learn.learner as learner

    seen: list[list[int]] = []
    real = learner.require_possible
    monkeypatch.setattr(learner, "require_possible", lambda ll, r, *rest: (seen.append(r.tolist()), real(ll, r, *rest))[1])
    fit(chain(), rows(103), epochs=2, batch_size=10, method="mini-batch-em")
    assert len(seen) == 22
    first, second = ([i for part in half for i in part] for half in (seen[:11], seen[11:]))
    assert sorted(first) == sorted(second) == list(range(103))
    assert first != second
    assert first != list(range(103))


def test_batches_are_listed_once_and_not_in_every_step(monkeypatch):
    import pcbench.learn.plan as plan

    asked: list[tuple[int, int]] = []
    real = plan.batch_bounds
    monkeypatch.setattr(plan, "batch_bounds", lambda *sizes: (asked.append(sizes), real(*sizes))[1])
    assert fit(chain(), rows(100), epochs=3, batch_size=10, method="mini-batch-em").step == 30
    assert asked == [(100, 10)]


def test_missing_values_and_arrays():
    data = rows(120, "gaussian").numpy()
    mask = torch.rand(data.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    holes = torch.from_numpy(data).clone()
    holes[~mask] = math.nan
    run = fit(chain("gaussian"), Evidence(holes, mask), epochs=8, dtype=torch.float64)
    assert (np.diff(run.curve("train_ll")[1]) >= -1e-9).all()
    assert all(torch.isfinite(v).all() for v in run.model.values().values())
    other = fit(chain("gaussian"), data, epochs=3)
    assert other.step == 3


def test_early_stopping_keeps_the_best(monkeypatch):
    import pcbench.learn.trainer as trainer

    script = iter([-5.0, -4.0, -4.5, -4.4, -4.3, -1.0])
    monkeypatch.setattr(trainer.Trainer, "_validate", lambda self, model, valid: next(script))
    models = []
    run = fit(
        chain(),
        rows(100),
        valid=rows(50),
        epochs=50,
        patience=3,
        on_event=lambda e: models.append(e.step) if e.metrics else None,
    )
    assert run.state == "finished"
    assert run.epoch == 5
    assert run.best_valid_ll == -4.0
    again = fit(chain(), rows(100), epochs=2)
    for (_, v), (_, w) in zip(run.best_model.values().items(), again.model.values().items(), strict=True):
        assert torch.equal(v, w)
    assert any("stopped early" in e.text and "-4.0" in e.text for e in run.events())


def test_validate_every_and_the_last_epoch():
    run = fit(chain(), rows(60), valid=rows(30), epochs=7, validate_every=3)
    assert run.curve("valid_ll")[0].tolist() == [3, 6, 7]


def test_impossible_validation_row_is_a_message_not_a_nan():
    data = torch.zeros(40, 6, dtype=torch.long)
    valid = torch.cat((data[:5], torch.ones(2, 6, dtype=torch.long)))
    run = fit(chain("categorical"), data, valid=valid, epochs=3, method=EM())
    assert any("row 5 of the validation data" in e.text for e in run.events())
    assert len(run.curve("valid_ll")[0]) == 0
    assert run.best_valid_ll is None
    assert run.best_model is run.model
    cured = fit(chain("categorical"), data, valid=valid, epochs=3, method=EM(pseudocount=0.1))
    assert np.isfinite(cured.curve("valid_ll")[1]).all()


def test_constant_column_is_pointed_out():
    data = rows(50, "gaussian")
    data[:, 2] = 7.0
    run = fit(chain("gaussian"), data, epochs=4)
    assert any("constant in the training data: x2;" in e.text for e in run.events())
    assert np.isfinite(run.curve("train_ll")[1]).all()


def test_given_model_is_not_changed():
    model = Model.create(chain(), seed=5)
    before = {p: v.clone() for p, v in model.values().items()}
    run = fit(model, rows(100), epochs=10, batch_size=10, method=MiniBatchEM(Constant(0.3)))
    assert all(torch.equal(v, before[p]) for p, v in model.values().items())
    assert run.model is not model


def test_background_and_foreground_agree():
    options = {"epochs": 3, "batch_size": 16, "method": "mini-batch-em", "seed": 4}
    here, there = fit(chain(), rows(100), **options), fit(chain(), rows(100), background=True, **options)
    there.wait(30)
    assert here.curve("train_ll")[1].tolist() == there.curve("train_ll")[1].tolist()
    assert len(there.why_slow) > 20
    assert re.search(r"\d", there.why_slow)


# ---- interrupts ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("where", "method"),
    [("em_step", MiniBatchEM(0.2)), ("forward", MiniBatchEM(0.2)), ("accumulate", "em"), ("maximise", "em")],
)
def test_interrupt_in_the_middle_of_a_step(monkeypatch, where, method):
    import pcbench.learn.learner as learner
    import pcbench.learn.trainer as trainer

    place = trainer if where == "forward" else learner
    real = getattr(place, where)
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        out = real(*args, **kwargs)  # the work is done, then the key is pressed: nothing of it may show
        if len(calls) == 8:
            raise KeyboardInterrupt
        return out

    monkeypatch.setattr(place, where, interrupted)
    options = {"epochs": 20, "batch_size": 50, "method": method}
    run = fit(chain(), rows(100), valid=rows(20), **options)
    assert run.state == "finished"
    assert any("stopped by an interrupt" in e.text for e in run.events())
    monkeypatch.undo()
    clean = fit(chain(), rows(100), valid=rows(20), on_event=_stop_at(run.step), **options)
    assert clean.step == run.step > 2
    for v, w in zip(run.model.values().values(), clean.model.values().values(), strict=True):
        assert torch.equal(v, w)


def _stop_at(step: int):
    def callback(event: Event) -> None:
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    return callback


# ---- refusals --------------------------------------------------------------------------------------------------------
def test_refusals_name_the_place():
    circuit, data = chain("categorical"), rows(20, "categorical")
    wild = data.clone()
    wild[7, 3] = 4
    cases = [
        (
            DataError,
            r"training data: row 7, variable 'x3' \(column 3\): 4 is outside its domain \(domain 0…3\)",
            {"data": wild},
        ),
        (DataError, r"validation data: row 7, variable 'x3'", {"valid": wild}),
        (DataError, r"training data: the batch is empty", {"data": data[:0]}),
        (DataError, r"training data: values need shape \[rows, 6\], got \[20, 5\]", {"data": data[:, :5]}),
        (OptionError, r"batch_size must be a whole number, at least 1, got 0", {"batch_size": 0}),
        (OptionError, r"epochs must be a whole number, at least 1, got 0", {"epochs": 0}),
        (OptionError, r"no option 'epoch'; did you mean 'epochs'", {"epoch": 3}),
        (OptionError, r"there is no method 'mini-batch'; did you mean 'mini-batch-em'", {"method": "mini-batch"}),
        (OptionError, r"patience=2 .* valid", {"patience": 2}),
        (OptionError, r"there is no folder '/no/such'", {"checkpoint": "/no/such/run.ckpt"}),
        (OptionError, r"dtype=torch.float64, but the program", {"model": compile(circuit), "dtype": torch.float64}),
    ]
    for error, message, options in cases:
        with pytest.raises(error, match=message):
            fit(**{"model": circuit, "data": data, **options})


def test_impossible_training_row_in_both_grounds():
    model = Model.create(chain("categorical", nodes=3))
    values = model.values()
    for p in values:
        if p.shape == (4, 3):  # a leaf's; those of the sums are [3, 3] and [1, 3]
            values[p] = torch.tensor([0.4, 0.3, 0.3, 0.0])[:, None].expand(4, 3).clone()
    model = Model.from_values(model.program, values)
    data = torch.zeros(20, 6, dtype=torch.long)
    data[13, 2] = 3
    with pytest.raises(DataError, match="row 13 of the training data has probability zero"):
        fit(model, data, epochs=2, batch_size=5, method="em")
    run = fit(model, data, epochs=2, batch_size=5, method="em", background=True)
    with pytest.raises(DataError, match="row 13"):
        run.wait(10)
    assert run.state == "failed"
    assert all(torch.isfinite(v).all() for v in run.model.values().values())


def test_progress_bar(capsys):
    fit(chain(), rows(50), valid=rows(20), epochs=3, progress=True)
    assert "3/3" in capsys.readouterr().out
