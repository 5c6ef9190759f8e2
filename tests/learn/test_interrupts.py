"""Interrupts wait for what must be whole, and a run's model is never seen half written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

import pcbench
from pcbench import Model, structures
from pcbench.learn.interrupts import uninterrupted
from pcbench.learn.position import Place, Position


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """Processes that a shell starts in the background ignore Ctrl-C."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)  # Python looks for signals between two steps of its own


def test_an_interrupt_waits_for_the_end() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            ctrl_c()
            done.append("first")
            ctrl_c()
            done.append("second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first", "second"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_an_error_inside_is_the_cause_that_an_interrupt_shows() -> None:
    def work() -> None:
        with uninterrupted():
            ctrl_c()
            raise ValueError("inside")

    with pytest.raises(KeyboardInterrupt) as found:
        work()
    assert isinstance(found.value.__context__, ValueError)


def test_other_threads_need_no_protection() -> None:
    seen: list[object] = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def place() -> Place:
    circuit = structures.hclt(latents=2, variables=pcbench.Variables.binary(2), tree=[-1, 0])
    return Place(Position(Model.create(circuit)))


def test_only_a_model_that_nobody_has_is_written_over() -> None:
    stand = place()
    with stand.alone() as own:
        assert own is None  # the caller's
        stand.advance(Position(stand.position.model.clone()))
    with stand.alone() as own:
        assert own is not None
        assert own.model is stand.position.model
    assert stand.share().model is own.model
    with stand.alone() as again:
        assert again is None


def test_whoever_asks_during_a_step_gets_the_model_after_it() -> None:
    stand = place()
    stand.advance(Position(stand.position.model.clone()))
    got: list[Position] = []
    asking = threading.Thread(target=lambda: got.append(stand.share()))
    with stand.alone() as own:
        assert own is not None
        assert not own.asked
        asking.start()
        time.sleep(0.05)
        assert not got
        assert own.asked
        after = Position(own.model.clone(), step=1)
        stand.advance(after)
    asking.join(timeout=5)
    assert got == [after]


def test_whoever_asks_does_not_wait_for_long_runs_of_steps() -> None:
    """The lock is held nearly all of the time: a step must not begin with it while somebody wants the model."""
    stand = place()
    stand.advance(Position(stand.position.model.clone()))
    stop, waits = threading.Event(), []

    def train() -> None:
        while not stop.is_set():
            with stand.alone():
                time.sleep(0.005)
                stand.advance(Position(stand.position.model.clone()))

    thread = threading.Thread(target=train)
    thread.start()
    for _ in range(20):
        start = time.perf_counter()
        stand.share()
        waits.append(time.perf_counter() - start)
    stop.set()
    thread.join()
    assert max(waits) < 2
