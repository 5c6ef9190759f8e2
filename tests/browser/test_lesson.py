"""The first lesson as a learner meets it: opened in JupyterLab, trained, watched, stopped, asked, looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import Lab, run_all
from tests.browser.test_workbench import inked

pytestmark = pytest.mark.browser

LESSON = Path(__file__).parents[2] / "notebooks" / "01-first-lesson.ipynb"
BENCH = ".pcb-root:has(.pcb-pane-training)"
PICTURES = 18
PATIENCE = 90_000


def test_first_lesson_trains_stops_and_fills_in_digits(page: Page, lab: Lab, shots: Path) -> None:
    lab.copy(LESSON)
    run_all(page, lab, LESSON.name)
    # JupyterLab draws what is near the screen: go to where the workbench will be.
    bench = page.locator(BENCH)
    page.wait_for_function(
        """([selector, least]) => {
             const root = document.querySelector(selector);
             if (!root) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 200);
             return Number(root?.dataset.points ?? 0) >= least;
           }""",
        arg=[BENCH, 20],
        timeout=PATIENCE,
    )
    bench.scroll_into_view_if_needed()
    expect(bench.locator("tr[data-layer]").first).to_be_visible()
    assert inked(bench.get_by_role("application", name="Circuit")) > 2000
    # A fast machine may have trained to the end by now; else the learner has seen enough.
    if bench.get_attribute("data-state") == "running":
        bench.get_by_role("button", name="Stop").click()
    expect(bench).to_have_attribute("data-state", "finished", timeout=PATIENCE)
    expect(bench).to_have_attribute("data-images", str(PICTURES), timeout=PATIENCE)
    drawn = bench.locator(".pcb-pane-images img")
    expect(drawn).to_have_count(PICTURES)
    # The visible half of a filled-in digit is the given one, and the hidden half is no longer empty.
    left, right = (half_sums(page, "drawn", side) for side in ("left", "right"))
    given_left, given_right = (half_sums(page, "given", side) for side in ("left", "right"))
    assert left == given_left
    assert all(value == 0 for value in given_right)
    assert all(value > 0 for value in right)
    # A taller window, so that the picture shows all of it.
    page.set_viewport_size({"width": 1500, "height": 2100})
    bench.scroll_into_view_if_needed()
    bench.screenshot(path=shots / "lesson.png")
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def half_sums(page: Page, caption: str, side: str) -> list[int]:
    """Sum of the grey values of one half of each picture with that caption."""
    sums = page.get_by_role("img", name=caption, exact=True).evaluate_all(
        """(images, left) => images.map(image => {
             const canvas = document.createElement('canvas');
             [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
             const context = canvas.getContext('2d');
             context.drawImage(image, 0, 0);
             const half = canvas.width / 2;
             const data = context.getImageData(left ? 0 : half, 0, half, canvas.height).data;
             let sum = 0;
             for (let i = 0; i < data.length; i += 4) sum += data[i];
             return sum;
           })""",
        side == "left",
    )
    assert len(sums) == PICTURES // 3
    return [int(value) for value in sums]
