"""The Python side of the workbench, with the messages caught before they reach Jupyter."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pcbench
from pcbench_widgets import Workbench, layout, monitor, png, show
from pcbench_widgets.feed import POINTS_PER_MESSAGE, RunFeed
from pcbench_widgets.protocol import Message
from tests.widgets.scripted_run import ScriptedRun

NOTHING = {"circuit": 0, "program": 0, "images": 0, "run": 0, "seq": 0, "log": 0}


def small_circuit() -> pcbench.Circuit:
    names = pcbench.Variables.binary(2)
    leaves = [pcbench.InputBlock(v, pcbench.Bernoulli(), 3, name=f"in {v.name}") for v in names]
    product = pcbench.ProductBlock(leaves, name="both")
    return pcbench.Circuit([pcbench.SumBlock([product], 1, name="root")], variables=names)


class Caught(Workbench):
    """Keeps what it would send."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def of(self, kind: str) -> list[Any]:
        return [content for content, _ in list(self.__dict__.get("sent", [])) if content["type"] == kind]

    def forget(self) -> None:
        self.__dict__["sent"] = []


def wait_for(condition: Callable[[], bool], limit: float = 5.0) -> bool:
    deadline = time.monotonic() + limit
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def bench() -> Iterator[Caught]:
    circuit = small_circuit()
    opened = Caught(circuit, pcbench.compile(circuit))
    yield opened
    opened.close()


def ask(bench: Workbench, **message: Any) -> None:
    bench._handle_custom_msg(message, [])


def test_a_view_that_has_nothing_gets_everything(bench: Caught) -> None:
    bench.show_images([np.zeros((4, 4), np.uint8)])
    bench.forget()
    ask(bench, type="sync", have=NOTHING)
    assert bench.of("circuit")[0]["names"] == ["in x0", "in x1", "both", "root"]
    assert len(bench.of("program")) == len(bench.of("images")) == 1


def test_a_view_that_has_it_all_gets_nothing_twice(bench: Caught) -> None:
    bench.forget()
    ask(bench, type="sync", have={**NOTHING, "circuit": 1, "program": 1})
    assert bench.of("circuit") == bench.of("program") == bench.of("images") == []
    assert bench.of("beat"), "even then an answer must come, or the view would ask forever"


def test_another_circuit_replaces_the_first(bench: Caught) -> None:
    bench.circuit = None
    assert bench.of("circuit")[-1] == {"type": "circuit", "rev": 2}


def test_run_is_followed_from_its_first_step_to_its_end(bench: Caught) -> None:
    run = ScriptedRun(total_steps=60, delay=0.001)
    assert run.wait(10)  # the display comes after the training
    bench.run = run
    assert wait_for(lambda: bool(bench.of("status")) and bench.of("status")[-1]["status"]["state"] == "finished")
    points = bench.of("points")
    assert points[0]["run"] == 1
    assert sum(message["count"] for message in points) == 63, "60 steps and 3 validations"
    status = bench.of("status")[-1]["status"]
    assert (status["step"], status["total"], status["eta"]) == (60, 60, None)
    assert "Tensor Cores:" in status["tensorCores"]


def test_a_reload_in_the_middle_gets_the_whole_history(bench: Caught) -> None:
    run = ScriptedRun(total_steps=40, delay=0.001)
    bench.run = run
    assert run.wait(10)
    assert wait_for(lambda: bool(bench.of("status")) and bench.of("status")[-1]["status"]["step"] == 40)
    time.sleep(0.25)
    bench.forget()
    ask(bench, type="sync", have=NOTHING)
    message, buffers = next((c, b) for c, b in bench.__dict__["sent"] if c["type"] == "points")
    head = np.frombuffer(buffers[0]).reshape(-1, 5)
    assert message["reset"] is True
    assert (head[0, 0], head[-1, 1]) == (1, 42)


def test_commands_reach_the_run_and_are_answered(bench: Caught) -> None:
    run = ScriptedRun(total_steps=100_000, delay=0.005)
    bench.run = run
    ask(bench, type="command", id=1, op="pause")
    assert run.state == "paused"
    held = run.step + 1  # the step that was under way may still end
    ask(bench, type="command", id=2, op="step")
    assert wait_for(lambda: run.step >= held)
    ask(bench, type="command", id=3, op="resume")
    assert wait_for(lambda: run.step > held + 3)
    ask(bench, type="command", id=4, op="stop")
    assert run.wait(5)
    assert [(ack["id"], ack["ok"]) for ack in bench.of("ack")] == [(1, True), (2, True), (3, True), (4, True)]


