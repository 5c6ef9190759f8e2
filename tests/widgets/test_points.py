"""The curve of a run: joined without losing a spike, complete however long the run, never sent with a gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcbench_widgets.points import Point, PointHistory, Summary
from tests.widgets.scripted_run import ScriptedEvent


def measured(value: float, step: int = 0) -> ScriptedEvent:
    return ScriptedEvent(step + 1, "step", step, 0, step / 10, {"train_ll": value})


def whole(points: list[Point]) -> Summary:
    joined = points[0]
    for point in points[1:]:
        joined = joined.join(point)
    return joined.metrics["train_ll"]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), max_size=40), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(4, 16),
)
def test_no_value_is_lost_and_numbers_have_no_gap(batches: list[list[float]], most: int, capacity: int) -> None:
    history = PointHistory(capacity)
    for batch in batches:
        assert len(history.add([measured(value) for value in batch], most)) <= most
    values = [value for batch in batches for value in batch]
    points, _ = history.since(0)
    assert history.last == len(values)
    assert [point.first for point in points] == [1, *(point.last + 1 for point in points[:-1])][: len(points)]
    if values:
        summary = whole(points)
        assert (summary.least, summary.greatest, summary.last) == (min(values), max(values), values[-1])
        assert summary.count == len(values)
        assert summary.total / summary.count == pytest.approx(sum(values) / len(values), abs=1e-6)


def test_history_stays_bounded_and_newest_is_finest() -> None:
    history = PointHistory(64)
    for step in range(10_000):
        history.add([measured(-9e9 if step == 137 else 1.0, step)], most=1)
    points, _ = history.since(0)
    assert len(points) <= 64
    assert points[-1].first == points[-1].last == 10_000
    assert whole(points).least == -9e9


@given(st.integers(4, 64), st.integers(1, 5), st.integers(1, 3000))
def test_no_stretch_of_a_long_run_is_coarser_than_the_others_must_be(capacity: int, most: int, steps: int) -> None:
    """Joining the older half again and again would leave one point of a run's first half."""
    history = PointHistory(capacity)
    for step in range(0, steps, most):
        history.add([measured(1.0, i) for i in range(step, min(steps, step + most))], most)
    points, _ = history.since(0)
    assert len(points) <= capacity + most
    assert max(point.last - point.first + 1 for point in points) <= max(1, -(-4 * steps // capacity))


def test_one_step_of_100k_keeps_its_place() -> None:
    history = PointHistory()
    for start in range(0, 100_000, 25):
        history.add([measured(-9999.0 if i == 54_321 else -92.0, i) for i in range(start, start + 25)], 25)
    points, _ = history.since(0)
    (spike,) = [point for point in points if point.metrics["train_ll"].least == -9999.0]
    assert spike.first <= 54_322 <= spike.last
    assert spike.last - spike.first < 100_000 / 2000
    assert len(points) <= 8192


def test_since_gives_the_rest_and_starts_over_where_that_is_no_longer_possible() -> None:
    history = PointHistory(4)
    history.add([measured(1.0)], 1)
    history.add([measured(2.0)], 1)
    points, reset = history.since(1)
    assert ([point.last for point in points], reset) == ([2], False)
    assert history.since(2) == ([], False)
    for value in (3.0, 4.0, 5.0):  # the fifth makes the two oldest one
        history.add([measured(value)], 1)
    points, reset = history.since(1)
    assert reset
    assert points[0].first == 1
    assert history.since(99)[1], "whoever holds more than there is holds another run"


def test_capacity_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        PointHistory(3)
