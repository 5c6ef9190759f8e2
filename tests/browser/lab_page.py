"""The teaching lab's page and the kernel behind it, for the browser tests.

A second voice speaks Python to the same kernel. Waits are for what the lab publishes: `data-token` (the circuit), `data-at`
(the step), `data-log` (the answer).
"""

from __future__ import annotations

import math
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.kernel import Kernel

NOTEBOOK = "lab.ipynb"
ROOT = ".pcb-root:has(.pcb-pane-lab):not(:has(.pcb-pane-circuit))"


class LabPage:
    """The lab on a page; with a kernel, unless it is a page of its own."""

    def __init__(self, page: Page, kernel: Kernel | None = None) -> None:
        self.page = page
        self._kernel = kernel
        self.pane = page.locator(ROOT)
        self.body = page.locator(f"{ROOT} .pcb-lab")
        self.canvas = self.body.get_by_role("application")

    @property
    def kernel(self) -> Kernel:
        assert self._kernel is not None, "this page has no kernel"
        return self._kernel

    def subject(self, code: str) -> None:
        """Another circuit, made by Python: an expression."""
        before = self.body.get_attribute("data-token")
        self.kernel.run(f"bench.lab.subject = {code}")
        expect(self.body).not_to_have_attribute("data-token", before or "")

    def told(self, expression: str, value: Any) -> None:
        """Waits until Python, which hears of clicks a moment later, sees this."""
        for _ in range(100):
            found = self.kernel.value(expression)
            if found == value:
                return
        raise AssertionError(f"{expression} is {found!r}, not {value!r}")

    def example(self, title: str) -> None:
        self.body.get_by_label("Circuit", exact=True).select_option(title)

    def mark(self, label: str) -> Locator:
        """A button of the evidence panel, by its name: "x1 = 1", "sum x1 out", "ask for x1", "soft evidence on x1"."""
        return self.body.get_by_role("region", name="Evidence").get_by_role("button", name=label, exact=True)

    def press(self, *keys: str) -> None:
        self.canvas.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def at(self, step: int) -> None:
        expect(self.body).to_have_attribute("data-at", str(step))

    def number(self, selector: str, attribute: str) -> float:
        return float((self.body.locator(selector).get_attribute(attribute) or "nan").replace("Infinity", "inf"))

    @property
    def log(self) -> float:
        return self.number(".pcb-answer", "data-log")

    def shown(self, selector: str) -> float:
        """A number as it is written, as people read it."""
        text = self.body.locator(selector).first.inner_text().replace("−", "-")
        return math.exp(float(text[2:])) if text.startswith("e^") else float(text)

    def bars(self) -> dict[str, list[float]]:
        """The conditional distributions on screen."""
        tables = self.body.locator(".pcb-lab-bars")
        rows: list[list[Any]] = tables.evaluate_all(
            "all => all.map(t => [t.dataset.variable, [...t.querySelectorAll('tr')].map(r => Number(r.dataset.p))])"
        )
        return dict(rows)

    def table(self) -> list[dict[str, Any]]:
        """The nodes as the picture's twin lists them: value and flow in full, and what each parent gives."""
        found: list[dict[str, Any]] = self.body.locator(".pcb-lab-table tr[data-row]").evaluate_all(
            """rows => rows.map(row => ({
                 node: Number(row.dataset.row), up: row.dataset.up ?? null, down: row.dataset.down ?? null,
                 into: JSON.parse(row.dataset.into ?? 'null'), said: [...row.cells].map(cell => cell.innerText),
               }))"""
        )
        return found
