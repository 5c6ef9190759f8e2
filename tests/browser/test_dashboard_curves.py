"""The dashboard's charts: nothing is dropped, no spike is lost, one zoom for all, and a long run stays usable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser import axe
from tests.browser.kernel import Kernel, opened_notebook
from tests.browser.lab import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "curves.ipynb"
CHARTS = ("Log-likelihood", "Throughput", "Memory", "Step time")
LEAST_FRAMES = 25.0
"""A second."""

WATCH = """([until, least]) => new Promise(done => {
  const root = document.querySelector('.pcb-root');
  const seen = [Number(root.dataset.seq)];
  const observer = new MutationObserver(() => seen.push(Number(root.dataset.seq)));
  observer.observe(root, {attributeFilter: ['data-seq']});
  const start = performance.now();
  let frames = 0;
  const frame = now => {
    frames++;
    if (Number(root.dataset.seq) < until || now - start < 1000 * least) return requestAnimationFrame(frame);
    observer.disconnect();
    done({frames, seconds: (now - start) / 1000, seen});
  };
  requestAnimationFrame(frame);
})"""
"""Counts frames until the page holds the point of this number and so many seconds are over; notes every number on the way."""


@dataclass
class Curves:
    """A dashboard whose run is replaced from Python, and the kernel behind it."""

    page: Page
    kernel: Kernel
    runs: int = 1

    @property
    def root(self) -> Locator:
        return self.page.locator(".pcb-root")

    def follow(self, run: str) -> None:
        """Shows the run that this expression makes; it is `run` in the kernel."""
        self.runs += 1
        self.kernel.run(f"run = {run}\nbench.run = run")
        self.page.wait_for_selector(f".pcb-charts[data-run='{self.runs}'], .pcb-root[data-state='failed'][data-seq='0']")

    def watch(self, until: int, least: float = 0.0) -> dict[str, Any]:
        watched: dict[str, Any] = self.page.evaluate(WATCH, [until, least])
        return watched

    def chart(self, title: str) -> Locator:
        return self.page.locator(f"[data-chart='{title}']")

    def numbers(self, title: str, what: str) -> tuple[float, float]:
        """What a chart says it has drawn: `x` or `y`, least and greatest."""
        text = self.chart(title).locator(".pcb-plot").get_attribute(f"data-{what}") or ""
        least, greatest = map(float, text.split())
        return least, greatest

    def wait_for_points(self, least: int) -> None:
        self.page.wait_for_function(
            "least => Number(document.querySelector('.pcb-root').dataset.seq) >= least", arg=least, timeout=60_000
        )


@pytest.fixture(scope="module")
def curves(context: BrowserContext, lab: Lab) -> Iterator[Curves]:
    with opened_notebook(context, lab, NOTEBOOK, ".pcb-root[data-seq='42']") as (page, kernel):
        kernel.run("import time\nfrom pcbench.telemetry import GpuUse\nfrom pcbench_widgets import workbench")
        kernel.run("def ended(run):\n    assert run.wait(20)\n    return run")
        kernel.run("def under_way(run):\n    while run.step < 100_000:\n        time.sleep(0.1)\n    return run")
        yield Curves(page, kernel)


def test_600_messages_arrive_without_a_gap_at_25_frames_a_second(curves: Curves) -> None:
    """As many messages as 60 s at 10 Hz are, sent more than four times as fast."""
    curves.kernel.run("workbench.TICK = 1 / 60")
    try:
        curves.follow("ScriptedRun(total_steps=600, delay=1 / 45)")
        watched = curves.watch(630)  # 600 steps and 30 validations
    finally:
        curves.kernel.run("workbench.TICK = 0.2")
    expect(curves.root).to_have_attribute("data-points", "630")  # each a point of its own
    expect(curves.page.locator(".pcb-charts")).to_have_attribute("data-gaps", "0")
    seen = watched["seen"]
    assert seen == sorted(set(seen))
    assert len(seen) > 300, "they came in lumps; this measured nothing"
    assert watched["frames"] / watched["seconds"] >= LEAST_FRAMES, watched["frames"] / watched["seconds"]


def test_a_run_of_100k_steps_stays_usable_and_shows_its_one_spike(curves: Curves) -> None:
    """4,096 points, one spike of one step among 100,000, and more keep coming.

    The first seconds after a run was opened go into taking it in, so the rate counts once it has settled: the best of three
    windows of 100 points and 3 s.
    """
    page = curves.page
    curves.follow("under_way(ScriptedRun(total_steps=1_000_000, delay=1 / 30, spike_at=54_321, fast_until=100_000))")
    curves.wait_for_points(105_000)
    assert int(curves.root.get_attribute("data-points") or 0) >= 3000
    rates: list[float] = []
    while len(rates) < 3 and max(rates, default=0.0) < LEAST_FRAMES:
        watched = curves.watch(int(curves.root.get_attribute("data-seq") or 0) + 100, least=3.0)
        rates.append(watched["frames"] / watched["seconds"])
    assert max(rates) >= LEAST_FRAMES, rates
    low, high = curves.numbers("Log-likelihood", "y")
    drawn = low + (high - low) * 0.07 / 1.14  # the chart leaves 7 % of room at both ends
    assert drawn == pytest.approx(-9999.0, rel=1e-6)
    assert painted_below(page.locator("[data-chart='Log-likelihood'] canvas"), 0.6) > 20, "the spike is not painted"
    page.locator(".pcb-charts").focus()
    page.keyboard.press("+")
    page.wait_for_function("() => document.querySelector('.pcb-plot').dataset.x.split(' ')[0] > 20000")
    low, high = curves.numbers("Throughput", "x")
    assert high - low == pytest.approx(50_000, rel=0.02)
    curves.kernel.run("run.stop()")
    expect(curves.root).to_have_attribute("data-state", "finished")


def painted_below(canvas: Locator, share: float) -> int:
    """Coloured pixels in the plot's part below this share of its height; its grid is grey."""
    count = canvas.evaluate(
        """(c, share) => {
             const [left, top, right, bottom] = [60, Math.floor(share * c.height), c.width - 10, c.height - 30];
             const data = c.getContext('2d').getImageData(left, top, right - left, bottom - top).data;
             let count = 0;
             for (let i = 0; i < data.length; i += 4) {
               const spread = Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]);
               if (data[i + 3] > 40 && spread > 40) count++;
             }
             return count;
           }""",
        share,
    )
    assert isinstance(count, int)
    return count


