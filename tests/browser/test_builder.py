"""The ten checks of the builder's canvas, in a real JupyterLab and a real Chromium."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.builder_page import NOTEBOOK, ROOT, Builder
from tests.browser.kernel import execute
from tests.browser.lab import Lab
from tests.browser.test_workbench import inked

pytestmark = pytest.mark.browser


def test_1_a_click_adds_a_sum_at_once_and_in_python_within_a_second(builder: Builder) -> None:
    expect(builder.body.get_by_text("An empty circuit.")).to_be_visible()
    start = time.monotonic()
    shown = builder.page.evaluate(
        """root => new Promise(resolve => {
             const from = performance.now();
             document.querySelector(root + ' .pcb-palette button[title*="(S)"]').click();
             const look = () => document.querySelector(root + ' .pcb-card-sum')
               ? resolve(performance.now() - from) : requestAnimationFrame(look);
             look();
           })""",
        ROOT,
    )
    builder.at_rev(1)
    state = builder.state()
    elapsed = time.monotonic() - start
    assert shown <= 300
    assert elapsed <= 1.0
    assert [(block["kind"], block["id"]) for block in state["blocks"]] == [("sum", 0)]
    expect(builder.card(0)).to_contain_text("no children yet")


def test_2_overlapping_scopes_are_refused_at_the_node_with_the_reason(builder: Builder, shots: Path) -> None:
    builder.kernel.run(
        "d = Document()\na, b = d.add_input('a', name='one'), d.add_input('a', name='two')\n"
        "c = d.add_input('b')\np = d.add_product([a], name='both')"
    )
    builder.open("d")
    before = builder.state()
    rev = builder.settle()
    port = builder.card(1).locator("[data-port='parent']")
    builder.drag(builder.middle(port), builder.middle(builder.card(3)))
    why = builder.body.get_by_role("alert")
    reason = "both would not be decomposable: its children one and two both depend on {a}"
    expect(why).to_contain_text(reason)  # while it is dragged, before anything was sent
    builder.page.locator(ROOT).screenshot(path=shots / "builder-refused.png")
    builder.page.mouse.up()
    expect(why).to_contain_text(reason)
    expect(builder.card(3)).to_have_class("pcb-card pcb-card-product pcb-card-bad")
    assert builder.settle() == rev
    assert builder.state() == before
    # A legal end glows, and takes the connection.
    builder.drag(builder.middle(builder.card(2).locator("[data-port='parent']")), builder.middle(builder.card(3)))
    expect(builder.body.locator(".pcb-card-legal")).to_have_attribute("data-block", "3")
    builder.page.mouse.up()
    builder.at_rev(rev + 1)
    assert builder.kernel.value("bench.document.blocks[3].children") == [0, 2]


def test_3_a_circuit_by_keyboard_alone(builder: Builder) -> None:
    # x1, x2; the second is focused: mark it, walk to the first, put a product above both and a sum above that.
    builder.press("i", "i", "Space", "ArrowLeft", "p", "s")
    builder.at_rev(4)
    expect(builder.body).to_have_attribute("data-problems", "0")
    expect(builder.body.get_by_text("A valid circuit")).to_be_visible()
    builder.kernel.run("circuit = bench.document.circuit()")
    assert builder.kernel.value("[v.name for v in circuit.variables]") == ["x1", "x2"]
    assert builder.kernel.value("[type(b).__name__ for b in circuit.blocks]") == [
        *("InputBlock", "InputBlock", "ProductBlock", "SumBlock"),
    ]
    # And the same without the shortcut: a second product is connected to the sum by keys.
    builder.press("Escape", "i", "i", "Space", "ArrowLeft", "p")
    builder.at_rev(7)
    builder.press("0")
    for leaf, variable in ((4, "x1"), (5, "x2")):
        builder.card(leaf).click()
        field = builder.body.get_by_label("Variable", exact=True)
        field.fill(variable)
        field.press("Enter")
    builder.at_rev(9)
    builder.card(6).click()
    builder.press("c", "ArrowLeft")
    live = builder.body.locator("[data-live='canvas']")
    for _ in range(6):
        if "sum#3" in live.inner_text() and "legal" in live.inner_text():
            break
        builder.press("ArrowUp" if "product" in live.inner_text() else "ArrowLeft")
    expect(live).to_contain_text("legal")
    builder.press("Enter")
    builder.at_rev(10)
    expect(builder.body).to_have_attribute("data-problems", "0")
    assert builder.kernel.value("bench.document.blocks[3].children") == [2, 6]


def test_4_an_arrow_key_moves_in_python_and_undo_restores(builder: Builder) -> None:
    builder.press("i", "i")
    builder.at_rev(2)
    before = builder.state()
    builder.press("Shift+ArrowRight")
    builder.at_rev(3)
    moved = builder.state()["blocks"][1]
    assert moved["x"] > before["blocks"][1]["x"]
    assert moved["y"] == before["blocks"][1]["y"]
    builder.press("Control+z")
    builder.at_rev(4)
    assert builder.state() == before


def test_5_forty_random_edits_are_undone_and_redone(builder: Builder) -> None:
    builder.kernel.run("d = Document()\nd.insert_template('two-coins')\nd = Document.of(d.circuit())")
    builder.open("d")
    start = builder.state()
    draw = random.Random(5)
    edits = ["i", "p", "s", "d", "r", "g", "x", "Delete", "Shift+ArrowUp", "Shift+ArrowRight"]
    moves = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Space"]
    rev, seen = 0, set()
    builder.canvas.focus()
    for _ in range(400):
        if rev == 40:
            break
        key = draw.choice(edits)
        builder.page.keyboard.press(draw.choice(moves))
        builder.page.keyboard.press(key)
        now = builder.settle()
        if now > rev:
            seen.add(key)
        rev = now
    assert rev == 40
    assert len(seen) >= 7, f"only {sorted(seen)} did anything"
    end = builder.state()
    assert end != start
    builder.press(*["Control+z"] * 40)
    builder.at_rev(80)
    assert builder.state() == start
    expect(builder.body.page.locator(ROOT).get_by_role("button", name="Undo")).to_be_disabled()
    builder.press(*["Control+Shift+Z"] * 40)
    builder.at_rev(120)
    assert builder.state() == end


PAN = """async ([root, frames]) => {
  const frame = document.querySelector(root + ' .pcb-builder-canvas');
  const canvas = frame.querySelector('canvas');
  const box = frame.getBoundingClientRect();
  frame.setPointerCapture = () => undefined; // a made-up pointer cannot be captured
  const send = (type, x) => frame.dispatchEvent(new PointerEvent(type,
    {bubbles: true, pointerId: 1, button: 1, buttons: 4, clientX: box.left + x, clientY: box.top + 40}));
  const next = () => new Promise(resolve => requestAnimationFrame(resolve));
  let x = 100;
  send('pointerdown', x);
  await next();
  const drawn = Number(canvas.dataset.frames);
  const from = performance.now();
  for (let i = 0; i < frames; i++) {
    send('pointermove', (x += i < frames / 2 ? 4 : -4)); // there and back: what was on the screen stays there
    await next();
  }
  const seconds = (performance.now() - from) / 1000;
  send('pointerup', x);
  return (Number(canvas.dataset.frames) - drawn) / seconds;
}"""


def test_6_twenty_thousand_blocks(builder: Builder, shots: Path) -> None:
    builder.kernel.run("from bench_circuit import large\nbig = large()\nd = Document.of(big)")
    blocks = builder.kernel.value("len(big.blocks)")
    assert blocks >= 20_000
    painted = []
    for _ in range(2):  # the better of two: the machine of a test is not always its own
        builder.open("Document()")
        start = time.monotonic()
        builder.kernel.run("bench.document = d")
        builder.page.wait_for_function(
            """([root, blocks]) => {
                 const body = document.querySelector(root + ' .pcb-builder');
                 return body.dataset.blocks === String(blocks)
                   && body.querySelector('.pcb-builder-canvas').dataset.visible > blocks / 2;
               }""",
            arg=[ROOT, blocks],
        )
        painted.append(time.monotonic() - start)
        if painted[-1] <= 2.0:
            break
    assert min(painted) <= 2.0
    canvas = builder.canvas.locator("canvas")
    expect(builder.canvas).to_have_attribute("data-level", "bands")
    assert inked(canvas) > 3000
    builder.page.locator(ROOT).screenshot(path=shots / "builder-large.png")
    levels = {}
    for _ in range(24):
        level = builder.canvas.get_attribute("data-level") or ""
        if level not in levels:
            rates = [builder.page.evaluate(PAN, [ROOT, 30])]
            while rates[-1] < 25 and len(rates) < 3:
                rates.append(builder.page.evaluate(PAN, [ROOT, 30]))
            levels[level] = max(rates)
            elements = builder.page.evaluate("root => document.querySelectorAll(root + ' *').length", ROOT)
            assert elements <= 3000, f"{elements} elements at the level {level}"
        builder.press("+")
    assert list(levels) == ["bands", "shapes", "cards", "numbers"]
    assert min(levels.values()) >= 25, f"frames a second: {levels}"
    rev = builder.settle()
    builder.press("i")
    builder.at_rev(rev + 1)
    builder.press("Control+z")
    builder.at_rev(rev + 2)


def test_7_an_edit_from_python_during_a_drag(builder: Builder) -> None:
    builder.press("i", "i")
    builder.at_rev(2)
    before = builder.state()["blocks"][0]
    x, y = builder.middle(builder.card(0))
    builder.drag((x, y), (x - 40, y - 60))
    builder.kernel.run("late = bench.document.add_input('late', pcbench.Gaussian())")
    builder.at_rev(3)
    expect(builder.body.locator(".pcb-card")).to_have_count(3)
    builder.page.mouse.move(x - 60, y - 90, steps=2)
    builder.page.mouse.up()
    builder.at_rev(4)
    blocks = builder.state()["blocks"]
    assert [block["variable"] for block in blocks] == ["x1", "x2", "late"]
    assert blocks[0]["x"] < before["x"] - 30
    assert blocks[0]["y"] < before["y"] - 50


def test_8_copied_python_builds_an_equal_circuit_in_a_fresh_kernel(builder: Builder, lab: Lab) -> None:
    builder.open("Document.of(pcbench.structures.hmm(3, pcbench.Variables.binary(5)))")
    builder.kernel.run("bench.document.insert_template('two-coins')\nbench.document.undo()\nbench.document.set_root(0)")
    builder.kernel.run("bench.document.undo()\nids = list(bench.document.blocks)\nbench.document.rename(ids[0], 'first')")
    builder.settle()
    builder.press("y")
    text = builder.page.get_by_label("The circuit as Python").input_value()
    expect(builder.page.get_by_role("dialog").get_by_text("Copied.")).to_be_visible()
    assert builder.page.evaluate("navigator.clipboard.readText()") == text
    builder.page.keyboard.press("Escape")
    here, there = lab.folder / "here.pcb", lab.folder / "there.pcb"
    builder.kernel.run(f"pcbench.save(bench.document.circuit(), {str(here)!r})")
    manager, client = start_new_kernel()
    try:
        execute(client, f"{text}\npcbench.save(circuit, {str(there)!r})")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert there.read_bytes() == here.read_bytes()


def test_9_a_reload_shows_the_same_document_and_viewport(builder: Builder) -> None:
    builder.kernel.run("bench.document.insert_template('two-coins')")
    builder.at_rev(1)
    builder.press("i", "Shift+ArrowUp", "+", "+")
    builder.settle()
    box = builder.canvas.bounding_box()
    assert box is not None
    builder.drag((box["x"] + 30, box["y"] + 30), (box["x"] + 55, box["y"] + 90))
    builder.page.mouse.up()

    def seen() -> Any:
        names = ["data-blocks", "data-rev", "data-token"]
        cards = builder.body.locator(".pcb-card").evaluate_all(
            "cards => cards.map(c => [c.dataset.block, c.style.cssText]).sort()"
        )
        return [builder.canvas.get_attribute("data-camera"), cards, *(builder.body.get_attribute(name) for name in names)]

    before, state = seen(), builder.state()
    assert before[1], "cards are on the screen"
    # The camera is written down once it rests.
    builder.page.wait_for_function(
        """([key, camera]) => {
             const kept = JSON.parse(sessionStorage.getItem(key) ?? 'null');
             return kept && `${kept.x.toFixed(1)},${kept.y.toFixed(1)},${kept.scale.toFixed(4)}` === camera;
           }""",
        arg=[f"pcbench-builder-{before[-1]}", before[0]],
    )
    with builder.page.expect_response(lambda r: r.request.method == "PUT" and NOTEBOOK in r.url):
        builder.page.get_by_role("button", name="Save and create checkpoint", exact=False).first.click()
    builder.page.reload()
    expect(builder.body).to_have_attribute("data-blocks", before[-3], timeout=30_000)
    expect(builder.canvas).to_have_attribute("data-camera", before[0])
    assert seen() == before
    assert builder.state() == state
    builder.press("Control+z")
    builder.at_rev(int(before[-2]) + 1)


def test_10_typing_changes_no_cell_and_no_accessibility_rule_is_broken(builder: Builder) -> None:
    cells = builder.page.locator(".jp-Cell")
    text = [cell.inner_text() for cell in builder.page.locator(".jp-Cell .cm-content").all()]
    count = cells.count()
    builder.press("i")
    builder.press(*"abcdefghjkmqzxu", "Enter", "Delete", "Backspace", "d", "d", "0", "0")
    builder.press("Escape", "v", "b", "d", "d", "x", "v")  # the table has the focus in between
    undo = builder.page.locator(ROOT).get_by_role("button", name="Undo")
    rev = builder.settle()
    while undo.is_enabled():  # it ends disabled, and must not leave the focus to the page
        undo.click()
        builder.at_rev(rev := rev + 1)
    for key in ("b", "d", "d", "x", "0", "0"):
        builder.page.keyboard.press(key)
    builder.settle()
    builder.kernel.run("bench.document.insert_template('two-coins')")
    builder.at_rev(builder.kernel.value("bench.document.rev"))  # nothing is pending before it has come, either
    builder.press("Escape", "ArrowDown")
    expect(builder.body.locator("[aria-label='Inspector']")).not_to_have_attribute("data-inspect", "")
    name = builder.body.get_by_label("Name", exact=True)
    name.fill("abba dd")
    name.press("Enter")
    builder.settle()
    assert cells.count() == count
    assert [cell.inner_text() for cell in builder.page.locator(".jp-Cell .cm-content").all()] == text
    builder.press("Escape", "ArrowDown", "p")  # a refusal is on the screen, and the inspector is full
    axe.check(builder.page, ROOT)
    builder.page.get_by_role("button", name="Table").first.click()
    axe.check_here(builder.page, ROOT)
    builder.page.get_by_role("button", name="Table").first.click()
    for key in ("?", "t", "w", "y"):
        builder.press(key)
        expect(builder.page.get_by_role("dialog")).to_be_visible()
        axe.check_here(builder.page, ".pcb-dialog")
        builder.page.keyboard.press("Escape")
        expect(builder.page.get_by_role("dialog")).to_have_count(0)
