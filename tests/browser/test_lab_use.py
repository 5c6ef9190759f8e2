"""What else a class does in the lab: wrong circuits, quizzes, dice, Python, a reload, and the pane beside it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.lab import Lab
from tests.browser.lab_page import NOTEBOOK, ROOT, LabPage

pytestmark = pytest.mark.browser


def test_a_wrong_circuit_shows_its_number_beside_that_of_all_worlds(classroom: LabPage, shots: Path) -> None:
    for title, one, many in (("Wrong: not smooth", 0.66, 0.78), ("Wrong: not decomposable", 0.4, 0.3208)):
        classroom.example(title)
        check = classroom.body.locator(".pcb-lab-check")
        expect(check).to_have_attribute("data-same", "false")
        assert classroom.shown(".pcb-answer strong") == pytest.approx(one)
        assert math.exp(classroom.number(".pcb-lab-check", "data-check")) == pytest.approx(many)
        expect(classroom.body.get_by_role("note")).to_contain_text("is " + title.removeprefix("Wrong: "))
        expect(classroom.pane.get_by_role("button", name="Most probable", exact=True)).to_be_disabled()
        expect(classroom.body.get_by_role("button", name="Draw", exact=True)).to_have_count(0)
        classroom.pane.screenshot(path=shots / f"lab-{title.split()[-1]}.png")
    classroom.example("Two coins")
    expect(classroom.body.locator(".pcb-lab-check")).to_have_attribute("data-same", "true")


def test_predict_first_asks_by_keyboard_says_why_and_counts(classroom: LabPage, shots: Path) -> None:
    classroom.mark("x1 = 1").click()
    classroom.press("q", "ArrowRight")
    quiz = classroom.body.get_by_role("group", name="Predict first")
    expect(quiz).to_contain_text("x1 = 1 is observed")
    expect(classroom.body.get_by_role("region", name="Answers")).not_to_contain_text("0.66")
    quiz.get_by_role("button", name="Show me").click()
    classroom.press("ArrowRight")
    quiz.get_by_role("button", name="Show me").click()
    classroom.at(2)
    classroom.press("ArrowRight")
    expect(quiz).to_contain_text("What will mixture be?")
    expect(quiz.get_by_role("button", name="0.54")).to_be_focused()
    classroom.page.keyboard.press("Enter")
    expect(quiz.get_by_role("status")).to_contain_text("all children count, not only the best")
    classroom.pane.screenshot(path=shots / "lab-quiz.png")
    quiz.get_by_role("button", name="0.66").press("Enter")
    expect(quiz.get_by_role("status")).to_contain_text("✓ Right")
    expect(quiz.get_by_role("status")).to_contain_text("0.6·0.9 + 0.4·0.3 = 0.66")
    quiz.get_by_role("button", name="Go on").press("Enter")
    classroom.at(3)
    expect(classroom.body.locator(".pcb-answer strong")).to_have_text("0.66")
    expect(classroom.canvas).to_be_focused()
    classroom.press("ArrowRight")
    classroom.press("ArrowRight")
    expect(quiz).to_contain_text("mixture has a flow of 1.")
    expect(quiz).to_contain_text("0 of 1 right")


def test_paths_dice_and_soft_evidence(classroom: LabPage, shots: Path) -> None:
    classroom.mark("soft evidence on x1").click()
    slider = classroom.body.get_by_label("likelihood of x1 = 1")
    slider.focus()
    classroom.page.keyboard.press("End")
    expect(slider).to_have_value("1")
    # 0.2 · p(x1 = 0) + 1 · p(x1 = 1)
    assert math.exp(classroom.log) == pytest.approx(0.2 * 0.34 + 0.66)
    classroom.mark("ask for x2").click()
    classroom.press("2", "End")
    expect(classroom.body.locator(".pcb-lab-state")).to_have_attribute("data-state", "1 0")
    classroom.press("3")
    state = classroom.body.locator(".pcb-lab-state")
    expect(state).to_contain_text("Sample 0")
    seen = set()
    for row in range(1, 9):
        classroom.press("n")
        expect(state).to_contain_text(f"Sample {row}")
        seen.add(state.get_attribute("data-state"))
    assert len(seen) > 1
    classroom.press("ArrowLeft", "ArrowLeft")
    expect(classroom.body.locator(".pcb-lab-equations")).to_contain_text("Die 0.")
    classroom.pane.screenshot(path=shots / "lab-dice.png")


def test_the_question_as_python_gives_the_same_numbers_in_a_fresh_kernel(classroom: LabPage) -> None:
    classroom.subject("grown(2)")
    classroom.kernel.run("bench.lab.evidence = {'x1': [0.5, 0.25]}\nbench.lab.query = ['x0']")
    expect(classroom.body).to_have_attribute("data-marks", "2")
    classroom.press("y")
    dialog = classroom.page.get_by_role("dialog")
    source = dialog.get_by_role("textbox").input_value()
    expect(dialog.get_by_role("status")).to_contain_text("Copied")
    classroom.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(classroom.canvas).to_be_focused()
    program = (
        f"{source}\nprint('log', repr(pcbench.log_likelihood(model, evidence).item()))\n"
        "print('p', pcbench.conditional(model, evidence)['x0'].probabilities[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("log ", "p ")))
    assert float(printed["log"]) == pytest.approx(classroom.log, abs=1e-12)
    assert [float(x) for x in printed["p"].strip("[]").split(",")] == pytest.approx(classroom.bars()["x0"], abs=1e-12)


def test_no_accessibility_rule_is_broken_in_light_or_dark(classroom: LabPage, shots: Path) -> None:
    page = classroom.page
    classroom.mark("x1 = 1").click()
    classroom.mark("soft evidence on x2").click()
    classroom.press("End")
    classroom.body.get_by_role("button", name="Draw", exact=True).click()
    axe.check(page, ROOT)
    table = classroom.pane.get_by_role("button", name="Table", exact=True)
    table.click()
    axe.check(page, ROOT)
    table.click()
    classroom.example("Wrong: not smooth")
    classroom.press("q", "ArrowRight")
    for dark in (True, False):
        axe.use_theme(page, dark)
        axe.check_here(page, ROOT)
        classroom.pane.screenshot(path=shots / f"lab-wrong-{'dark' if dark else 'light'}.png")
    classroom.press("?")
    axe.check_here(page, ".pcb-dialog")
    page.keyboard.press("Escape")


def test_a_reload_keeps_circuit_evidence_and_step(classroom: LabPage, lab: Lab) -> None:
    page = classroom.page
    classroom.example("Naive Bayes")
    classroom.mark("f3 = 0").click()
    classroom.press("Home", "ArrowRight", "ArrowRight")
    expected = classroom.body.get_attribute("data-log")
    classroom.told("bench.lab._state.get('at')", 2)
    with page.expect_response(lambda r: r.request.method == "PUT" and NOTEBOOK in r.url):
        page.get_by_role("button", name="Save and create checkpoint", exact=False).first.click()
    page.reload()
    expect(classroom.body).to_have_attribute("data-log", expected or "", timeout=60_000)
    classroom.at(2)
    expect(classroom.mark("f3 = 0")).to_have_attribute("aria-pressed", "true")


def test_lab_and_circuit_are_linked(classroom: LabPage) -> None:
    """In the second widget of the notebook: the lab took over the workbench's circuit, and a selection lights on both sides."""
    page = classroom.page
    both = page.locator(".pcb-root:has(.pcb-pane-lab):has(.pcb-pane-circuit)")
    page.wait_for_function(
        """() => {
             const found = document.querySelector('.pcb-root .pcb-pane-circuit');
             if (!found) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 300);
             return found !== null;
           }"""
    )
    body = both.locator(".pcb-lab")
    expect(body.get_by_label("Circuit", exact=True)).to_have_value("0")
    both.locator(".pcb-pane-lab").get_by_role("button", name="Table", exact=True).click()
    body.get_by_role("button", name="even to x3").click()
    classroom.told("list(both.selected)", classroom.kernel.value("[both.circuit.index[both.circuit.roots[0]]]"))
    both.locator(".pcb-pane-circuit").get_by_role("button", name="Table", exact=True).click()
    blocks = both.get_by_role("table", name="Blocks of the circuit")
    expect(blocks.locator("tr[aria-selected='true']")).to_contain_text("even to x3")
    blocks.get_by_role("button", name="odd to x2").click()
    expect(body.locator("tr[aria-selected='true']")).to_contain_text("odd to x2")


def test_evidence_of_python_is_on_the_screen(classroom: LabPage) -> None:
    classroom.kernel.run("bench.lab.evidence = {'x2': 1}")
    expect(classroom.mark("x2 = 1")).to_have_attribute("aria-pressed", "true")
    classroom.mark("x2 = 1").click()  # again: summed out
    expect(classroom.mark("sum x2 out")).to_have_attribute("aria-pressed", "true")
    assert classroom.log == pytest.approx(0, abs=1e-12)
