"""What is typed in the inspector while the page or Python is behind: nothing of it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.builder_page import ROOT, Builder

pytestmark = pytest.mark.browser


CHOOSE_AND_TYPE = """async ([root, block, label, text]) => {
  const body = document.querySelector(root + ' .pcb-builder');
  const drawn = async () => { for (let turn = 0; turn < 10; turn++) await null; }; // within this task: no frame comes
  [...body.querySelectorAll('.pcb-edges .pcb-link')].find(link => link.innerText.includes(block)).click();
  await drawn();
  const field = [...body.querySelectorAll('.pcb-field')].find(each => each.innerText === label).querySelector('input');
  field.value = text;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  await drawn();
  field.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, key: 'Enter'}));
  await drawn();
}"""


def test_a_text_may_come_before_the_first_frame_of_its_field(builder: Builder) -> None:
    builder.kernel.run("d = Document()\nd.add_product([d.add_input('a', name='one'), d.add_input('b', name='two')])")
    builder.open("d")
    rev = builder.settle()
    builder.card(2).click()
    builder.page.evaluate(CHOOSE_AND_TYPE, [ROOT, "one", "Variable", "c"])
    builder.at_rev(rev + 1)
    assert builder.kernel.value("bench.document.blocks[0].variable") == "c"


def test_a_text_outlives_what_happens_to_its_block_meanwhile(builder: Builder) -> None:
    builder.press("i")
    builder.at_rev(1)
    name = builder.body.get_by_label("Name", exact=True)
    name.fill("mine")
    builder.kernel.run("bench.document.rename(0, 'theirs')")
    builder.at_rev(2)
    expect(name).to_have_value("mine")
    name.press("Enter")
    builder.at_rev(3)
    assert builder.kernel.value("bench.document.blocks[0].name") == "mine"
    name.fill("never mind")
    name.press("Escape")
    expect(name).to_have_value("mine")
    builder.press("Control+z")  # what counted is not shown any longer than it does
    builder.at_rev(4)
    expect(name).to_have_value("theirs")


HELD_BACK = """
import pathlib, time
from pcbench_widgets.builder.part import BuilderPart
gate, original, asked = pathlib.Path({gate!r}), BuilderPart._ANSWERS["values"], [0]
def held(part, body):
    asked[0] += 1
    (gate / f"asked {{asked[0]}}").touch()
    while not (gate / f"answer {{asked[0]}}").exists() and not (gate / "all").exists():
        time.sleep(0.01)
    return original(part, body)
BuilderPart._ANSWERS["values"] = held
"""


def test_a_number_outlives_the_answer_to_the_one_before(builder: Builder, tmp_path: Path) -> None:
    """The kernel's answers wait for a file each, as they would for a busy kernel."""
    builder.kernel.run("d = Document()\nd.add_input('x', pcbench.Gaussian())\nd.set_weights(0, [[0.0], [1.0]])")
    builder.open("d")
    rev = builder.settle()
    builder.card(0).click()
    mean, variance = (builder.body.get_by_role("spinbutton", name=name, exact=True) for name in ("mean", "variance"))
    expect(variance).to_have_value("1")
    builder.kernel.run(HELD_BACK.format(gate=str(tmp_path)))
    try:
        enter(mean, "5")
        wait_for(builder, tmp_path / "asked 1")
        enter(variance, "2")
        (tmp_path / "answer 1").touch()  # of before the second edit
        wait_for(builder, tmp_path / "asked 2")
        expect(variance).to_have_value("2")
        enter(mean, "7")
    finally:
        (tmp_path / "all").touch()
        builder.kernel.run('BuilderPart._ANSWERS["values"] = original')
    builder.at_rev(rev + 3)
    assert builder.kernel.value("bench.document.blocks[0].parameter.value.tolist()") == [[7.0], [2.0]]
    expect(mean).to_have_value("7")
    expect(variance).to_have_value("2")


def enter(field: Locator, text: str) -> None:
    field.fill(text)
    field.press("Enter")


def wait_for(builder: Builder, file: Path) -> None:
    for _ in range(1000):
        if file.exists():
            return
        builder.page.wait_for_timeout(10)
    raise AssertionError(f"{file.name}: not within 10 seconds")


def test_a_template_that_comes_while_one_types_takes_nothing_away(builder: Builder) -> None:
    builder.kernel.run(
        "import threading, pcbench_widgets.builder.part as part\n"
        "gate, original = threading.Event(), part.template\n"
        "def slow(name, options):\n    gate.wait(30)\n    return original(name, options)\n"
        "part.template = slow"
    )
    builder.press("i")
    builder.press("t")
    builder.page.get_by_role("dialog").locator("li button", has_text="two-coins").dblclick()
    expect(builder.body.locator(".pcb-work")).to_contain_text("Building two-coins")
    name = builder.body.get_by_label("Name", exact=True)
    name.press_sequentially("sis")
    builder.kernel.run("gate.set()\npart.template = original")
    builder.at_rev(2)
    for key in "ters":  # any of these would be a command elsewhere
        builder.page.keyboard.press(key)
    builder.page.keyboard.press("Enter")
    builder.at_rev(3)
    assert builder.kernel.value("[len(bench.document.blocks), bench.document.blocks[0].name]") == [8, "sisters"]
