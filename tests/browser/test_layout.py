"""The eight checks of the compiled layout, in a real JupyterLab and a real Chromium."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser import axe
from tests.browser.kernel import opened_notebook
from tests.browser.lab import Lab
from tests.browser.layout_page import NOTEBOOK, ROOT, Layout, numbers_in

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(context: BrowserContext, lab: Lab) -> Iterator[Layout]:
    """One page for the whole file: opening a lab is the slow part."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with opened_notebook(context, lab, NOTEBOOK, f"{ROOT} .pcb-map canvas[data-settled='true']") as (page, kernel):
        kernel.run("import numpy as np, torch, pcbench\nfrom layout_circuit import holed, ragged, wide\nbig = wide()")
        yield Layout(page, kernel)


@pytest.fixture
def layout(opened: Layout) -> Layout:
    """The small circuit of the notebook's first cell, as if it had just been opened."""
    opened.page.mouse.move(2, 2)
    opened.tab("Weights")
    opened.show("Model.create(compile(tree()), seed=0)", 8)
    return opened


PAN = """async (canvas, frames) => {
  const box = canvas.getBoundingClientRect();
  canvas.setPointerCapture = () => undefined; // a made-up pointer cannot be captured
  const send = (type, x) => canvas.dispatchEvent(new PointerEvent(type,
    {bubbles: true, pointerId: 1, button: 0, buttons: 1, clientX: box.left + x, clientY: box.top + 60}));
  const next = () => new Promise(resolve => requestAnimationFrame(resolve));
  let x = 100;
  send('pointerdown', x);
  await next();
  const drawn = Number(canvas.dataset.frames), from = performance.now();
  for (let i = 0; i < frames; i++) {
    send('pointermove', (x += i < frames / 2 ? 5 : -5));
    await next();
  }
  const seconds = (performance.now() - from) / 1000;
  send('pointerup', x);
  return (Number(canvas.dataset.frames) - drawn) / seconds;
}"""


def test_1_sixteen_thousand_by_sixteen_thousand(layout: Layout, shots: Path) -> None:
    painted = []
    for _ in range(2):  # the better of two: the machine of a test is not always its own
        start = time.monotonic()
        layout.show("big", 16384)
        painted.append(time.monotonic() - start)
        if painted[-1] <= 1.5:
            break
        layout.show("Model.create(compile(tree()), seed=0)", 8)
    assert min(painted) <= 1.5
    layout.root.screenshot(path=shots / "layout-large.png")
    before = int(layout.canvas.get_attribute("data-requested") or 0)
    levels = [layout.sight().level]
    layout.press("ArrowDown", *["ArrowLeft"] * 4)
    for _ in range(12):  # down to the cells, each level looked at until it is complete
        layout.press("+")
        layout.settle()
        levels.append(layout.sight().level)
    assert sorted(set(levels), reverse=True) == levels_between(levels[0], 0)
    for way in ("Right", "Down", "Left", "Up") * 2:
        layout.press(f"Shift+Arrow{way}")
        layout.settle()
    rates = [layout.canvas.evaluate(PAN, 30)]
    while rates[-1] < 25 and len(rates) < 3:
        rates.append(layout.canvas.evaluate(PAN, 30))
    assert max(rates) >= 25, f"frames a second while panning: {rates}"
    for _ in range(6):
        layout.press("-")
        layout.settle()
    layout.press("0")
    layout.settle()
    tiles = int(layout.canvas.get_attribute("data-requested") or 0) - before
    assert 20 <= tiles <= 120, f"the tour took {tiles} tiles"


def levels_between(first: int, last: int) -> list[int]:
    return list(range(first, last - 1, -1))


def test_2_fifty_hovered_texts_equal_python(layout: Layout) -> None:
    layout.show("big", 16384)
    layout.mode("weight")
    layout.press("0")
    layout.settle()
    sight = layout.sight()
    step = 1 << sight.level
    draw = random.Random(2)
    # Straight from the circuit: where its tiles lie, and their weights; pixels without an edge are as good as others.
    layout.kernel.run(
        "block = next(b for b in big.circuit.blocks if b.name == 'wide')\n"
        "rows, cols = block.edges.rows.numpy() * 32, block.edges.cols.numpy() * 32\n"
        "sums = big.values()[block.parameter].double().sum((1, 2)).numpy()\n"
        "def beneath(step, row, col):\n"
        "    inside = (rows // step == row) & (cols // step == col)\n"
        "    return int(inside.sum()) * 1024, float(sums[inside].sum())\n"
    )
    assert step >= 32, "a pixel covers whole tiles"
    high, wide = sight.pixels()
    full = layout.kernel.value(f"[[int(r), int(c)] for r, c in zip(rows // {step}, cols // {step})]")
    places = [draw.choice(full) for _ in range(30)] + [[draw.randrange(high), draw.randrange(wide)] for _ in range(20)]
    expected = layout.kernel.value(f"[beneath({step}, r, c) for r, c in {places}]")
    for (row, col), (edges, total) in zip(places, expected, strict=True):
        text = layout.hover(row, col).split("\n")[0]
        nodes, elements = (f"{at * step:,}–{(at + 1) * step - 1:,}" for at in (row, col))
        start = f"nodes {nodes} × elements {elements}: {edges:,} of {step * step:,} cells hold an edge"
        assert text.startswith(start)
        if edges:
            assert float(text.rsplit(" ", 1)[1]) == pytest.approx(total / edges, rel=1e-3)
        else:
            assert text == start


