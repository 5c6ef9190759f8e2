"""A kernel that is restarted under a builder and a lab: nothing that somebody made is lost, and what to do is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser import axe
from tests.browser.builder_page import Builder
from tests.browser.kernel import Kernel, opened_notebook
from tests.browser.lab import Lab
from tests.browser.lab_page import ROOT as LAB
from tests.browser.lab_page import LabPage
from tests.browser.test_workbench import inked

pytestmark = pytest.mark.browser

NOTEBOOK = "survives.ipynb"
BUILDER = ".pcb-root:has(.pcb-pane-builder)"


@pytest.fixture(scope="module")
def left(context: BrowserContext, lab: Lab) -> Iterator[tuple[Page, Kernel]]:
    """A drawing of four blocks that nobody has saved, a lab with evidence, and a kernel that was restarted under both."""
    with opened_notebook(context, lab, NOTEBOOK, f"{LAB} .pcb-lab") as (page, kernel):
        builder, teaching = Builder(page, kernel, BUILDER), LabPage(page, kernel)
        builder.press("i", "i", "i", "Control+a", "p")
        expect(builder.body).to_have_attribute("data-blocks", "4")
        builder.settle()
        expect(builder.body).to_have_attribute("data-kept", "kept")
        teaching.mark("x1 = 1").click()
        expect(teaching.body.locator(".pcb-answer strong")).to_have_text("0.66")
        restart(page)
        anew = Kernel(lab, NOTEBOOK)  # the old one's sockets connect again in their own time
        anew.wait_until_ready()
        yield page, anew
        anew.close()


def restart(page: Page) -> None:
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")


def run_cell(page: Page, number: int) -> None:
    page.locator(".jp-CodeCell").nth(number).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def test_the_drawing_stays_on_the_screen_and_the_cell_offers_to_restore_it(left: tuple[Page, Kernel], shots: Path) -> None:
    page, kernel = left
    builder = Builder(page, kernel, BUILDER)
    root = page.locator(BUILDER)
    expect(root).to_have_attribute("data-kernel", "gone", timeout=4_000)  # sooner than by missing heartbeats
    expect(root.get_by_role("alert").first).to_contain_text("The kernel is gone: it was restarted or shut down.")
    expect(builder.body).to_have_attribute("data-blocks", "4")
    assert inked(builder.canvas.locator("canvas")) > 500
    expect(root.locator(".pcb-kept")).to_contain_text("This drawing is kept: run the cell again")
    root.screenshot(path=shots / "builder-kernel-gone.png")
    builder.press("s")
    expect(root.get_by_role("alert").last).to_contain_text("nothing can be changed here")
    expect(builder.body).to_have_attribute("data-blocks", "4")
    expect(builder.body).to_have_attribute("data-pending", "0")
    builder.press("y")
    expect(page.get_by_role("dialog")).to_contain_text("The kernel is gone. Run the cell again")
    page.keyboard.press("Escape")
    axe.check(page, BUILDER)

    run_cell(page, 0)
    expect(root).to_have_attribute("data-kernel", "alive", timeout=60_000)  # a new kernel imports PyTorch first
    offer = root.get_by_role("button", name=re.compile(r"^Restore the unsaved drawing of \d\d:\d\d \(4 blocks\)$"))
    expect(offer).to_be_visible()
    expect(builder.body).to_have_attribute("data-blocks", "0")  # nothing is replaced unasked
    axe.check(page, BUILDER)
    root.screenshot(path=shots / "builder-restore.png")
    offer.click()
    expect(builder.body).to_have_attribute("data-blocks", "4")
    expect(offer).to_have_count(0)
    expect(builder.body).to_have_attribute("data-kept", "kept")
    kernel.run("import pcbench")
    assert kernel.value("len(bench.document.circuit().blocks)") == 4
    builder.press("Control+z")  # and so are the steps that led to it
    expect(builder.body).to_have_attribute("data-blocks", "3")
    builder.press("Control+Shift+z")
    expect(builder.body).to_have_attribute("data-blocks", "4")


def test_a_lab_keeps_picture_and_evidence_and_its_cell_gives_a_live_one(left: tuple[Page, Kernel]) -> None:
    page, kernel = left
    teaching = LabPage(page, kernel)
    expect(teaching.pane).to_have_attribute("data-kernel", "gone")
    expect(teaching.pane.get_by_role("alert").first).to_contain_text("The kernel is gone")
    assert inked(teaching.canvas.locator("canvas")) > 500
    expect(teaching.mark("x1 = 1")).to_have_attribute("aria-pressed", "true")
    expect(teaching.body.locator(".pcb-answer strong")).to_have_text("0.66")
    teaching.mark("x1 = 0").click()  # a small circuit is answered without it
    expect(teaching.body.locator(".pcb-answer strong")).to_have_text("0.34")

    run_cell(page, 1)
    expect(teaching.pane).to_have_attribute("data-kernel", "alive", timeout=60_000)
    expect(teaching.pane.get_by_role("alert")).to_have_count(0)
    teaching.mark("x1 = 1").click()
    expect(teaching.body.locator(".pcb-answer strong")).to_have_text("0.66")
    teaching.told("teacher.lab.evidence", {"x1": 1})
