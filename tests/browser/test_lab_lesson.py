"""The second lesson as a class meets it: opened in JupyterLab, run from top to bottom, and asked."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.kernel import Kernel
from tests.browser.lab import Lab, run_all
from tests.browser.lab_page import LabPage
from tests.browser.test_workbench import inked

pytestmark = pytest.mark.browser

LESSON = Path(__file__).parents[2] / "notebooks" / "02-inference-by-hand.ipynb"
PATIENCE = 90_000


def test_inference_by_hand_runs_and_says_what_it_promises(page: Page, lab: Lab, shots: Path) -> None:
    lab.copy(LESSON)
    run_all(page, lab, LESSON.name)
    page.wait_for_selector(".pcb-lab", timeout=PATIENCE)
    kernel = Kernel(lab, LESSON.name)
    try:
        # It answers once the cells before it are done: all of them.
        kernel.run("assert {'bench', 'experts', 'wrong', 'learnt'} <= set(globals()), 'a cell failed'", limit=90)
        assert (lab.folder / "inference-by-hand.html").stat().st_size > 400_000
        coins = LabPage(page, kernel)
        coins.body = coins.body.first
        coins.body.scroll_into_view_if_needed()
        expect(coins.body).to_have_attribute("data-marks", "2")
        assert math.exp(coins.log) == pytest.approx(0.66, abs=1e-6)
        assert inked(coins.body.locator("canvas")) > 2000
        coins.body.screenshot(path=shots / "lab-lesson.png")
        # The trained circuit is too large for the page, and the kernel answers.
        learnt = LabPage(page, kernel)
        learnt.body = page.locator(".pcb-lab:has(.pcb-lab-bars[data-variable='x1'])")
        page.wait_for_function(
            """() => {
                 const found = document.querySelector(".pcb-lab-bars[data-variable='x1']");
                 if (!found) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 300);
                 return found !== null;
               }"""
        )
        kernel.run(
            "seen = torch.arange(16) == 0\n"
            "answer = pcb.conditional(run.model, pcb.Evidence(torch.ones(1, 16, dtype=torch.int64), observed=seen))"
        )
        for name in ("x1", "x2"):
            expected = kernel.value(f"answer[{name!r}].probabilities[0].tolist()")
            assert learnt.bars()[name] == pytest.approx(expected, abs=1e-6)
        expect(learnt.body.get_by_role("button", name="Find it")).to_be_visible()
        # Its paths come from the kernel, too, and are drawn block by block.
        learnt.pane, learnt.canvas = page.locator(".pcb-root", has=learnt.body), learnt.body.get_by_role("application")
        kernel.run("evidence = pcb.Evidence(torch.ones(1, 16, dtype=torch.int64), observed=seen)")
        state = learnt.body.locator(".pcb-lab-state")
        for name, query in (
            ("Most probable", "pcb.mpe(run.model, evidence).state[0].tolist()"),
            ("Sample", "pcb.sample(run.model, 1, evidence, seed=0)[0][0].tolist()"),
        ):
            learnt.pane.get_by_role("button", name=name, exact=True).click()
            learnt.press("End")
            expect(state).to_have_attribute("data-state", " ".join(map(str, kernel.value(query))))
            learnt.body.screenshot(path=shots / f"lab-lesson-{name.split()[0].lower()}.png")
        learnt.pane.get_by_role("button", name="Probability", exact=True).click()
        learnt.body.scroll_into_view_if_needed()
        learnt.body.screenshot(path=shots / "lab-lesson-large.png")
    finally:
        kernel.close()
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
