"""What is read of a GPU, part by part; and what a training run reports of its machine."""

from __future__ import annotations

import time

import pytest
import torch

from pcbench import Model, compile, fit
from pcbench.execute import Workspace
from pcbench.telemetry import GpuMeter, GpuUse, MachineMeter, MemoryMeter, Roofline, StepClock, machine

from ..learn.small import chain
from .fake_nvml import REPORTED, FakeNvml, pretend_gpu


@pytest.fixture(scope="module")
def program():
    return compile(chain())


# ---- the counters ----------------------------------------------------------------------------------------------------
def test_every_counter_lands_at_its_part(monkeypatch):
    nvml = FakeNvml()
    pretend_gpu(monkeypatch, nvml)
    meter = GpuMeter(interval=0.0)
    for _ in range(5):
        use = meter.read()
    assert use == GpuUse(0.37, 0.31, 0.9, 0.25, 0.55, "measured", use.reason)
    assert use.metrics() == {
        "gpu_tensor_cores": 0.37,
        "gpu_half_precision": 0.31,
        "gpu_multiprocessors": 0.9,
        "gpu_occupancy": 0.25,
        "gpu_memory": 0.55,
    }
    assert nvml.samples == 1  # no sample is left behind
    meter.close()
    assert nvml.samples == 0
    assert meter.read().metrics() == {}


def test_a_counter_without_an_answer_costs_only_itself(monkeypatch):
    pretend_gpu(monkeypatch, FakeNvml(silent=("SM_OCCUPANCY",), unnamed=("HMMA_TENSOR_UTIL",)))
    use = GpuMeter(interval=0.0).read()
    assert (use.occupancy, use.half_precision) == (None, None)
    assert (use.tensor_cores, use.multiprocessors, use.memory, use.source) == (0.37, 0.9, 0.55, "measured")
    assert set(use.metrics()) == {"gpu_tensor_cores", "gpu_multiprocessors", "gpu_memory"}


def test_no_answer_at_all_is_no_zero(monkeypatch):
    pretend_gpu(monkeypatch, FakeNvml(silent=tuple(REPORTED)))
    use = GpuMeter(interval=0.0).read()
    assert (use.source, use.tensor_cores, use.metrics()) == ("none", None, {})
    assert "NVML codes [6]" in use.reason


def test_without_the_package_the_reason_names_it(monkeypatch):
    pretend_gpu(monkeypatch, None)
    use = GpuMeter().read()
    assert use.source == "none"
    assert "nvidia-ml-py is not installed" in use.reason


def test_an_estimate_is_cut_off_at_one():
    use = GpuUse.estimated(1.3, 0.25, "because")
    assert (use.tensor_cores, use.memory, use.occupancy) == (1.0, 0.25, None)
    assert use.metrics() == {"roofline_compute": 1.0, "roofline_memory": 0.25}


# ---- of a run --------------------------------------------------------------------------------------------------------
def clock_with_a_step() -> StepClock:
    clock = StepClock()
    clock.start()
    time.sleep(0.002)
    clock.lap("forward")
    clock.stop(100)
    return clock


def test_counters_come_before_estimates(monkeypatch, program):
    pretend_gpu(monkeypatch, FakeNvml())
    monkeypatch.setattr(machine, "measure", lambda *_: pytest.fail("nobody needs the roofline"))
    on_gpu = MachineMeter(program, clock_with_a_step(), interval=0.0)
    on_gpu._gpu = GpuMeter("cuda", 0.0)  # the program is a CPU's: no CUDA here to compile it for
    assert on_gpu.metrics()["gpu_tensor_cores"] == pytest.approx(0.37)
    assert on_gpu.use.source == "measured"
    on_gpu.close()


def test_without_counters_the_share_of_the_roofline(monkeypatch, program):
    asked = []
    monkeypatch.setattr(machine, "measure", lambda *given: asked.append(given) or Roofline(1e9, 1e9))
    clock = clock_with_a_step()
    meter = MachineMeter(program, clock, interval=0.0)
    found = meter.metrics()
    seconds, totals = clock.recent.forward, program.describe()["totals"]
    assert found["roofline_compute"] == pytest.approx(100 * totals["flops"] / seconds / 1e9)
    assert 0 < found["roofline_memory"] <= 1
    assert asked == [(torch.device("cpu"), torch.float32)]
    assert meter.use.source == "estimated"
    assert "'cpu', which has no Tensor Cores" in meter.use.reason


def test_short_runs_are_not_measured(monkeypatch, program):
    monkeypatch.setattr(machine, "measure", lambda *_: pytest.fail("too early"))
    meter = MachineMeter(program, clock_with_a_step())
    assert meter.metrics() == {}
    assert "nothing was read yet" in meter.use.reason


def test_a_roofline_that_cannot_be_measured_is_asked_for_once(monkeypatch, program):
    asked = []

    def full(*_: object) -> Roofline:
        asked.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(machine, "measure", full)
    meter = MachineMeter(program, clock_with_a_step(), interval=0.0)
    assert [meter.metrics() for _ in range(3)] == [{}, {}, {}]
    assert len(asked) == 1
    assert "CUDA out of memory" in meter.use.reason


def test_fit_reports_its_machine(monkeypatch):
    monkeypatch.setattr(machine, "measure", lambda *_: Roofline(1e12, 1e12))
    real = machine.MachineMeter.__init__
    monkeypatch.setattr(machine.MachineMeter, "__init__", lambda self, program, clock: real(self, program, clock, 0.0))
    circuit = chain()
    data = torch.zeros(64, len(circuit.variables), dtype=torch.int64)
    run = fit(circuit, data, epochs=3, batch_size=16)
    steps = [e for e in run.events() if e.kind == "step"]
    assert all({"roofline_compute", "roofline_memory", "samples_per_s"} <= set(e.metrics) for e in steps)
    assert run.machine_use.source == "estimated"


def test_fit_reports_what_a_gpu_counts(monkeypatch):
    with monkeypatch.context() as pretended:
        pretend_gpu(pretended, FakeNvml())
        counting = GpuMeter("cuda", 0.0)
    real = machine.MachineMeter.__init__

    def begin(self, program, clock):
        real(self, program, clock, 0.0)
        self._gpu = counting

    monkeypatch.setattr(machine.MachineMeter, "__init__", begin)
    circuit = chain()
    run = fit(circuit, torch.zeros(64, len(circuit.variables), dtype=torch.int64), epochs=3, batch_size=16)
    steps = [e.metrics for e in run.events() if e.kind == "step"]
    assert [m["gpu_tensor_cores"] for m in steps] == pytest.approx([0.37] * len(steps))
    assert not any(name.startswith("roofline_") for m in steps for name in m)
    assert (run.machine_use.source, run.device) == ("measured", "cpu")


# ---- memory of the fused passes --------------------------------------------------------------------------------------
def test_fused_passes_are_asked_what_they_hold(program):
    space, model = Workspace(), Model.create(program)
    sizes = {"values": 1000, "scales": 300, "codes0": 40, "elements": 500, "flows": 600, "ratios": 70, "seeds": 8}
    for name, count in sizes.items():
        space.get(name, (count,), torch.float32)
    plain = MemoryMeter(program, 32, interval=0.0)
    assert plain.read([model], None, space).values != 4 * 1340  # not fused: what the program needs
    plain._fused = True
    use = plain.read([model], None, space)
    assert (use.values, use.flows) == (4 * 1340, 4 * 1178)
    assert space.held == {name: 4 * count for name, count in sizes.items()}
    assert sum(space.held.values()) == space.num_bytes
