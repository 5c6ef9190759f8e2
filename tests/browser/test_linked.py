"""All four views in one workbench: what is pointed at in one lights in the others, and every view lists its keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser import axe
from tests.browser.kernel import Kernel, opened_notebook
from tests.browser.lab import Lab
from tests.browser.layout_page import Layout

pytestmark = pytest.mark.browser

NOTEBOOK = "linked.ipynb"
ROOT = ".pcb-root"
SUM, PRODUCT, LEAF = 10, 4, 0
"""Blocks of the circuit: the mixture, which is a layer, the product of its first half, and a leaf of that."""


#: Tries the canvas point by point with pointers of its own: a real one takes longer over a thousand points than a person.
FIND = """async (canvas, [attribute, find]) => {
  const box = canvas.getBoundingClientRect();
  const { port1, port2 } = new MessageChannel();
  const task = () => new Promise(done => { port1.onmessage = done; port2.postMessage(null); });
  for (let y = box.top + 8; y < box.bottom - 8; y += 10)
    for (let x = box.left + 8; x < box.right - 8; x += 10) {
      canvas.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: x, clientY: y}));
      await task(); // what the event changed is rendered in a task, posted before this one
      if (canvas.getAttribute(attribute) === find) return [x, y];
    }
  throw new Error(find + ' is nowhere on the canvas');
}"""


class Bench:
    """The page, the kernel behind it, and what each view says is lit: ids of the circuit's blocks."""

    def __init__(self, page: Page, kernel: Kernel) -> None:
        self.page, self.kernel = page, kernel
        self.builder, self.circuit, self.program, self.lab, self.training = (
            page.locator(f"{ROOT} .pcb-pane-{name}") for name in ("builder", "circuit", "program", "lab", "training")
        )
        self.layout = Layout(page, kernel, ROOT)
        # The builder's document has ids of its own.
        self.links: list[int] = kernel.value("bench.document.ids_of(bench.circuit)")

    def canvas(self, pane: Locator) -> Locator:
        return pane.get_by_role("application")

    def row(self, layer: int) -> Locator:
        return self.program.locator(f"tr[data-layer='{layer}']")

    def lit(self, *blocks: int) -> None:
        """Waits until circuit, builder and lab all light these blocks, and no others."""
        expect(self.circuit.locator("canvas")).to_have_attribute("data-hovered", ids(blocks))
        expect(self.canvas(self.builder)).to_have_attribute("data-lit", ids(self.links[block] for block in blocks))
        expect(self.canvas(self.lab)).to_have_attribute("data-lit", ids(blocks))

    def away(self) -> None:
        self.page.mouse.move(2, 2)
        self.lit()

    def point(self, pane: Locator, find: str) -> None:
        """Moves to where a pane's canvas says that what is wanted is under the pointer."""
        canvas = self.canvas(pane)
        canvas.scroll_into_view_if_needed()
        attribute = "data-hovered" if pane is self.circuit else "data-lit"
        self.page.mouse.move(*canvas.evaluate(FIND, [attribute, find]))


def ids(blocks: Iterable[int]) -> str:
    return " ".join(str(block) for block in sorted(blocks))


@pytest.fixture(scope="module")
def bench(context: BrowserContext, lab: Lab) -> Iterator[Bench]:
    ready = f"{ROOT} .pcb-map canvas[data-settled='true']"
    with opened_notebook(context, lab, NOTEBOOK, ready, size=(1500, 1700)) as (page, kernel):
        page.locator(f"{ROOT} .pcb-lab").wait_for()
        yield Bench(page, kernel)
        kernel.run("bench.run.stop()")


def test_what_the_pointer_is_on_in_a_circuit_lights_everywhere(bench: Bench) -> None:
    for pane in (bench.circuit, bench.lab, bench.builder):
        bench.point(pane, ids([bench.links[SUM]]) if pane is bench.builder else ids([SUM]))
        bench.lit(SUM)
        expect(bench.row(1)).to_have_attribute("data-lit", "true")
        expect(bench.row(0)).to_have_attribute("data-lit", "false")
        expect(bench.layout.canvas).to_have_attribute("data-lit-rows", "true")
        bench.away()
        expect(bench.row(1)).to_have_attribute("data-lit", "false")
    # A product is a column of the sum above it, and stands in its layer.
    bench.point(bench.circuit, ids([PRODUCT]))
    bench.lit(PRODUCT)
    expect(bench.layout.canvas).to_have_attribute("data-lit", "0-1")
    expect(bench.row(1)).to_have_attribute("data-lit", "true")
    bench.point(bench.lab, ids([LEAF]))
    bench.lit(LEAF)
    expect(bench.row(0)).to_have_attribute("data-lit", "true")
    bench.away()
    assert bench.kernel.value("bench.selected") == [], "hover is the browser's own"


def test_what_the_pointer_is_on_in_the_layout_lights_in_the_circuits(bench: Bench) -> None:
    leaves = bench.kernel.value("bench.program.describe()['layers'][0]['blocks']")
    bench.row(0).hover()
    bench.lit(*leaves)
    bench.row(1).hover()
    bench.lit(SUM)
    bench.layout.settle()
    bench.layout.hover(0, 1)  # the mixture's second child
    bench.lit(SUM, 9)
    bench.away()
    bench.circuit.get_by_role("button", name="Table").click()
    bench.circuit.locator(f"tr[data-block='{SUM}']").hover()
    expect(bench.row(1)).to_have_attribute("data-lit", "true")
    bench.circuit.get_by_role("button", name="Table").click()


