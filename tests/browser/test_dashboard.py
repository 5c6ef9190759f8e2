"""The dashboard on a real run: why it is slow, its step size, and snapshots. Every wait is for what the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser import axe
from tests.browser.kernel import Kernel, opened_notebook
from tests.browser.lab import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "dashboard.ipynb"


@dataclass
class Dashboard:
    """The page, and the kernel behind it."""

    page: Page
    kernel: Kernel

    @property
    def step_size(self) -> Locator:
        return self.page.get_by_label("step size")

    @property
    def events(self) -> Locator:
        return self.page.locator(".pcb-log li")


@pytest.fixture(scope="module")
def dashboard(context: BrowserContext, lab: Lab) -> Iterator[Dashboard]:
    """One page for the whole file; each test leaves the run going."""
    with opened_notebook(context, lab, NOTEBOOK, ".pcb-root[data-state='running']") as (page, kernel):
        yield Dashboard(page, kernel)
        kernel.run("run.stop()")
        expect(page.locator(".pcb-root")).to_have_attribute("data-state", "finished")


def test_one_sentence_says_why_it_is_slow(dashboard: Dashboard) -> None:
    sentence = dashboard.page.locator(".pcb-slow")
    expect(sentence).to_be_visible(timeout=20_000)
    expect(sentence).to_have_text(
        re.compile(r"^Why slow Python: \d+ % of a .+ step lies outside the engine.*\(measured\).*\.$")
    )
    assert dashboard.kernel.value("run.why_slow").startswith("Python: ")


def test_the_step_size_is_changed_while_it_runs(dashboard: Dashboard) -> None:
    field = dashboard.step_size
    expect(field).to_have_value("")
    expect(field).to_have_attribute("placeholder", "0.100")
    field.fill("0.05")
    field.press("Enter")
    expect(dashboard.events.filter(has_text="step size: 0.05 from step")).to_have_count(1)
    assert dashboard.kernel.value("[run.step_size, run.step_size_by_hand, run.state]") == [0.05, True, "running"]
    told = "next(e for e in run.events() if 'step size: 0.05' in e.text)"
    used = f"[e.metrics['step_size'] for e in run.events({told}.seq) if e.kind == 'step']"
    dashboard.page.wait_for_function(
        "least => Number(document.querySelector('.pcb-root').dataset.seq) >= least",
        arg=int(dashboard.page.locator(".pcb-root").get_attribute("data-seq") or 0) + 2,
    )
    assert set(dashboard.kernel.value(used)) == {0.05}
    dashboard.kernel.run("run.step_size = 0.2")  # and from Python
    expect(field).to_have_value("0.2")


def test_a_bad_step_size_is_refused_at_the_field(dashboard: Dashboard) -> None:
    field, alert = dashboard.step_size, dashboard.page.locator(".pcb-step-size [role='alert']")
    dashboard.kernel.run("run.step_size = 0.2")
    expect(field).to_have_value("0.2")
    for bad in ("7", "fast"):
        field.fill(bad)
        field.press("Enter")
        expect(alert).to_contain_text("step_size")
        expect(alert).to_contain_text("'fast'" if bad == "fast" else "(0, 1], got 7.0")
    assert dashboard.kernel.value("run.step_size") == 0.2
    axe.check_here(dashboard.page, ".pcb-root")
    field.fill("")  # the method's own again
    field.press("Enter")
    expect(alert).to_have_count(0)
    expect(field).to_have_attribute("placeholder", "0.100")
    assert dashboard.kernel.value("run.step_size_by_hand") is False


def test_a_snapshot_is_written_while_it_runs(dashboard: Dashboard) -> None:
    page, row = dashboard.page, dashboard.page.locator(".pcb-snapshot")
    button, name = page.get_by_role("button", name="Snapshot"), page.get_by_label("Snapshot file")
    button.click()
    expect(row).to_contain_text(re.compile(r"saved to /.*/snapshot-step-\d+\.pcb"))
    name.fill("mine.pcb")
    button.click()
    expect(row).to_contain_text("/mine.pcb")
    assert dashboard.kernel.value("type(pcbench.load('mine.pcb')).__name__") == "Model"
    name.fill("nowhere/mine.pcb")
    button.click()
    expect(row).to_contain_text("there is no folder")
    expect(row).to_have_attribute("data-snapshot", "failed")
    name.fill("")
    button.click()
    expect(row).to_have_attribute("data-snapshot", "done")
    assert dashboard.kernel.value("run.state") == "running"


def test_no_accessibility_rule_is_broken(dashboard: Dashboard, shots: Path) -> None:
    axe.check(dashboard.page)
    dashboard.page.locator(".pcb-root").screenshot(path=shots / "dashboard.png")