def test_what_goes_wrong_at_a_button_is_said(bench: Caught) -> None:
    ask(bench, type="command", id=1, op="stop")
    run = ScriptedRun(total_steps=100_000, delay=0.01)
    bench.run = run
    ask(bench, type="command", id=2, op="step")
    ask(bench, type="command", id=3, op="explode")
    run.stop()
    texts = [(ack["ok"], ack["text"]) for ack in bench.of("ack")]
    assert texts[0] == (False, "There is no run to steer.")
    assert texts[1] == (False, "RuntimeError: a run steps by hand only while it is paused")
    assert texts[2] == (False, "Unknown command 'explode'.")


def test_selection(bench: Caught) -> None:
    ask(bench, type="select", blocks=[2, 3])
    assert bench.selected == (2, 3)


def test_pictures_are_checked_and_the_last_twelve_stay(bench: Caught) -> None:
    picture = np.zeros((3, 5), np.uint8)
    with pytest.raises(ValueError, match="2 pictures and 1 captions"):
        bench.show_images([picture, picture], ["one"])
    with pytest.raises(TypeError, match="uint8"):
        bench.show_images([picture / 2])
    with pytest.raises(ValueError, match=r"\[H, W\]"):
        bench.show_images([np.zeros((2, 2, 4), np.uint8)])
    assert bench.of("images") == [], "a refused picture changes nothing"
    for i in range(14):
        bench.show_images([picture], [str(i)], title=f"row {i}")
    groups = bench.of("images")[-1]["groups"]
    assert [group["title"] for group in groups] == [f"row {i}" for i in range(2, 14)]
    bench.clear_images()
    assert bench.of("images")[-1]["groups"] == []


def test_png_holds_the_pixels() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data, width, height = png.encode(pixels)
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    rows = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + length]), np.uint8).reshape(3, 5)
    assert (width, height) == (4, 3)
    assert np.array_equal(rows[:, 1:], pixels)


def test_a_notebook_without_a_kernel_still_shows_something() -> None:
    opened = show(small_circuit())
    data, _ = opened._repr_mimebundle_()
    opened.close()
    assert data["text/plain"] == "Workbench(2 variables, 4 blocks, 10 nodes)"
    assert data["image/svg+xml"].count("<title>") == 4
    assert "root: sum, 1 nodes" in data["image/svg+xml"]


def test_each_part_stands_alone() -> None:
    program = pcbench.compile(small_circuit())
    run = ScriptedRun(total_steps=2, delay=0.001)
    opened = [layout(program), monitor(run), Workbench()]
    assert [widget.panes for widget in opened] == [["program"], ["training"], ["circuit", "program", "training"]]
    for widget in opened:
        widget.close()


class TestFeed:
    """The producer's throttle: few messages, no lost spike, no lost or repeated event."""

    def fast(self, steps: int = 2000, spike_at: int = 777) -> tuple[RunFeed, list[Message]]:
        sent: list[Message] = []
        run = ScriptedRun(total_steps=steps, delay=0.0, spike_at=spike_at)
        feed = RunFeed(1, run, sent.append, lambda: "")
        assert run.wait(20)
        feed.publish()
        feed.sync(0, 0, 0)
        return feed, sent

    def test_a_message_never_carries_more_than_its_share(self) -> None:
        _, sent = self.fast()
        live = [m for m, _ in sent if m["type"] == "points" and not m["reset"]]
        assert live
        assert all(m["count"] <= POINTS_PER_MESSAGE for m in live)

    def test_a_spike_of_one_step_survives(self) -> None:
        _, sent = self.fast()
        message, buffers = next((m, b) for m, b in sent if m["type"] == "points" and m["reset"])
        body = np.frombuffer(buffers[1]).reshape(message["count"], len(message["columns"]), 4)
        least = body[:, message["columns"].index("train_ll"), 0]
        assert np.nanmin(least) == -9999.0

    def test_events_count_once(self) -> None:
        _, sent = self.fast()
        message, buffers = next((m, b) for m, b in sent if m["type"] == "points" and m["reset"])
        head = np.frombuffer(buffers[0]).reshape(message["count"], 5)
        assert head[0, 0] == 1
        assert np.array_equal(head[1:, 0], head[:-1, 1] + 1)
        assert head[-1, 1] == 2000 + 2000 // 20
