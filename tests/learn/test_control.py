"""The state machine of a run: pause, resume, single steps, stop, from other threads."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from pcbench import Model
from pcbench.errors import DataError, PCBenchError
from pcbench.execute import forward
from pcbench.learn import Event, MiniBatchEM, Run, fit

from .small import chain, rows


def endless(**options) -> Run:
    return fit(chain(), rows(256), epochs=1_000_000, batch_size=32, method=MiniBatchEM(0.1), background=True, **options)


@pytest.fixture
def run():
    run = endless()
    yield run
    run.stop()
    assert run.wait(10)


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


@pytest.mark.alone
def test_pause_step_resume_stop(run):
    until(lambda: run.step > 3)
    assert run.state == "running"
    run.pause(wait=True)
    assert run.state == "paused"
    stood = run.step
    time.sleep(0.05)
    assert run.step == stood
    for k in (1, 2, 3):
        run.step_once()
        until(lambda k=k: run.step == stood + k)
        time.sleep(0.01)
        assert run.step == stood + k
        assert run.state == "paused"
    run.step_once()
    run.step_once()
    until(lambda: run.step == stood + 5)
    run.resume()
    assert run.state == "running"
    until(lambda: run.step > stood + 10)
    start = time.monotonic()
    run.stop()
    assert run.state in ("stopping", "finished")
    assert run.wait(1)
    assert time.monotonic() - start < 0.2
    assert run.state == "finished"
    states = [e.text for e in run.events() if e.kind == "state"]
    assert states == ["running", "paused", "running", "stopping", "finished"]


def test_stop_while_paused_and_twice(run):
    run.pause(wait=True)
    run.stop()
    run.stop()
    run.pause()
    assert run.wait(1)
    assert run.state == "finished"
    run.resume()
    assert run.state == "finished"
    with pytest.raises(PCBenchError, match="finished"):
        run.step_once()


def test_step_once_needs_a_pause(run):
    with pytest.raises(PCBenchError, match="running: call pause"):
        run.step_once()
    run.pause()
    run.step_once()  # legal at once: the pause is only a matter of milliseconds
    until(lambda: run.state == "paused")


def test_handlers_never_wait(run):
    def shout():
        for _ in range(100):
            run.pause()
            run.resume()

    threads = [threading.Thread(target=shout) for _ in range(4)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
    assert time.monotonic() - start < 2
    run.resume()
    before = run.step
    until(lambda: run.step > before)


def test_wait_times_out(run):
    assert run.wait(0.02) is False


def test_a_model_that_was_taken_out_stays_as_it_is(run):
    data = rows(50)
    taken = [run.model for _ in range(3)]
    before = [forward(m, data) for m in taken]
    values = {p: v.clone() for p, v in taken[0].values().items()}
    stood = run.step
    until(lambda: run.step > stood + 20)
    assert all(torch.equal(forward(m, data), b) for m, b in zip(taken, before, strict=True))
    assert all(torch.equal(v, values[p]) for p, v in taken[0].values().items())
    assert isinstance(run.model, Model)


def test_events_are_numbered_and_read_from_anywhere(run):
    until(lambda: len(run.events()) > 30)
    events = run.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert run.events(since=10)[0].seq == 11
    assert run.events(since=10**9) == []
    steps, values = run.curve("train_ll")
    assert len(steps) == len(values) > 5
    assert (steps[1:] > steps[:-1]).all()
    assert len(run.curve("no such metric")[0]) == 0
    step = next(e for e in events if e.kind == "step")
    assert {
        "train_ll",
        "train_bpd",
        "samples_per_s",
        "forward_s",
        "backward_s",
        "update_s",
        "data_s",
        "other_s",
        "step_size",
    } < set(step.metrics)
    assert {f"memory_{k}" for k in ("parameters", "values", "flows", "other", "peak")} < set(step.metrics)
    assert step.metrics["memory_peak"] > step.metrics["memory_parameters"] > 0


def test_callbacks_run_in_the_training_thread_and_may_raise(run):
    seen: list[Event] = []
    names: set[str] = set()

    def bad(event: Event) -> None:
        raise RuntimeError("no more tea")

    def good(event: Event) -> None:
        seen.append(event)
        names.add(threading.current_thread().name)

    run.subscribe(bad)
    leave = run.subscribe(good)
    until(lambda: len(seen) > 20)
    assert names == {"pcbench-fit"}
    told = [e for e in run.events() if e.kind == "message" and "no more tea" in e.text]
    assert len(told) == 1
    assert run.state == "running"
    leave()
    leave()
    run.pause(wait=True)
    count = len(seen)
    run.resume()
    until(lambda: run.step > seen[-1].step + 5)
    assert len(seen) <= count + 1


def test_a_callback_may_steer():
    runs: list[Run] = []
    ready = threading.Event()

    def steer(event: Event) -> None:
        if event.kind == "step" and event.step == 5:
            ready.wait(5)
            runs[0].pause(wait=True)  # in the training thread itself this cannot wait, and must not hang
            runs[0].stop()

    run = endless(on_event=steer)
    runs.append(run)
    ready.set()
    assert run.wait(10)
    assert run.step == 5


def test_failure_is_raised_by_wait(monkeypatch):
    import pcbench.learn.learner as learner

    real = learner.em_step

    def broken(model, evidence, *rest):
        if broken.calls == 3:
            raise DataError("a cosmic ray")
        broken.calls += 1
        return real(model, evidence, *rest)

    broken.calls = 0
    monkeypatch.setattr(learner, "em_step", broken)
    run = endless()
    with pytest.raises(DataError, match="cosmic"):
        run.wait(10)
    assert run.state == "failed"
    assert isinstance(run.error, DataError)
    assert run.step == 3
    assert [e.kind for e in run.events()][-2:] == ["error", "state"]
    assert torch.isfinite(forward(run.model, rows(20))).all()
