"""Step sizes: values at the ends, in between, and ranges."""

from __future__ import annotations

import math

import pytest

from pcbench.errors import OptionError
from pcbench.learn import EM, METHODS, SCHEDULES, Constant, Cosine, MiniBatchEM, OneCycle, Power


@pytest.mark.parametrize("schedule", [s() for s in SCHEDULES], ids=lambda s: s.name)
@pytest.mark.parametrize("total", [1, 2, 3, 100])
def test_every_step_size_is_legal_even_past_the_end(schedule, total):
    assert all(0 < schedule(step, total) <= 1 for step in range(total + 50))


def test_values():
    assert Constant(0.3)(7, 10) == 0.3
    cosine = Cosine(0.4, 0.2)
    assert cosine(0, 11) == pytest.approx(0.4)
    assert cosine(5, 11) == pytest.approx(0.3)
    assert cosine(10, 11) == cosine(99, 11) == pytest.approx(0.2)
    power = Power(start=0.5, power=1.0, delay=10)
    assert power(0, 1) == 0.5
    assert power(10, 1) == pytest.approx(0.25)
    cycle = OneCycle(start=0.1, peak=0.5, end=0.02, warmup=0.2)
    assert cycle(0, 101) == pytest.approx(0.1)
    assert cycle(20, 101) == pytest.approx(0.5)
    assert cycle(10, 101) == pytest.approx(0.3)
    assert cycle(100, 101) == pytest.approx(0.02)
    assert max(range(101), key=lambda s: cycle(s, 101)) == 20


def test_robbins_monro():
    power = Power(start=0.5, power=0.7, delay=20)
    assert sum(power(s, 1) for s in range(20_000)) > 50
    squares = [sum(power(s, 1) ** 2 for s in range(n)) for n in (5_000, 20_000)]
    assert squares[1] < 1.2 * squares[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(0.0),
        lambda: Constant(1.1),
        lambda: Constant(math.nan),
        lambda: Cosine(0.4, -0.1),
        lambda: Power(power=0.5),
        lambda: Power(delay=0),
        lambda: OneCycle(warmup=1.0),
        lambda: EM(pseudocount=-1),
        lambda: MiniBatchEM(pseudocount=math.inf),
        lambda: MiniBatchEM("fast"),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(OptionError):
        make()


def test_misspelt_keyword():
    with pytest.raises(OptionError, match="did you mean 'warmup'"):
        OneCycle(warm_up=0.1)


def test_methods_are_values():
    assert MiniBatchEM(0.2) == MiniBatchEM(Constant(0.2))
    assert len({m.name for m in METHODS}) == len(METHODS)
    assert MiniBatchEM(Cosine()).meta() != MiniBatchEM(Power()).meta()
