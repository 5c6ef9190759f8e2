"""The accessibility rules of axe-core, run on a part of a page, in JupyterLab's light and its dark theme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[2] / "widgets" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = {False: "JupyterLab Light", True: "JupyterLab Dark"}


def use_theme(page: Page, dark: bool) -> None:
    """Changes the theme through the menu, and waits until the page has its colours."""
    if page.evaluate("document.body.dataset.jpThemeLight === 'false'") == dark:
        return
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    for name in ("Theme", THEMES[dark]):
        page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True).click()
    # The attribute changes before the style sheet has come; the sheet brings the paper's colour.
    page.wait_for_function(
        """dark => {
             const color = getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim();
             const names = {white: 15, black: 0};
             const first = color.startsWith('#') ? parseInt(color[1], 16) : names[color];
             return document.body.dataset.jpThemeLight === String(!dark) && (dark ? first < 8 : first > 8);
           }""",
        arg=dark,
    )


def violations(page: Page, selector: str = ".pcb-root") -> list[str]:
    """What axe-core finds in the elements under ``selector``: the rule, its help, and where, one line an element."""
    if not SCRIPT.is_file():
        raise RuntimeError(f"{SCRIPT} is missing: `python widgets/bundle.py --deps` installs it")
    if page.locator(selector).count() == 0:
        raise AssertionError(f"nothing on the page matches {selector!r}")
    if page.evaluate("typeof window.axe") == "undefined":
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "async selector => (await axe.run({include: [[selector]]}, {resultTypes: ['violations']})).violations", selector
    )
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def check(page: Page, selector: str = ".pcb-root") -> None:
    """Fails with every violation under ``selector``, in both themes; leaves the page in the light one."""
    found = []
    for dark in (True, False):
        use_theme(page, dark)
        found += [f"{THEMES[dark]}: {text}" for text in violations(page, selector)]
    assert not found, "\n".join(found)


def check_here(page: Page, selector: str) -> None:
    """The same in the theme that is on: a dialog would close on the way through the menu."""
    found = violations(page, selector)
    assert not found, "\n".join(found)