def test_3_nothing_is_painted_beside_the_matrix(layout: Layout) -> None:
    for code, rows in (("big", 16384), ("Model.create(compile(ragged()))", 301)):
        layout.show(code, rows)
        layout.mode("occupancy")
        layout.press("0")
        layout.click(*(extent - 1 for extent in layout.sight().pixels()))  # the lower right corner, where tiles end early
        for _ in range(5):
            layout.settle()
            layout.page.mouse.move(2, 2)
            outside, inside = layout.beside()
            assert outside == 0, f"{outside} pixels beside {rows} nodes at {layout.sight()}"
            assert inside > 1000
            layout.press("+", "+")


def test_4_a_cell_shows_the_tensors_value(layout: Layout, shots: Path) -> None:
    layout.show("big", 16384)
    layout.mode("weight")
    row, col = 9_001, 10_885  # in tile (281, 340), the tenth of its row
    layout.kernel.run(
        "w = big.values()[next(b for b in big.circuit.blocks if b.name == 'wide').parameter]\n"
        "edges = next(b for b in big.circuit.blocks if b.name == 'wide').edges\n"
        "def cell(row, col):\n"
        "    hit = ((edges.rows == row // 32) & (edges.cols == col // 32)).nonzero().flatten().tolist()\n"
        "    return float(w[hit[0], row % 32, col % 32]) if hit else None"
    )
    assert layout.kernel.value(f"cell({row}, {col})") is not None
    layout.press("0")
    step = 1 << layout.sight().level
    layout.click(row // step, col // step)
    layout.press(*["+"] * 18)
    expect(layout.canvas).not_to_have_attribute("data-cells", "0")
    layout.settle()
    layout.root.screenshot(path=shots / "layout-cells.png")
    sight = layout.sight()
    assert (sight.level, sight.scale) == (0, 72)
    top, left = round(-sight.y / sight.scale) + 1, round(-sight.x / sight.scale) + 1
    seen = set()
    for down, right in [(0, 0), (1, 2), (2, 1), (2, 4), (1, 0)]:
        text = layout.hover(top + down, left + right)
        value = layout.kernel.value(f"cell({top + down}, {left + right})")
        seen.add(value)
        assert text.startswith(f"node {top + down:,} × element {left + right:,}: ")
        assert f"weight {value!r}" in text if value is not None else "no edge" in text
    assert len(seen) > 2
    # The table beside it shows the same cells.
    layout.page.keyboard.press("v")
    table = layout.root.locator(".pcb-map-table table")
    expect(table).to_have_attribute("data-region", re.compile("^0,"))
    _, first, start = (int(n) for n in str(table.get_attribute("data-region")).split(","))
    shown = table.locator("tbody tr").first.locator("td").first.inner_text()
    value = layout.kernel.value(f"cell({first}, {start})")
    assert shown == "–" if value is None else float(shown.replace("−", "-")) == pytest.approx(value, rel=0.06)
    layout.page.keyboard.press("v")


def test_5_the_bytes_shown_add_up_to_the_programs(layout: Layout) -> None:
    layout.root.get_by_text("Offsets", exact=True).click()
    table = layout.root.get_by_role("table", name="Memory plan")
    offsets, sizes = numbers_in(table, 3), numbers_in(table, 4)
    described = layout.kernel.value("bench.program.describe()")
    assert sum(sizes) == sum(entry["bytes"] for entry in described["memory"])
    assert sum(sizes) == described["totals"]["parameter_bytes"] + described["totals"]["value_bytes"]
    assert offsets == [sum(sizes[:i]) for i in range(len(sizes))], "each begins where the one before ends"
    parameters = layout.kernel.value("sum(t.numel() * t.element_size() for t in bench.model.parameters.weights)")
    names = table.locator("tbody th").all_inner_texts()
    assert sum(size for name, size in zip(names, sizes, strict=True) if name.startswith("sum weights")) == parameters
    layout.root.get_by_text("Offsets", exact=True).click()


def test_6_a_pin_by_keyboard_lights_the_builders_blocks(opened: Layout, shots: Path) -> None:
    page = opened.page
    selector = ".pcb-root:has(.pcb-pane-builder)"
    page.wait_for_function(
        """selector => {
             const found = document.querySelector(selector);
             if (!found) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 300);
             return found !== null;
           }""",
        arg=selector,
    )
    both = Layout(page, opened.kernel, selector)
    both.root.scroll_into_view_if_needed()
    builder = both.root.locator(".pcb-builder")
    expect(builder).to_have_attribute("data-blocks", "7")
    both.root.get_by_role("button", name="Compile").focus()
    page.keyboard.press("Enter")
    both.settle()
    both.press("ArrowRight", "ArrowRight", "ArrowRight", "Enter")  # the cursor comes, and walks to the last element
    expect(both.root.locator(".pcb-pinned")).to_contain_text("Pinned: node 0 of mixture ← element 0 of ")
    expect(builder).to_have_attribute("data-selected", re.compile(r"^\d+ \d+$"))
    lit = [int(n) for n in str(builder.get_attribute("data-selected")).split()]
    names = opened.kernel.value(f"[both.document.blocks[i].name for i in {lit}]")
    pinned = opened.kernel.value("[both.circuit.blocks[i].name for i in both.selected]")
    assert sorted(names) == sorted(pinned)
    assert len(pinned) == 2
    assert "mixture" in pinned
    both.root.screenshot(path=shots / "layout-linked.png")
    page.keyboard.press("Escape")
    expect(builder).to_have_attribute("data-selected", "")
    opened.root.scroll_into_view_if_needed()


def test_7_the_comparisons_padding_is_pythons(layout: Layout, shots: Path) -> None:
    layout.show("Model.create(compile(holed()))", 96)
    layout.tab("Compare")
    compare = layout.root.locator(".pcb-compare")
    ways = [(16, "float32"), (32, "float32"), (64, "float32"), (64, "float64")]
    for column, side in enumerate(("left", "right")):
        for tile, precision in ways:
            compare.get_by_label(f"Block size, {side}").select_option(str(tile))
            compare.get_by_label(f"Precision, {side}").select_option(precision)
            layout.kernel.run(f"other = compile(holed(), tile={tile}, dtype=torch.{precision}).describe()")
            totals, layers = layout.kernel.value("[other['totals'], other['layers']]")
            for key in ("tile_padding", "padding", "tiles", "parameter_bytes", "value_bytes"):
                cell = compare.locator(f"[data-row='{key}'] td").nth(column).locator("[data-value]")
                expect(cell).to_have_attribute("data-value", number(totals[key]))
            for layer in layers:
                cell = compare.locator(f"[data-layer-row='{layer['index']}'] td").nth(column)
                expect(cell).to_have_attribute("data-value", number(layer["tile_padding"]))
    layout.root.screenshot(path=shots / "layout-compare.png")
    assert (
        len({layout.kernel.value(f"compile(holed(), tile={t}).describe()['totals']['tile_padding']") for t in (16, 32, 64)})
        == 3
    )


def number(value: float) -> str:
    """As JavaScript writes it; the values here are neither huge nor tiny."""
    return str(int(value)) if value == int(value) else repr(value)


def test_8_training_changes_the_weights_colours_and_no_occupancy(layout: Layout) -> None:
    layout.mode("occupancy")
    layout.press("0", "Escape")
    occupied = layout.painted()
    layout.mode("weight")
    weights = layout.painted()
    layout.mode("flow")
    flows = layout.painted()
    rev = int(layout.canvas.get_attribute("data-rev") or 0)
    layout.kernel.run(
        "from pcbench.execute import em_step\n"
        "data = (torch.rand(200, 24, generator=torch.Generator().manual_seed(1)) < 0.3).long()\n"
        "bench.model = em_step(bench.model, data).model"
    )
    expect(layout.canvas).to_have_attribute("data-rev", str(rev + 1))
    layout.settle()
    assert layout.painted() != flows
    layout.mode("weight")
    assert layout.painted() != weights
    layout.mode("occupancy")
    assert layout.painted() == occupied


KEYS_AFTER_A_MOVE = """async (canvas, presses) => {
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: box.left + 90, clientY: box.top + 60}));
  for (let i = 0; i < presses; i++) {
    canvas.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, key: '+'}));
    for (let turn = 0; turn < 10; turn++) await null; // the end of the event, and no other task before the next
  }
}"""


def test_keys_that_come_at_once_after_a_move_all_count(layout: Layout) -> None:
    layout.show("big", 16384)
    layout.press("0")
    before = layout.sight().scale
    layout.canvas.evaluate(KEYS_AFTER_A_MOVE, 5)
    assert layout.sight().scale == pytest.approx(before * 1.6**5)


def test_copied_python_compiles_an_equal_program(layout: Layout) -> None:
    layout.press("y")
    text = layout.page.get_by_label("The layout as Python").input_value()
    expect(layout.page.get_by_role("dialog").get_by_text("Copied.")).to_be_visible()
    layout.page.keyboard.press("Escape")
    names = "here = {'circuit': tree()}"  # nothing but the circuit may be needed
    layout.kernel.run(f"{names}\nexec({text!r}, here)")
    assert layout.kernel.value("here['program'].describe() == bench.program.describe()") is True


def test_kernels_are_compiled_for_a_gpu_that_is_not_here(layout: Layout, shots: Path) -> None:
    layout.show("Model.create(compile(pcbench.structures.hmm(latents=64, variables=pcbench.Variables.finite(3, 8))))", 64)
    layout.tab("GPU kernels")
    panel = layout.root.locator(".pcb-kernels")
    panel.get_by_role("button", name="Compile").click()
    expect(panel.get_by_role("status")).to_be_visible()
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_role("alert")).to_have_text("cancelled")
    panel.get_by_label("GPU").select_option("80")
    panel.get_by_role("button", name="Compile").click()
    expect(panel).to_have_attribute("data-rows", "3", timeout=60_000)  # upward, downward, counts
    expect(panel).to_have_attribute("data-done", "true")
    forward = panel.locator("[data-kernel='narrow_sum_forward']")
    expect(forward).to_contain_text("mma.sync")
    registers = int(forward.locator("td").nth(1).inner_text())
    assert 16 <= registers <= 255
    assert panel.locator("[data-kernel]").count() == 3
    expect(panel.locator("[data-bound]")).to_contain_text("Bound by memory.")
    axe.check_here(layout.page, ROOT)
    layout.root.screenshot(path=shots / "layout-kernels.png")
    # Without Triton it says so, and what to do.
    layout.kernel.run(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n: None if n == 'triton' else find(n)"
    )
    layout.kernel.run("bench.model = Model.create(compile(tree()))\nu.find_spec = find")
    expect(panel.get_by_role("alert")).to_contain_text("Triton is not installed")
    expect(panel.get_by_role("button", name="Compile")).to_be_disabled()