class TestZoom:
    """One range of steps for all charts."""

    def all_show(self, curves: Curves, low: float, high: float, slack: float) -> tuple[float, float]:
        """Waits until the first chart shows this range, and compares the others with it."""
        curves.page.wait_for_function(
            """([low, high, slack]) => {
                 const [a, b] = document.querySelector('.pcb-plot').dataset.x.split(' ').map(Number);
                 return Math.abs(a - low) <= slack && Math.abs(b - high) <= slack;
               }""",
            arg=[low, high, slack],
        )
        ranges = {curves.numbers(title, "x") for title in CHARTS}
        assert len(ranges) == 1, ranges
        return ranges.pop()

    @pytest.fixture(autouse=True)
    def finished(self, curves: Curves) -> None:
        curves.follow("ended(ScriptedRun(total_steps=901, delay=0))")
        expect(curves.root).to_have_attribute("data-state", "finished")
        self.all_show(curves, 1, 901, 0)

    def test_a_drag_over_one_chart_and_a_double_click(self, curves: Curves) -> None:
        over = curves.page.locator("[data-chart='Step time'] .u-over")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        assert box is not None
        mouse, y = curves.page.mouse, box["y"] + box["height"] / 2
        mouse.move(box["x"] + 0.25 * box["width"], y)
        mouse.down()
        mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
        mouse.up()
        low, high = self.all_show(curves, 226, 451, 15)
        expect(curves.page.locator(".pcb-chart-tools [role='status']").last).to_contain_text(f"to {int(high):,}")
        assert low < high
        # In sight are only these steps: the curve's first, far below, is gone from the height of the chart.
        assert curves.numbers("Log-likelihood", "y")[0] > -100
        curves.page.locator("[data-chart='Memory'] .u-over").dblclick()
        self.all_show(curves, 1, 901, 0)

    def test_keys(self, curves: Curves) -> None:
        page, cells = curves.page, curves.page.locator(".jp-Cell").count()
        page.get_by_role("group", name="Charts").focus()
        page.keyboard.press("+")
        self.all_show(curves, 226, 676, 1e-6)
        page.keyboard.press("ArrowRight")
        self.all_show(curves, 338.5, 788.5, 1e-6)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("-")
        self.all_show(curves, 1, 901, 0)
        page.keyboard.press("+")
        self.all_show(curves, 226, 676, 1e-6)
        page.keyboard.press("b")  # JupyterLab would add a cell
        page.keyboard.press("0")
        self.all_show(curves, 1, 901, 0)
        assert page.locator(".jp-Cell").count() == cells


class TestMachine:
    """What was measured, what is an estimate, and what nobody knows; a scripted run says what a meter would."""

    def test_measured_by_the_gpu(self, curves: Curves) -> None:
        use = "GpuUse(0.37, 0.31, 0.9, 0.25, 0.55, 'measured', 'GPU performance monitor')"
        curves.follow(f"ended(ScriptedRun(total_steps=90, delay=0, use={use}))")
        chart = curves.chart("Machine use")
        expect(chart.locator(".pcb-sure")).to_have_text("measured")
        expect(chart.locator("figcaption")).to_contain_text("Tensor Cores 37 %SM 90 %DRAM 55 %")
        expect(chart.locator("figcaption line")).to_have_count(0)  # nothing is dashed
        expect(chart).to_contain_text("GPU performance monitor.")
        assert painted_below(chart.locator("canvas"), 0.0) > 300
        assert curves.numbers("Machine use", "y") == (0, pytest.approx(1.08 * 0.9))
        stack = "parameters 24 MiBvalues 61 MiBflows 61 MiBother 6 MiBpeak 171 MiB"
        expect(curves.chart("Memory").locator("figcaption")).to_contain_text(stack)

    def test_estimated(self, curves: Curves) -> None:
        use = "GpuUse.estimated(0.31, 0.08, 'share of the roofline; not measured: no counters')"
        curves.follow(f"ended(ScriptedRun(total_steps=90, delay=0, use={use}))")
        chart = curves.chart("Machine use")
        expect(chart.locator(".pcb-sure")).to_have_text("estimated")
        expect(chart.locator("figcaption")).to_contain_text("arithmetic (estimated) 31 %memory bandwidth (estimated) 8 %")
        expect(chart.locator("figcaption line[stroke-dasharray]")).to_have_count(2)
        expect(chart).to_contain_text("Share of the roofline; not measured: no counters.")
        assert painted_below(chart.locator("canvas"), 0.0) > 100

    def test_not_known(self, curves: Curves) -> None:
        curves.follow("ended(ScriptedRun(total_steps=90, delay=0, use=GpuUse.none('no GPU: this PyTorch has no CUDA')))")
        chart = curves.chart("Machine use")
        expect(chart.locator(".pcb-sure")).to_have_text("not known")
        expect(chart).to_contain_text("No GPU: this PyTorch has no CUDA.")
        expect(chart.locator("canvas")).to_have_count(0)


