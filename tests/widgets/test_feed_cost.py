"""Whoever watches a run costs its training thread one append an event; everything else is the publisher's."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from pcbench_widgets.feed import RunFeed
from pcbench_widgets.protocol import Message
from tests.widgets.scripted_run import ScriptedRun, curve


class Still(ScriptedRun):
    """Reports only when told to."""

    def _work(self) -> None: ...


def calls_of(work: Any) -> list[str]:
    """The names of all functions, Python's and C's, that are called while `work` runs in this thread."""
    names: list[str] = []

    def note(frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)
        elif event == "c_call":
            names.append(what.__name__)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return names


def test_an_event_costs_the_training_thread_one_append() -> None:
    run, sent = Still(), list[Message]()
    feed = RunFeed(1, run, sent.append, lambda: "")
    (told,) = run._callbacks
    run.report("step", curve(1))
    (event,) = run.events()
    assert calls_of(lambda: told(event)) == ["<lambda>", "_enqueue", "append", "setprofile"]
    assert sent == [], "an event alone sends nothing"
    feed.publish()
    assert [message["type"] for message, _ in sent] == ["points", "status"]


def test_the_publisher_sends_from_its_own_thread_however_fast_the_trainer_is() -> None:
    run, threads = Still(), list[str]()
    feed = RunFeed(1, run, lambda message: threads.append(threading.current_thread().name), lambda: "")

    def train() -> None:
        for step in range(3000):
            run.step = step
            run.report("step", curve(step))

    def publish() -> None:
        while not done.wait(0.005):
            feed.publish()
        feed.publish()

    done = threading.Event()
    publisher = threading.Thread(target=publish, name="publisher")
    trainer = threading.Thread(target=train, name="trainer")
    publisher.start()
    trainer.start()
    trainer.join()
    done.set()
    publisher.join()
    assert set(threads) == {"publisher"}
    assert feed._history.last == 3000
