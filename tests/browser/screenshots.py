"""Make the pictures of the documentation: every view on a real circuit, light and dark.

python -m tests.browser.screenshots [FOLDER [lab] [views] [lesson]]        (default: docs, and all; so does `make pictures`)

Workbench and dashboard show the first lesson, trained to its end; builder and layout what `notebooks/pictures.ipynb` trains;
the lab is an exported page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

from pcbench_widgets import lab as teaching_lab
from pcbench_widgets.builder.templates import naive_bayes
from tests.browser import axe, small_png
from tests.browser.conftest import CHROMIUM_FLAGS, HERE, chromium
from tests.browser.lab import Lab, run_all
from tests.browser.test_lesson import BENCH, LESSON, PICTURES

MINUTES = 5
#: Scrolls down until the notebook has drawn an element that fulfils a condition, and the condition holds.
_THERE = """([selector, attribute, value]) => {
  const found = document.querySelector(selector);
  if (!found) document.querySelector('.jp-WindowedPanel-outer')?.scrollBy(0, 200);
  return found?.getAttribute(attribute) === value;
}"""


def wait(page: Page, selector: str, attribute: str, value: str) -> Locator:
    page.wait_for_function(_THERE, arg=[selector, attribute, value], timeout=MINUTES * 60_000)
    place = page.locator(selector)
    place.scroll_into_view_if_needed()
    return place


class Camera:
    """Takes each picture twice, and keeps the files small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def both(self, page: Page, **places: Locator) -> None:
        for dark in (False, True):
            axe.use_theme(page, dark)
            page.mouse.move(2, 2)
            for name, place in places.items():
                self.one(page, place, f"{name}-{'dark' if dark else 'light'}.png")

    def one(self, page: Page, place: Locator, name: str) -> None:
        place.scroll_into_view_if_needed()
        # A theme is there at once, and what is painted on canvases two frames later.
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        target = self.folder / name
        small_png.write(page, place.screenshot(), target)
        print(f"{target}: {target.stat().st_size:,} bytes")


def lesson(context: BrowserContext, lab: Lab, camera: Camera) -> None:
    """The first lesson: all of the workbench, and the dashboard by itself."""
    page = context.new_page()
    page.set_viewport_size({"width": 1500, "height": 2400})  # all of it on the screen at once
    run_all(page, lab, LESSON.name)
    bench = wait(page, BENCH, "data-images", str(PICTURES))
    # A layer in the middle, so that the picture shows how layers and circuit are linked.
    bench.locator("tr[data-layer]").nth(6).click()
    camera.both(page, workbench=bench, dashboard=bench.locator(".pcb-pane-training"))
    page.close()


def views(context: BrowserContext, lab: Lab, camera: Camera) -> None:
    """Builder and compiled layout, each alone."""
    page = context.new_page()
    page.set_viewport_size({"width": 1500, "height": 1000})
    run_all(page, lab, "pictures.ipynb")
    builder = ".pcb-root:has(.pcb-pane-builder)"
    body = wait(page, f"{builder} .pcb-builder", "data-problems", "0")
    evidence = body.get_by_role("region", name="Evidence on the canvas")
    for name, value in (("x3", "1"), ("x8", "0")):
        evidence.locator(f".pcb-field:has([title='{name}']) select").select_option(value)
    body.get_by_role("application").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown"):  # the root, its product, and a sum
        page.keyboard.press(key)
    body.locator(".pcb-answer").wait_for()
    camera.both(page, builder=page.locator(builder))
    layout = ".pcb-root:has(.pcb-pane-program)"
    wait(page, f"{layout} .pcb-map canvas", "data-settled", "true")
    page.locator(layout).get_by_role("button", name="flow", exact=True).click()
    wait(page, f"{layout} .pcb-map canvas", "data-settled", "true")
    camera.both(page, layout=page.locator(layout))
    page.close()


def teaching(context: BrowserContext, base: Path, camera: Camera) -> None:
    """The lab, on an exported page: evidence, values and flows, samples."""
    bench = teaching_lab(naive_bayes())
    bench.lab.evidence = {"f1": 1, "f2": 1}
    bench.lab.query = ["class"]
    exported = bench.lab.export(base / "lesson.html")
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 720})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # a Literal
        page.goto(exported.as_uri())
        page.get_by_role("application").focus()
        page.keyboard.press("End")
        page.locator(".pcb-lab[data-way='down']").wait_for()
        page.get_by_role("button", name="Draw", exact=True).click()
        camera.one(page, page.locator(".pcb-root"), f"lab-{scheme}.png")
    page.close()
    bench.close()


def main() -> None:
    folder, *chosen = sys.argv[1:] or ["docs"]
    if unknown := set(chosen) - {"lab", "views", "lesson"}:
        raise SystemExit(f"{', '.join(sorted(unknown))}: expected some of lab, views, lesson")
    camera = Camera(Path(folder))
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        base = Path(temporary)
        lab = Lab(base)
        lab.copy(LESSON, HERE / "notebooks")
        context = playwright.chromium.launch_persistent_context(
            str(base / "profile"), executable_path=chromium(), headless=True, args=CHROMIUM_FLAGS
        )
        try:
            if "lab" in (chosen or ["lab"]):
                teaching(context, base, camera)
            if "views" in (chosen or ["views"]):
                views(context, lab, camera)
            if "lesson" in (chosen or ["lesson"]):
                lesson(context, lab, camera)
        finally:
            context.close()
            lab.close()


if __name__ == "__main__":
    main()