def test_other_runs_beside_this_one(curves: Curves) -> None:
    page = curves.page
    curves.follow("ended(ScriptedRun(total_steps=90, delay=0))")
    curves.kernel.run(
        "other = ended(ScriptedRun(total_steps=60, delay=0))\n"
        "for event in other._events:\n"
        "    if 'train_bpd' in event.metrics:\n"
        "        event.metrics['train_bpd'] *= 784 / 12\n"
        "bench.beside = {'K = 16': ended(ScriptedRun(total_steps=300, delay=0)), 'other data': other,"
        " 'broken': ended(ScriptedRun(total_steps=9, delay=0, fails_at=1))}"
    )
    others = page.get_by_role("list", name="Beside this run").get_by_role("listitem")
    expect(others).to_have_text(
        [
            " K = 16 finished, 300 steps",
            " other data finished, 60 steps · its data have 12 variables, this run's 784: log-likelihoods cannot be compared",
            " broken failed, 0 steps · it made no step: nothing to compare",
        ]
    )
    dashes = others.locator("line").evaluate_all("lines => lines.map(line => line.getAttribute('stroke-dasharray'))")
    assert len(set(dashes)) == 3, "told apart without colours"
    scores, speeds = (curves.chart(title).locator("figcaption") for title in ("Log-likelihood", "Throughput"))
    expect(scores).to_contain_text("K = 16, validation")
    expect(scores).not_to_contain_text("other data")
    expect(speeds).to_contain_text("other data")
    page.wait_for_function("document.querySelector('.pcb-plot').dataset.x === '1 300'")
    assert {curves.numbers(title, "x") for title in CHARTS} == {(1, 300)}, "the longest run gives the range of all charts"
    axe.check(page)
    curves.kernel.run("bench.beside = None")
    expect(others).to_have_count(0)
    page.wait_for_function("document.querySelector('.pcb-plot').dataset.x === '1 90'")


def test_training_that_raises_says_so_at_once(curves: Curves) -> None:
    curves.follow("ended(ScriptedRun(total_steps=90, delay=0, fails_at=1))")
    expect(curves.root).to_have_attribute("data-state", "failed")
    pane = curves.page.locator(".pcb-pane-training")
    expect(pane.get_by_role("alert")).to_have_text(
        "Training failed after 0 steps. ValueError: row 3 of the training data has probability zero"
    )
    expect(pane).to_contain_text("It ended before its first step.")
    expect(pane.get_by_role("button", name="Stop")).to_be_disabled()
    axe.check_here(curves.page, ".pcb-root")
    curves.follow("ended(ScriptedRun(total_steps=90, delay=0, fails_at=50))")  # its curve stays
    expect(pane.get_by_role("alert")).to_contain_text("Training failed after 49 steps. ValueError: row 3")
    expect(curves.chart("Throughput").locator(".pcb-plot")).to_have_attribute("data-x", "1 49")


def test_a_busy_kernel_is_said_and_the_command_is_not_lost(curves: Curves) -> None:
    """For four seconds no other thread of the kernel runs, not even those that answer the page."""
    curves.follow("ScriptedRun(total_steps=1_000_000, delay=0.03)")
    expect(curves.root).to_have_attribute("data-state", "running")
    curves.kernel.start(
        "import sys\n"
        "usual = sys.getswitchinterval()\n"
        "sys.setswitchinterval(60)\n"
        "end = time.monotonic() + 4\n"
        "while time.monotonic() < end:\n"
        "    pass\n"
        "sys.setswitchinterval(usual)"
    )
    still = int(curves.root.get_attribute("data-seq") or 0)
    curves.page.get_by_role("button", name="Stop").click()
    expect(curves.page.get_by_text("waiting for the kernel")).to_be_visible()
    expect(curves.root).to_have_attribute("data-state", "finished")
    expect(curves.page.get_by_text("waiting for the kernel")).to_have_count(0)
    assert int(curves.root.get_attribute("data-seq") or 0) > still, "what it measured meanwhile came afterwards"
