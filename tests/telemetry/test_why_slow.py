"""The sentence on what holds a step back: the right cause, its number, and where the number is from."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcbench import compile, fit
from pcbench.learn import MiniBatchEM
from pcbench.telemetry import GpuUse, Roofline, StepClock, StepSplit, machine, why_slow

from ..learn.small import chain, rows

TOTALS = {"layers": 10, "padding": 0.0}
PADDED = {"layers": 10, "padding": 0.75}
NOTHING = GpuUse.none("nobody looked")


def split(exact: float = 0.0, total: float = 0.0, **parts: float) -> StepSplit:
    times = {"data": 0.0, "forward": 0.0, "backward": 0.0, "update": 0.0} | parts
    return StepSplit(**times, total=total or sum(times.values()), samples=100.0, exact=exact)


def estimated(compute: float, memory: float) -> GpuUse:
    return GpuUse.estimated(compute, memory, "because")


def measured(compute: float | None, memory: float | None, busy: float | None) -> GpuUse:
    return GpuUse(compute, None, busy, None, memory, "measured", "counters")


PASSES = split(forward=0.001, backward=0.003)
CASES = [
    (split(data=1.0, forward=1.0), estimated(0.5, 0.2), TOTALS, "Data: 50 % of a 2.00 s step", "measured"),
    (split(forward=1.0, total=4.0), estimated(0.5, 0.2), TOTALS, "Python: 75 % of a 4.00 s step", "measured"),
    (split(forward=1.0, update=2.0), estimated(0.5, 0.2), TOTALS, "Update: 67 % of a 3.00 s step", "measured"),
    (split(0.4, forward=1.0, data=9.0), NOTHING, TOTALS, "Exact passes: 40 % of the last 20 steps", "measured"),
    (split(0.04, forward=1.0, data=9.0), NOTHING, TOTALS, "Data: 90 %", "measured"),
    (PASSES, NOTHING, PADDED, "Passes: 4.0 ms of a 4.0 ms step, 25 % of it upward", "nobody looked"),
    (
        PASSES,
        estimated(0.02, 0.05),
        PADDED,
        "Launches: 10 layers take 400 µs each",
        "5.0 % of the memory bandwidth (est",
    ),
    (PASSES, measured(0.01, 0.03, 0.2), TOTALS, "Launches: 10 layers", "1.0 % of the arithmetic and 3.0 % of the memory"),
    (PASSES, measured(0.01, 0.03, 0.9), TOTALS, "Latency: the multiprocessors are busy 90 %", "(measured)"),
    (PASSES, measured(None, 0.03, None), TOTALS, "Launches: 10 layers", "(measured)"),
    (PASSES, estimated(0.2, 0.6), PADDED, "Memory: the passes reach 60 % of the memory bandwidth", "(estimated)"),
    (PASSES, measured(0.6, 0.2, 1.0), TOTALS, "Compute: the passes reach 60 % of the arithmetic", "(measured)"),
    (PASSES, estimated(0.6, 0.2), PADDED, "Padding: 75 % of what the kernels multiply", "60 % (estimated)"),
]


@pytest.mark.parametrize(
    ("parts", "use", "totals", "begin", "within"), CASES, ids=lambda v: v[:9] if isinstance(v, str) else ""
)
def test_the_cause_its_number_and_its_source(parts, use, totals, begin, within):
    sentence = why_slow(20, parts, use, totals)
    assert sentence.startswith(begin)
    assert within in sentence


SECONDS = st.floats(0, 10)
SHARES = st.none() | st.floats(0, 1)


@given(
    steps=st.integers(0, 64),
    times=st.tuples(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS),
    exact=st.floats(0, 1),
    shares=st.tuples(SHARES, SHARES, SHARES),
    source=st.sampled_from(["measured", "estimated"]),
    padding=st.floats(0, 1),
)
def test_one_sentence_with_a_number_or_nothing(steps, times, exact, shares, source, padding):
    data, forward, backward, update, other = times
    parts = StepSplit(data, forward, backward, update, sum(times), 100.0, exact)
    compute, memory, busy = shares
    use = GpuUse(compute, None, busy, None, memory, source, "read somewhere")
    sentence = why_slow(steps, parts, use, {"layers": 3, "padding": padding})
    if steps < 5:
        assert sentence == ""
        return
    assert re.match(r"[A-Z][A-Za-z ]+: .*\d.*\.$", sentence)
    assert re.search(r"\((measured|estimated)\)", sentence)
    assert "\n" not in sentence
    if source == "measured":
        assert "(estimated)" not in sentence
    if other > 0.9 * sum(times) > 0 and exact == 0:
        assert sentence.startswith("Python:")


def test_the_clock_counts_and_forgets():
    clock = StepClock()
    clock.start()
    clock.stop(1)
    assert clock.steps == 1
    clock.forget()
    assert (clock.steps, clock.recent) == (0, None)
    clock.stop(1, exact=True)
    clock.stop(3)
    assert (clock.steps, clock.recent.exact, clock.recent.samples) == (2, 0.5, 2.0)


def test_a_run_says_nothing_before_five_steps_and_forgets_the_first():
    run = fit(chain(), rows(100), epochs=1, batch_size=17, method=MiniBatchEM(0.1))
    assert run.step == 6
    assert re.search(r"\d", run.why_slow)
    short = fit(chain(), rows(100), epochs=1, batch_size=20, method=MiniBatchEM(0.1))
    assert short.step == 5  # of which the first compiled
    assert short.why_slow == ""


def test_a_slow_callback_is_named():
    """A real run, slowed down on purpose: the sentence must find out."""
    run = fit(chain(), rows(200), epochs=1, batch_size=20, on_event=lambda event: time.sleep(0.08))
    assert run.why_slow.startswith("Python: ")


@pytest.mark.alone
def test_a_run_knows_how_busy_its_machine_is(monkeypatch):
    monkeypatch.setattr(machine, "measure", lambda *_: Roofline(1e15, 1e15))
    real = machine.MachineMeter.__init__
    monkeypatch.setattr(machine.MachineMeter, "__init__", lambda self, program, clock: real(self, program, clock, 0.0))
    # Wide enough for the passes to take most of a step.
    run = fit(chain(length=20, nodes=64), rows(4000, length=20), epochs=3, batch_size=1000)
    assert run.why_slow.startswith("Launches: ")
    assert f" {len(compile(chain(length=20, nodes=64)).layers)} layers" in run.why_slow
    assert "(estimated)" in run.why_slow


def test_batches_given_up_by_the_fused_passes_are_counted(monkeypatch):
    import pcbench.learn.learner as learner

    real = learner.em_step

    def given_up(model, evidence, step_size, pseudocount, workspace, *rest):
        workspace.given_up += 1
        return real(model, evidence, step_size, pseudocount, workspace, *rest)

    monkeypatch.setattr(learner, "em_step", given_up)
    run = fit(chain(), rows(200), epochs=1, batch_size=20)
    assert run.split.exact == 1.0
    assert run.why_slow.startswith("Exact passes: 100 % of the last 9 steps")
