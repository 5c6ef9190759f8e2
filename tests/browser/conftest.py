"""Fixtures of the browser tests: Debian's Chromium driven by Playwright, and a JupyterLab of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from tests.browser import lab_page
from tests.browser.builder_page import NOTEBOOK, ROOT, Builder
from tests.browser.kernel import opened_notebook
from tests.browser.lab import Lab, watched_page
from tests.browser.lab_page import LabPage

HERE = Path(__file__).parent
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]


def chromium() -> str:
    """A missing browser is an error and never a skip: a run that skips tells nothing about the browser."""
    found = os.environ.get("PCBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise RuntimeError("browser tests need Chromium: `make browser` installs Debian's, or set PCBENCH_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("lab"))
    running.copy(HERE / "notebooks", HERE.parent / "widgets" / "scripted_run.py")
    yield running
    running.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def context(lab: Lab, driver: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    # After the lab, which starts on while the browser does.
    profile = tmp_path_factory.mktemp("profile")
    opened = driver.chromium.launch_persistent_context(
        str(profile),
        executable_path=chromium(),
        headless=True,
        args=CHROMIUM_FLAGS,
        viewport={"width": 1500, "height": 1500},
    )
    opened.set_default_timeout(30_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when any script on it fails."""
    with watched_page(context) as opened:
        yield opened


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots go; they are for people, and no test compares them."""
    folder = Path(os.environ.get("PCBENCH_SCREENSHOTS", "test-results"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def opened(context: BrowserContext, lab: Lab) -> Iterator[Builder]:
    """One page for all tests of the builder: opening a lab is the slow part."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with opened_notebook(context, lab, NOTEBOOK, f"{ROOT} .pcb-builder[data-rev='0']") as (page, kernel):
        kernel.run("import pcbench\nfrom pcbench_widgets import Document")
        yield Builder(page, kernel)


@pytest.fixture
def builder(opened: Builder) -> Builder:
    opened.page.set_viewport_size({"width": 1500, "height": 1500})
    opened.open("Document()")
    return opened


@pytest.fixture(scope="session")
def teaching(context: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for all tests of the teaching lab."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with opened_notebook(context, lab, lab_page.NOTEBOOK, f"{lab_page.ROOT} .pcb-lab") as (page, kernel):
        kernel.run(
            f"import sys\nsys.path.insert(0, {str(HERE.parents[1])!r})\nimport pcbench\n"
            "from tests.widgets.lab_cases import grown\nfrom pcbench_widgets.builder.templates import naive_bayes, two_coins"
        )
        yield LabPage(page, kernel)


@pytest.fixture
def classroom(teaching: LabPage) -> LabPage:
    """The lab on the two coins, with nothing marked."""
    teaching.page.set_viewport_size({"width": 1500, "height": 1100})
    teaching.subject("two_coins()")
    return teaching
