"""What else a person does in the builder: weights, templates, regions, files, the palette, and the panes beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.builder_page import ROOT, Builder
from tests.browser.lab import Lab

pytestmark = pytest.mark.browser


def test_weights_move_the_numbers(builder: Builder, shots: Path) -> None:
    builder.kernel.run("bench.document.insert_template('two-coins')")
    builder.at_rev(1)
    builder.body.get_by_role("combobox", name="x1", exact=True).select_option("1")
    answer = builder.body.locator(".pcb-answer strong")
    expect(answer).to_have_text("0.660")  # 0.6 · 0.9 + 0.4 · 0.3
    builder.press("Escape", "ArrowUp", "ArrowUp", "ArrowUp")
    builder.card(6).click()
    builder.page.locator(ROOT).screenshot(path=shots / "builder.png")
    slider = builder.body.get_by_label("a, slider")
    slider.focus()
    builder.page.keyboard.down("ArrowRight")  # not yet released: a preview, and no edit
    expect(answer).to_have_text("0.661")
    builder.settle()
    assert builder.kernel.value("bench.document.rev") == 1
    builder.page.keyboard.up("ArrowRight")
    builder.at_rev(2)
    number = builder.body.get_by_role("spinbutton", name="b", exact=True)
    number.fill("1")
    number.press("Enter")
    builder.at_rev(3)
    expect(answer).to_have_text("0.300")
    expect(builder.card(6)).to_contain_text("p 0.300")
    assert builder.kernel.value("bench.document.blocks[6].parameter.value.tolist()") == [[0.0, 1.0]]
    builder.press("Control+z")
    builder.at_rev(4)
    expect(answer).to_have_text("0.661")


def test_templates_regions_and_files(builder: Builder, lab: Lab) -> None:
    builder.press("t")
    dialog = builder.page.get_by_role("dialog")
    dialog.locator("li button", has_text="hclt").click()
    dialog.get_by_role("button", name="Insert hclt").click()
    builder.at_rev(1)
    blocks = int(builder.body.get_attribute("data-blocks") or 0)
    assert blocks > 30
    assert builder.kernel.value("{b.group for b in bench.document.blocks.values()} == {'hclt 1'}") is True
    builder.body.get_by_role("button", name="hclt 1").click()
    builder.press("0")
    expect(builder.body.locator(".pcb-card-region")).to_have_count(1)
    expect(builder.body.locator(".pcb-card-region")).to_contain_text(f"{blocks} blocks, folded")
    builder.body.get_by_role("button", name="hclt 1").click()
    expect(builder.body.locator(".pcb-card-region")).to_have_count(0)
    state = builder.state()
    builder.press("w")
    dialog.get_by_label("File").fill("drawn.pcb")
    dialog.get_by_label("File").press("Enter")
    expect(builder.body.get_by_role("status").get_by_text("saved drawn.pcb")).to_be_visible()
    assert (lab.folder / "drawn.pcb").stat().st_size > 1000
    builder.press("Control+a", "Delete")
    builder.at_rev(2)
    expect(builder.body).to_have_attribute("data-blocks", "0")
    builder.press("o")
    dialog.get_by_role("button", name="drawn.pcb").click()
    builder.at_rev(3)
    expect(builder.body).to_have_attribute("data-blocks", str(blocks))
    builder.press("Control+z", "Control+z")
    builder.at_rev(5)
    assert builder.state() == state
    # A data set that is not there is said, and nothing is left behind.
    builder.press("t")
    dialog.get_by_role("button", name=re.compile("^chow-liu")).click()
    dialog.get_by_label("data", exact=True).fill("nowhere.csv")
    dialog.get_by_role("button", name="Insert chow-liu").click()
    expect(builder.body.get_by_role("alert")).to_contain_text("chow-liu: ")
    expect(builder.body.locator(".pcb-work")).to_have_count(0)
    assert builder.settle() == 5


def test_work_that_takes_long_says_so_and_can_be_given_up(builder: Builder) -> None:
    builder.kernel.run(
        "import threading, pcbench_widgets.builder.part as part\n"
        "gate, original = threading.Event(), part.template\n"
        "def slow(name, options):\n    gate.wait(30)\n    return original(name, options)\n"
        "part.template = slow"
    )
    builder.press("t")
    builder.page.get_by_role("dialog").locator("li button", has_text="parity").dblclick()
    work = builder.body.locator(".pcb-work")
    expect(work).to_contain_text("Building parity")
    builder.press("i")  # the canvas stays alive meanwhile
    expect(builder.body).to_have_attribute("data-rev", "1")
    work.get_by_role("button", name="Cancel").click()
    expect(work).to_have_count(0)
    builder.kernel.run(
        "gate.set()\n[t.join(10) for t in threading.enumerate() if t.name == 'pcbench-template']\npart.template = original"
    )
    assert builder.settle() == 1
    assert [block["variable"] for block in builder.state()["blocks"]] == ["x1"]


def test_what_is_dropped_from_the_palette_stands_where_it_fell(builder: Builder) -> None:
    builder.press("i")
    builder.at_rev(1)
    box = builder.canvas.bounding_box()
    assert box is not None
    product = builder.body.get_by_role("toolbar").get_by_role("button", name="Product")
    builder.press("Escape")
    end = (box["x"] + 0.7 * box["width"], box["y"] + 0.25 * box["height"])
    builder.drag(builder.middle(product), end)
    builder.page.mouse.up()
    builder.at_rev(2)
    x, y = builder.middle(builder.card(1))
    assert abs(x - end[0]) < 3
    assert abs(y - end[1]) < 3


def test_builder_circuit_and_layout_are_linked(opened: Builder, shots: Path) -> None:
    """In the second widget of the notebook: what was built is compiled beside, and a selection lights on both sides."""
    page = opened.page
    both = page.locator(".pcb-root:has(.pcb-pane-circuit)")
    page.wait_for_function(
        """() => {
             const found = document.querySelector('.pcb-root .pcb-pane-circuit');
             if (!found) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 300);
             return found !== null;
           }"""
    )
    both.scroll_into_view_if_needed()
    body = both.locator(".pcb-builder")
    expect(body).to_have_attribute("data-blocks", "7")
    both.get_by_role("button", name="Compile").click()
    expect(both.locator("tr[data-layer]").first).to_be_visible()
    body.locator(".pcb-card", has_text="mixture").click()
    root = opened.kernel.value("both.circuit.index[both.circuit.roots[0]]")
    expect(both.locator("tr[data-layer][aria-selected='true']")).to_have_count(1)
    assert opened.kernel.value("both.selected") == [root]
    both.locator("tr[data-layer]").first.click()
    expect(body).not_to_have_attribute("data-selected", "6")
    both.screenshot(path=shots / "builder-linked.png")
