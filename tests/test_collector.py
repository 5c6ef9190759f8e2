"""The garbage collector rests while any of the functions runs that ask for it."""

from __future__ import annotations

import gc
import threading

import pytest

from pcbench.collector import collector_paused


@collector_paused
def resting(inside: bool = False) -> bool:
    return gc.isenabled() if not inside else resting()


def test_it_rests_and_goes_on() -> None:
    assert gc.isenabled()
    assert not resting()
    assert not resting(inside=True)
    assert gc.isenabled()


def test_an_error_wakes_it_up() -> None:
    @collector_paused
    def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        broken()
    assert gc.isenabled()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    try:
        assert not resting()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_last_thread_wakes_it_up() -> None:
    began, may_end, seen = threading.Event(), threading.Event(), []

    @collector_paused
    def waits() -> None:
        began.set()
        may_end.wait(10)
        seen.append(gc.isenabled())

    other = threading.Thread(target=waits)
    other.start()
    began.wait(10)
    assert not resting()
    assert not gc.isenabled()  # this one has ended, and the other one has not
    may_end.set()
    other.join(10)
    assert seen == [False]
    assert gc.isenabled()
