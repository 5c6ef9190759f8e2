"""The compiled layout's page and the kernel behind it, for the browser tests.

Every wait is for what the map publishes: `data-settled` (all tiles on the screen are there), `data-probe` (which pixel the
text beneath is of), `data-rev` (of the weights).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.kernel import Kernel

NOTEBOOK = "layout.ipynb"
ROOT = ".pcb-root:not(:has(.pcb-pane-builder))"


#: Waits, frame by frame, until the text beneath the map is of a pixel, and gives the text.
_TOLD = """([root, place]) => new Promise((resolve, reject) => {
  const from = performance.now();
  const look = () => {
    const probe = document.querySelector(root + ' .pcb-probe');
    if (probe.dataset.probe === place) resolve(probe.innerText);
    else if (performance.now() - from > 10000) reject(new Error(`not ${place} but ${probe.dataset.probe}`));
    else requestAnimationFrame(look);
  };
  look();
})"""


@dataclass(frozen=True)
class Sight:
    """Where the matrix is on the canvas, in CSS pixels, and how large."""

    x: float
    y: float
    scale: float
    level: int
    rows: int
    cols: int

    def pixels(self) -> tuple[int, int]:
        """Rows and columns of pixels at the level that is shown."""
        return -(-self.rows >> self.level), -(-self.cols >> self.level)

    def middle_of(self, row: int, col: int) -> tuple[float, float]:
        """The middle of a pixel of the level, on the canvas."""
        step = 1 << self.level
        high, wide = min(step, self.rows - row * step), min(step, self.cols - col * step)
        return self.x + (col * step + wide / 2) * self.scale, self.y + (row * step + high / 2) * self.scale


class Layout:
    """The page and the kernel behind it, as one."""

    def __init__(self, page: Page, kernel: Kernel, root: str = ROOT) -> None:
        self.page, self.kernel, self.selector = page, kernel, root
        self.root = page.locator(root)
        self.canvas = self.root.locator(".pcb-map canvas")
        self.probe = self.root.locator(".pcb-probe")

    def show(self, code: str, rows: int) -> None:
        """Another model, an expression of Python's, whose largest layer has so many nodes."""
        self.kernel.run(f"bench.model = {code}")
        expect(self.canvas).to_have_attribute("data-rows", str(rows))
        self.settle()

    def settle(self) -> None:
        expect(self.canvas).to_have_attribute("data-settled", "true")

    def mode(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()
        expect(self.canvas).to_have_attribute("data-mode", name)
        self.settle()

    def tab(self, name: str) -> None:
        self.root.get_by_role("tab", name=name).click()

    def press(self, *keys: str) -> None:
        self.canvas.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def sight(self) -> Sight:
        told: list[str] = self.canvas.evaluate("({dataset: d}) => [d.view, d.level, d.rows, d.cols]")
        x, y, scale = map(float, told[0].split(","))
        return Sight(x, y, scale, *map(int, told[1:]))

    def hover(self, row: int, col: int) -> str:
        """Points at a pixel of the level that is shown; what the text beneath then says of it."""
        sight = self.sight()
        self.page.mouse.move(*self._at(row, col, sight))
        told: str = self.page.evaluate(_TOLD, [self.selector, f"{sight.level},{row},{col}"])
        return told

    def click(self, row: int, col: int) -> None:
        """Clicks on a pixel of the level that is shown."""
        self.page.mouse.click(*self._at(row, col, self.sight()))

    def _at(self, row: int, col: int, sight: Sight) -> tuple[float, float]:
        box = self.canvas.bounding_box()
        assert box is not None
        x, y = sight.middle_of(row, col)
        return box["x"] + x, box["y"] + y

    def painted(self) -> str:
        """A hash of the canvas."""
        self.page.mouse.move(2, 2)
        expect(self.probe).to_have_attribute("data-probe", "")
        data: str = self.canvas.evaluate(
            """async c => {
                 await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
                 return c.toDataURL();
               }"""
        )
        return hashlib.sha256(data.encode()).hexdigest()

    def beside(self) -> tuple[int, int]:
        """How many pixels are painted outside the matrix, and how many inside."""
        counted: list[int] = self.canvas.evaluate(
            """(c, [x, y, width, height]) => {
                 const ratio = window.devicePixelRatio, image = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
                 const [left, top] = [Math.round(x * ratio), Math.round(y * ratio)];
                 const [right, bottom] = [Math.round((x + width) * ratio), Math.round((y + height) * ratio)];
                 let outside = 0, inside = 0;
                 for (let i = 0; i < c.width * c.height; i++) {
                   if (!image[4 * i + 3]) continue;
                   const [col, row] = [i % c.width, Math.floor(i / c.width)];
                   if (col >= left && col < right && row >= top && row < bottom) inside++; else outside++;
                 }
                 return [outside, inside];
               }""",
            list(self._frame()),
        )
        return counted[0], counted[1]

    def _frame(self) -> tuple[float, float, float, float]:
        sight = self.sight()
        return sight.x, sight.y, sight.cols * sight.scale, sight.rows * sight.scale


def numbers_in(table: Locator, column: int) -> list[int]:
    """A column of a table, as whole numbers."""
    cells: list[Any] = table.locator(f"tbody tr > :nth-child({column})").all_inner_texts()
    return [int(text.replace(",", "")) for text in cells]
