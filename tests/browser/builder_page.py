"""The builder's page and the kernel behind it, for the browser tests.

A second voice speaks Python to the same kernel (`Kernel`), as the notebook's user would. Every wait is for a counter that
the widget publishes: `data-rev` (what Python confirmed), `data-pending` (what it has not yet), `data-token` (the document).
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.kernel import Kernel

NOTEBOOK = "builder.ipynb"
ROOT = ".pcb-root:not(:has(.pcb-pane-circuit))"


#: A gesture's edit is pending at once, and rendered before the next task.
_SETTLED = """body => new Promise((resolve, reject) => {
  const late = setTimeout(() => reject(new Error(`${body.dataset.pending} edits are pending`)), 10_000);
  const look = () => {
    if (body.dataset.pending !== '0') return;
    clearTimeout(late);
    observer.disconnect();
    resolve(body.dataset.rev);
  };
  const observer = new MutationObserver(look);
  setTimeout(() => {
    observer.observe(body, {attributeFilter: ['data-pending', 'data-rev']});
    look();
  });
})"""


class Builder:
    """The page and the kernel behind it, as one."""

    def __init__(self, page: Page, kernel: Kernel, root: str = ROOT) -> None:
        self.page = page
        self.kernel = kernel
        self.body = page.locator(f"{root} .pcb-builder")
        self.canvas = self.body.get_by_role("application")

    def open(self, code: str) -> None:
        """Another document, made by Python: an expression."""
        before = self.body.get_attribute("data-token")
        self.kernel.run(f"bench.document = {code}")
        expect(self.body).not_to_have_attribute("data-token", before or "")
        expect(self.body).to_have_attribute("data-blocks", str(self.kernel.value("len(bench.document.blocks)")))

    def settle(self) -> int:
        """Waits until Python has confirmed or refused everything; gives the revision."""
        rev: str = self.body.evaluate(_SETTLED)
        return int(rev)

    def at_rev(self, rev: int) -> None:
        expect(self.body).to_have_attribute("data-rev", str(rev))
        expect(self.body).to_have_attribute("data-pending", "0")

    def state(self) -> Any:
        return self.kernel.value("bench.document.state()")

    def card(self, block: int) -> Locator:
        return self.body.locator(f".pcb-card[data-block='{block}']")

    def press(self, *keys: str) -> None:
        self.canvas.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def middle(self, place: Locator) -> tuple[float, float]:
        box = place.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Presses and moves there; the button stays down."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        self.page.mouse.move(*end, steps=3)
