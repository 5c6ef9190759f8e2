"""Make the pictures of the lab in the documentation, from an exported page: light and dark.

python -m tests.browser.lab_screenshots [FOLDER]        (default: docs)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from pcbench_widgets import lab
from pcbench_widgets.builder.templates import naive_bayes
from tests.browser.conftest import CHROMIUM_FLAGS, chromium


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    folder.mkdir(parents=True, exist_ok=True)
    bench = lab(naive_bayes())
    bench.lab.evidence = {"f1": 1, "f2": 1}
    bench.lab.query = ["class"]
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        lesson = bench.lab.export(Path(base) / "lesson.html")
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=CHROMIUM_FLAGS)
        for scheme in ("light", "dark"):
            size = {"width": 1280, "height": 720}
            page = browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
            page.goto(lesson.as_uri())
            page.get_by_role("application").focus()
            page.keyboard.press("End")
            page.locator(".pcb-lab[data-way='down']").wait_for()
            page.get_by_role("button", name="Draw", exact=True).click()
            page.locator(".pcb-root").screenshot(path=folder / f"lab-{scheme}.png")
        browser.close()
    bench.close()


if __name__ == "__main__":
    main()
