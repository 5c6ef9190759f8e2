"""The workbench in a real JupyterLab and a real Chromium.

Nothing here sleeps: every wait is for a counter that the widget publishes (`data-rev`, `data-seq`, `data-state`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser import axe
from tests.browser.lab import Lab, run_all, watched_page

pytestmark = pytest.mark.browser

NOTEBOOK = "workbench.ipynb"


def wait_for_points(page: Page, least: int) -> int:
    page.wait_for_function(
        "least => Number(document.querySelector('.pcb-root')?.dataset.seq ?? 0) >= least", arg=least, timeout=60_000
    )
    return int(page.locator(".pcb-root").get_attribute("data-points") or 0)


def inked(canvas: Locator) -> int:
    """How many pixels of a canvas are painted."""
    count = canvas.evaluate(
        """c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data
                 .reduce((n, value, i) => n + (i % 4 === 3 && value > 0 ? 1 : 0), 0)"""
    )
    assert isinstance(count, int)
    return count


@pytest.fixture(scope="module")
def bench(context: BrowserContext, lab: Lab) -> Iterator[Page]:
    """One page for the whole file: opening a lab is the slow part. Each test leaves the run going."""
    with watched_page(context) as page:
        run_all(page, lab, NOTEBOOK)
        wait_for_points(page, 1)
        yield page


def test_twenty_points_arrive_while_it_trains(bench: Page, shots: Path) -> None:
    assert wait_for_points(bench, 20) >= 20
    root = bench.locator(".pcb-root")
    expect(root).to_have_attribute("data-state", "running")
    expect(bench.get_by_role("progressbar", name="Training progress")).to_be_visible()
    expect(bench.locator(".pcb-cores")).to_contain_text("Tensor Cores:")
    for title in ("Log-likelihood", "Throughput", "Memory", "Step time"):
        assert inked(bench.locator(f"[data-chart='{title}'] canvas")) > 300, f"the chart {title} is empty"
    root.screenshot(path=shots / "workbench.png")


def test_circuit_and_layout_are_linked(bench: Page, shots: Path) -> None:
    circuit = bench.get_by_role("application", name="Circuit")
    assert inked(circuit) > 2000, "the circuit is not drawn"
    row = bench.locator("tr[data-layer]").nth(1)
    row.click()
    expect(row).to_have_attribute("aria-selected", "true")
    expect(bench.locator(f"[data-detail='{row.get_attribute('data-layer')}']")).to_be_visible()
    expect(bench.locator(".pcb-map canvas")).to_have_attribute("data-settled", "true")
    assert inked(bench.locator(".pcb-map canvas")) > 100
    # The table twin says which blocks the layer lit.
    bench.locator(".pcb-pane-circuit").get_by_role("button", name="Table").click()
    blocks = bench.get_by_role("table", name="Blocks of the circuit")
    lit = blocks.locator("tr[aria-selected='true']")
    assert lit.count() > 0
    assert lit.count() < blocks.locator("tbody tr").count()
    bench.locator(".pcb-root").screenshot(path=shots / "workbench-layer.png")
    bench.locator(".pcb-pane-circuit").get_by_role("button", name="Table").click()
    row.click()


def test_no_accessibility_rule_is_broken_in_light_or_dark(bench: Page) -> None:
    root = bench.locator(".pcb-root")
    axe.check_here(bench, ".pcb-pane-training")  # as it is while it runs
    bench.get_by_role("button", name="Pause").click()  # charts that are drawn all the time make the rules take twice as long
    expect(root).to_have_attribute("data-state", "paused")
    axe.check(bench)
    bench.locator(".pcb-pane-circuit").get_by_role("button", name="Table").click()
    axe.check(bench, ".pcb-pane-circuit")
    bench.locator(".pcb-pane-circuit").get_by_role("button", name="Table").click()
    bench.get_by_role("button", name="Resume").click()
    expect(root).to_have_attribute("data-state", "running")


def test_circuit_answers_to_keys_and_pointer(bench: Page) -> None:
    canvas = bench.get_by_role("application", name="Circuit")
    cells = bench.locator(".jp-Cell").count()
    canvas.focus()
    bench.keyboard.press("ArrowDown")  # from nowhere to the root
    live = bench.locator(".pcb-pane-circuit [aria-live]")
    expect(live).to_contain_text("root: sum")
    bench.keyboard.press("ArrowDown")
    expect(live).to_contain_text("product")
    before = float(canvas.get_attribute("data-scale") or 0)
    bench.keyboard.press("+")
    assert float(canvas.get_attribute("data-scale") or 0) > before
    bench.keyboard.press("0")
    bench.keyboard.press("b")  # a JupyterLab command that would add a cell
    bench.keyboard.press("Escape")
    assert bench.locator(".jp-Cell").count() == cells
    box = canvas.bounding_box()
    assert box is not None
    # Somewhere along the middle of the picture lies the root; the tooltip names what the pointer finds.
    for y in range(20, int(box["height"]) - 60, 7):
        bench.mouse.move(box["x"] + box["width"] / 2, box["y"] + y)
        if bench.get_by_role("tooltip").count() > 0:
            break
    else:
        raise AssertionError("no tooltip along the middle of the circuit")


def test_pictures_are_shown(bench: Page) -> None:
    expect(bench.locator(".pcb-root")).to_have_attribute("data-images", "3")
    picture = bench.get_by_role("img", name="most probable")
    assert picture.evaluate("img => img.complete && img.naturalWidth") == 28


def test_reload_keeps_the_whole_history(bench: Page) -> None:
    before = wait_for_points(bench, 30)
    # The outputs live in the file: a reload before it is written would come back without the widget.
    with bench.expect_response(lambda r: r.request.method == "PUT" and NOTEBOOK in r.url):
        bench.get_by_role("button", name="Save and create checkpoint", exact=False).first.click()
    for _ in range(3):  # each reload ends the subshell that the page's messages went to before
        bench.reload()
        before = wait_for_points(bench, before)
    first = bench.locator(".pcb-root")
    expect(first).to_have_attribute("data-kernel", "alive")
    expect(first).to_have_attribute("data-images", "3")
    assert inked(bench.get_by_role("application", name="Circuit")) > 2000


def test_pause_step_resume_stop(bench: Page) -> None:
    root = bench.locator(".pcb-root")
    bench.get_by_role("button", name="Pause").click()
    expect(root).to_have_attribute("data-state", "paused")
    summary = bench.locator(".pcb-pane-training .pcb-summary")
    frozen = summary.inner_text()
    bench.get_by_role("button", name="Step", exact=True).click()
    expect(summary).not_to_have_text(frozen)
    bench.get_by_role("button", name="Resume").click()
    expect(root).to_have_attribute("data-state", "running")
    bench.get_by_role("button", name="Stop").click()
    expect(root).to_have_attribute("data-state", "finished")
    expect(bench.get_by_role("button", name="Stop")).to_be_disabled()
    expect(bench.locator(".pcb-log li").last).to_contain_text("finished")


def test_stop_works_while_a_cell_waits_for_the_run(bench: Page) -> None:
    """The lesson waits for its run in a cell; Stop must not wait for that cell in turn."""
    bench.locator(".jp-CodeCell").last.locator(".cm-content").click()
    bench.keyboard.press("Escape")
    bench.keyboard.press("b")
    bench.keyboard.press("Enter")
    # In one line: the editor would indent what comes after a break.
    bench.keyboard.insert_text("run = ScriptedRun(total_steps=100_000, delay=0.03); bench.run = run; run.wait()")
    bench.keyboard.press("Control+Enter")
    expect(bench.locator(".pcb-root")).to_have_attribute("data-state", "running")
    wait_for_points(bench, 5)
    expect(bench.locator(".jp-InputPrompt", has_text="[*]")).to_be_visible()
    bench.locator(".pcb-root").get_by_role("button", name="Stop").click()
    expect(bench.locator(".pcb-root")).to_have_attribute("data-state", "finished")
    expect(bench.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0)


def test_a_dead_kernel_is_said(bench: Page) -> None:
    bench.get_by_role("menuitem", name="Kernel", exact=True).click()
    bench.get_by_text("Shut Down Kernel", exact=True).click()
    expect(bench.locator(".pcb-root")).to_have_attribute("data-kernel", "gone", timeout=20_000)
    expect(bench.get_by_role("alert")).to_contain_text("The kernel is gone: it was restarted or shut down.")
