"""Make the pictures of the documentation from the first lesson, trained to its end: light and dark.

python -m tests.browser.screenshots [FOLDER]        (default: docs)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, chromium
from tests.browser.lab import Lab, run_all
from tests.browser.test_lesson import BENCH, LESSON, PICTURES

MINUTES = 5


def shoot(context: BrowserContext, lab: Lab, dark: bool, target: Path) -> None:
    lab.theme(dark)
    page = context.new_page()
    page.set_viewport_size({"width": 1500, "height": 2100})
    run_all(page, lab, LESSON.name)
    page.wait_for_function(
        """([selector, images]) => {
             const root = document.querySelector(selector);
             if (!root) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 200);
             return root?.dataset.images === String(images);
           }""",
        arg=[BENCH, PICTURES],
        timeout=MINUTES * 60_000,
    )
    bench = page.locator(BENCH)
    bench.scroll_into_view_if_needed()
    # A layer in the middle, so that the picture shows how layers and circuit are linked.
    bench.locator("tr[data-layer]").nth(6).click()
    bench.screenshot(path=target)
    page.close()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        lab = Lab(Path(base))
        lab.copy(LESSON)
        context = playwright.chromium.launch_persistent_context(
            str(Path(base) / "profile"), executable_path=chromium(), headless=True, args=CHROMIUM_FLAGS
        )
        try:
            for dark in (False, True):
                shoot(context, lab, dark, folder / f"workbench-{'dark' if dark else 'light'}.png")
        finally:
            context.close()
            lab.close()


if __name__ == "__main__":
    main()