WHERE = """
from pcbench_widgets.program.memory import spans
def where(*blocks):
    out = []
    for block, start, count in spans(bench.program).astype(int).tolist():
        if block in blocks and out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], start + count)
        elif block in blocks:
            out.append([start, start + count])
    return " ".join(f"{start}-{end}" for start, end in out)
def whose(byte):
    return sorted({block for block, start, count in spans(bench.program).astype(int).tolist() if start <= byte < start + count})
"""


def test_the_memory_ruler_lights_what_is_pointed_at_and_selects(bench: Bench, shots: Path) -> None:
    """Bytes of a block as Python counts them; the circuit is so small that a byte is wider than a pixel."""
    kernel, ruler, bar = bench.kernel, bench.program.locator(".pcb-ruler"), bench.program.locator(".pcb-ruler-bar")
    kernel.run(WHERE)
    bench.circuit.get_by_role("button", name="Table").click()
    for block in (LEAF, PRODUCT, SUM):
        bench.circuit.locator(f"tr[data-block='{block}']").hover()
        expect(ruler).to_have_attribute("data-lit", kernel.value(f"where({block})"))
    bench.circuit.get_by_role("button", name="Table").click()
    bench.away()
    expect(ruler).to_have_attribute("data-lit", "")
    total = kernel.value("sum(entry['bytes'] for entry in bench.program.describe()['memory'])")
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box is not None
    assert box["width"] > total
    for share in (0.02, 0.3, 0.55, 0.75, 0.98):
        byte = int(share * total)
        blocks = kernel.value(f"whose({byte})")
        assert blocks
        bench.page.mouse.move(box["x"] + (byte + 0.4) * box["width"] / total, box["y"] + box["height"] / 2)
        bench.lit(*blocks)
        expect(ruler).to_have_attribute("data-lit", kernel.value(f"where(*{blocks})"))
    bench.page.mouse.down()
    bench.page.mouse.up()
    expect(ruler).to_have_attribute("data-chosen", kernel.value(f"where(*{blocks})"))
    assert kernel.value("bench.selected") == blocks
    expect(bench.builder.locator(".pcb-builder")).to_have_attribute("data-selected", ids(bench.links[b] for b in blocks))
    bench.program.screenshot(path=shots / "layout-ruler-bar.png")
    bench.page.mouse.down()
    bench.page.mouse.up()
    expect(ruler).to_have_attribute("data-chosen", "")
    # The same by keyboard, in the table beneath.
    ruler.get_by_text("Offsets").focus()
    bench.page.keyboard.press("Enter")
    entry = ruler.locator("tbody tr").first
    entry.get_by_role("button").focus()
    bench.page.keyboard.press("Enter")
    expect(entry).to_have_attribute("aria-selected", "true")
    assert kernel.value("bench.selected") == [SUM], "the plan begins with the mixture's weights"
    expect(bench.row(1)).to_have_attribute("aria-selected", "true")
    axe.check_here(bench.page, ".pcb-ruler")
    bench.program.screenshot(path=shots / "layout-ruler.png")
    bench.page.keyboard.press("Enter")
    expect(entry).to_have_attribute("aria-selected", "false")
    ruler.get_by_text("Offsets").focus()
    bench.page.keyboard.press("Enter")


def test_a_click_in_one_view_selects_in_all(bench: Bench) -> None:
    bench.point(bench.circuit, ids([SUM]))
    bench.page.mouse.down()
    bench.page.mouse.up()
    expect(bench.row(1)).to_have_attribute("aria-selected", "true")
    expect(bench.builder.locator(".pcb-builder")).to_have_attribute("data-selected", str(bench.links[SUM]))
    expect(bench.lab.locator(".pcb-lab")).to_have_attribute("data-node", str(SUM))
    assert bench.kernel.value("bench.selected") == [SUM]
    bench.canvas(bench.circuit).press("Escape")
    expect(bench.row(1)).to_have_attribute("aria-selected", "false")


def test_every_view_lists_its_keys(bench: Bench) -> None:
    page, dialog = bench.page, bench.page.get_by_role("dialog", name="Commands and keys")
    cells = page.locator(".jp-Cell").count()
    places = {
        bench.builder: bench.canvas(bench.builder),
        bench.circuit: bench.canvas(bench.circuit),
        bench.program: bench.layout.canvas,
        bench.lab: bench.canvas(bench.lab),
        bench.training: bench.training.get_by_role("button", name="Pause"),
    }
    for pane, place in places.items():
        for key in ("?", "Control+k"):
            place.focus()
            page.keyboard.press(key)
            expect(dialog).to_be_visible()
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            expect(place).to_be_focused()  # and the next key is no cell command
        pane.get_by_role("button", name="Commands and keys").click()
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    assert page.locator(".jp-Cell").count() == cells


def test_the_palette_goes_to_panes_and_steers_the_run(bench: Bench) -> None:
    page, field = bench.page, bench.page.get_by_label("Find a command")

    def call(text: str) -> None:
        bench.training.get_by_role("button", name="Commands and keys").click()
        field.fill(text)
        page.keyboard.press("Enter")

    call("pause the run")
    expect(bench.page.locator(ROOT)).to_have_attribute("data-state", "paused")
    call("go on with")
    expect(bench.page.locator(ROOT)).to_have_attribute("data-state", "running")
    call("go to circuit")
    expect(bench.canvas(bench.circuit)).to_be_focused()
    call("hide lab")
    expect(bench.lab).to_have_count(0)
    call("show lab")
    expect(bench.canvas(bench.lab)).to_be_visible()


def test_no_accessibility_rule_is_broken(bench: Bench) -> None:
    axe.check(bench.page)
    bench.training.get_by_role("button", name="Commands and keys").click()
    axe.check_here(bench.page, "dialog")
    bench.page.keyboard.press("Escape")
