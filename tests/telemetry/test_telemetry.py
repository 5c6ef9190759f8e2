"""Telemetry: numbers that add up, sentences with a number in them, and next to no cost."""

from __future__ import annotations

import time

import pytest
import torch

from pcbench import Model, compile
from pcbench.execute import Statistics
from pcbench.telemetry import (
    MemoryMeter,
    Roofline,
    StepClock,
    StepSplit,
    TensorCoreMeter,
    Throughput,
    measure,
    share,
)

from ..learn.small import chain
from .fake_nvml import FakeNvml, pretend_gpu


@pytest.fixture(scope="module")
def program():
    return compile(chain())


def split(**parts: float) -> StepSplit:
    given = {"data": 0.0, "forward": 0.0, "backward": 0.0, "update": 0.0, "total": 0.0, "samples": 100.0} | parts
    given["total"] = given["total"] or sum(given[k] for k in ("data", "forward", "backward", "update"))
    return StepSplit(**given)


# ---- time ------------------------------------------------------------------------------------------------------------
def test_clock_adds_up_laps_and_leaves_the_rest_over(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def lap(clock: StepClock, part: str, seconds: float) -> None:
        now[0] += seconds
        clock.lap(part)

    clock = StepClock()
    clock.start()
    for _ in range(2):
        lap(clock, "data", 1.0)
        lap(clock, "forward", 2.0)
        lap(clock, "backward", 3.0)
        lap(clock, "somewhere else", 0.5)
    lap(clock, "update", 4.0)
    now[0] += 0.25
    done = clock.stop(64)
    assert done == StepSplit(2.0, 4.0, 6.0, 4.0, 17.25, 64.0)
    assert done.other == pytest.approx(1.25)
    assert clock.recent == done


def test_consecutive_steps_share_no_time_and_lose_none(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = StepClock()
    clock.start()
    now[0] = 1.0
    first = clock.stop(1)
    now[0] = 1.5  # an event is sent: part of the next step, as « other »
    clock.lap("other")
    now[0] = 2.0
    clock.lap("forward")
    second = clock.stop(1)
    assert (first.total, second.total, second.forward, second.other) == (1.0, 1.0, 0.5, 0.5)


def test_throughput_forgets():
    rate = Throughput(window=5.0)
    assert rate.rate == 0.0
    for _ in range(100):
        rate.add(10, 1.0)
    assert rate.rate == pytest.approx(10)
    for _ in range(5):
        rate.add(40, 1.0)
    assert rate.rate == pytest.approx(40)
    assert rate.add(300, 60.0) == pytest.approx(5)


# ---- memory ----------------------------------------------------------------------------------------------------------
def test_memory_by_purpose(program):
    model, statistics = Model.create(program), Statistics.zeros(program)
    meter = MemoryMeter(program, 32, interval=0.0)
    one, two = meter.read([model, model, None]), meter.read([model, Model.create(program)])
    assert one.parameters == model.parameters.num_bytes
    assert two.parameters == 2 * one.parameters
    parts = program.describe()["memory"]
    for purpose, got in (("values", one.values), ("flows", one.flows)):
        assert got == 32 * sum(p["bytes"] for p in parts if p["purpose"] == purpose)
    assert meter.read([model], statistics).flows == one.flows + statistics.num_bytes
    assert one.peak >= one.parameters + one.values + one.flows + one.other > 10 << 20
    assert set(one.metrics()) == {f"memory_{k}" for k in ("parameters", "values", "flows", "other", "peak")}


def test_memory_is_read_seldom(program, monkeypatch):
    from pcbench.telemetry import memory

    calls = []
    real = memory.allocated
    monkeypatch.setattr(memory, "allocated", lambda device: (calls.append(1), real(device))[1])
    meter, model = MemoryMeter(program, 32), Model.create(program)
    for _ in range(100):
        meter.read([model])
    assert len(calls) == 1


def test_memory_without_proc(monkeypatch):
    import builtins

    from pcbench.telemetry import memory

    def refuse(*_):
        raise OSError("no such thing here")

    monkeypatch.setattr(builtins, "open", refuse)
    held, peak = memory.allocated(torch.device("cpu"))
    assert held == peak > 10 << 20


# ---- machine ---------------------------------------------------------------------------------------------------------
@pytest.mark.alone
def test_roofline_is_measured_once():
    first = measure()
    start = time.perf_counter()
    assert measure() is first
    assert time.perf_counter() - start < 0.01
    assert 1e9 < first.flops_per_s < 1e15
    assert 1e8 < first.bytes_per_s < 1e13


def test_share(program):
    totals = program.describe()["totals"]
    reached = share(program, split(forward=0.5, backward=0.5), Roofline(totals["flops"] * 200.0, 1e12))
    assert reached.flops_per_s == pytest.approx(100 * totals["flops"])
    assert reached.compute == pytest.approx(0.5)
    assert 0 < reached.memory < 1e-3


# ---- Tensor Cores ----------------------------------------------------------------------------------------------------
def test_no_gpu_is_a_reason_not_an_exception():
    use = TensorCoreMeter("cpu").read(1.0, 2.0)
    assert (use.value, use.source) == (None, "none")
    assert "'cpu'" in use.reason
    if not torch.cuda.is_available():
        use = TensorCoreMeter().read()
        assert (use.value, use.source) == (None, "none")
        assert use.reason.startswith("no GPU")


def pretend(monkeypatch, nvml: FakeNvml, capability: tuple[int, int] = (9, 0), interval: float = 0.0) -> TensorCoreMeter:
    pretend_gpu(monkeypatch, nvml, capability)
    return TensorCoreMeter(interval=interval)


def test_measured_by_the_performance_monitor(monkeypatch):
    nvml = FakeNvml()
    meter = pretend(monkeypatch, nvml)
    for _ in range(10):
        use = meter.read()
        assert (use.value, use.source) == (pytest.approx(0.37), "measured")
    assert nvml.samples == 1  # no sample is left behind
    meter.close()
    meter.close()
    assert nvml.samples == 0
    assert meter.read().source == "none"


def test_a_reading_over_too_short_a_time_is_not_taken_for_idleness(monkeypatch):
    meter = pretend(monkeypatch, FakeNvml(), interval=0.05)
    early = meter.read()
    assert early.value is None
    assert "nothing was counted yet" in early.reason
    time.sleep(0.06)
    use = meter.read()
    assert use.source == "measured"
    assert meter.read() is use


def test_a_gpu_without_counters_is_estimated(monkeypatch):
    use = pretend(monkeypatch, FakeNvml(supported=False)).read(3e12, 4e12)
    assert (use.value, use.source) == (0.75, "estimated")
    assert "Hopper" in use.reason


def test_counters_that_break_later(monkeypatch):
    meter = pretend(monkeypatch, FakeNvml(broken=True))
    use = meter.read()
    assert use.value is None
    assert "GPU is lost" in use.reason


def test_an_old_gpu(monkeypatch):
    use = pretend(monkeypatch, FakeNvml(), capability=(6, 1)).read()
    assert "no Tensor Cores" in use.reason


# ---- cost ------------------------------------------------------------------------------------------------------------
def test_cost_per_step(program):
    """Some 10 µs of the processor's time, 1 % of a step of a millisecond; the type checks of the tests multiply it."""
    clock, rate, meter, model = StepClock(), Throughput(), MemoryMeter(program, 512), Model.create(program)
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(200):
            for part in ("data", "forward", "backward", "update"):
                clock.lap(part)
            rate.add(512, clock.stop(512).total)
            meter.read([model]).metrics()
        rounds.append((time.process_time() - start) / 200)
    assert min(rounds) < (300e-6 if hasattr(StepClock.lap, "__wrapped__") else 30e-6)