def test_every_state_by_keys_and_without_a_broken_rule(layout: Layout) -> None:
    cells = layout.page.locator(".jp-Cell").count()
    axe.check(layout.page, ROOT)
    for key in ("2", "3", "1", "v"):
        layout.page.locator(f"{ROOT} [data-home], {ROOT} [role='tab'][aria-selected='true']").first.focus()
        layout.page.keyboard.press(key)
        if key == "3":
            expect(layout.root.locator(".pcb-compare")).to_have_attribute("data-ready", "true")
        axe.check_here(layout.page, ROOT)
    layout.page.keyboard.press("v")
    layout.press("?")
    axe.check_here(layout.page, ".pcb-dialog")
    layout.page.keyboard.press("Escape")
    layout.press("b")  # a JupyterLab command that would add a cell; here the next block
    expect(layout.canvas).to_have_attribute("data-block", "1")
    layout.press("PageUp")
    expect(layout.root.locator("tr[data-layer='1']")).to_have_attribute("aria-selected", "true")
    assert layout.page.locator(".jp-Cell").count() == cells
    # A program alone has no weights to show, and says what to do.
    layout.mode("occupancy")
    layout.kernel.run("bench.program = compile(tree())")
    layout.root.get_by_role("button", name="weight", exact=True).click()
    expect(layout.root.locator("[data-lacking='weight']")).to_contain_text("bench.model = model")
    layout.kernel.run("bench.program = None")
    expect(layout.root.get_by_text("Nothing is compiled yet.")).to_be_visible()
    axe.check_here(layout.page, ROOT)
    layout.kernel.run("bench.model = Model.create(compile(tree()))")
    layout.root.get_by_role("button", name="occupancy", exact=True).click()
    layout.settle()


def test_a_reload_shows_the_same_layout(layout: Layout) -> None:
    with layout.page.expect_response(lambda r: r.request.method == "PUT" and NOTEBOOK in r.url):
        layout.page.get_by_role("button", name="Save and create checkpoint", exact=False).first.click()
    layout.page.reload()
    expect(layout.canvas).to_have_attribute("data-rows", "8", timeout=30_000)
    layout.settle()
    assert layout.beside()[1] > 1000
