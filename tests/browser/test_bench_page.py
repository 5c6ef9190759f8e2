"""The page of ``pcbench bench --page``: no network, light and dark, the answers before what explains them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from pcbench_widgets.bench_page import bench_page

from .axe import violations

FACTS = {"device": "NVIDIA H200", "torch": "2.11.0", "pyjuice": "2.6.3", "date": "2026-12-01", "repeat": 7, "cold": True}
ROW = {
    "batch": 512, "status": "ok", "log_likelihood_error": 4e-6, "flow_error": 3e-3, "sum_edges": 8_126_976,
    "step_ms": 0.5, "alone_ms": 0.68, "forward_ms": 0.28, "backward_ms": 0.24, "em_ms": 0.18, "peak_gb": 0.16,
    "first_step_s": 3.7, "tflops": 49.8, "limit_ms": 0.07, "over_limit": 6.7, "anchor_ms": 5.2,
}  # fmt: skip
PEER = {"peer_step_ms": 4.8, "peer_alone_ms": 4.9, "faster": 9.6, "peer_peak_gb": 0.28, "memory_ratio": 0.56}


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_results(page: Page, tmp_path: Path, shots: Path, scheme: str) -> None:
    cells = [{**ROW, **PEER, "case": "hmm-512"}, {**ROW, **PEER, "case": "rat-64", "faster": 12.3}]
    rows = [*cells, {"case": "hclt-4096", "batch": 512, "status": "oom"}]
    bench_page(rows, tmp_path / "page.html", FACTS)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.route("http**", lambda route: route.abort())  # nothing is fetched
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".js-plotly-plot .barlayer .point").first.wait_for()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 27)")
    heads = page.locator("th").all_inner_texts()
    assert heads[:6] == ["case", "rows", "check", "step, ms", "PyJuice, ms", "× faster"]
    assert "PyJuice on an H100, ms" not in heads  # it was measured in the same run
    marks = page.locator(".js-plotly-plot .textpoint text").all_text_contents()
    assert [text.strip() for text in marks if text.strip()] == ["9.6×", "12.3×"]
    assert page.get_by_text("geometric mean 10.9×, least 9.6× (hmm-512, 512 rows)").is_visible()
    # Numbers scroll beside the names of their cases.
    page.set_viewport_size({"width": 700, "height": 900})
    page.locator(".wide").evaluate("element => { element.scrollLeft = 600 }")
    name, frame = page.locator("td").first.bounding_box(), page.locator(".wide").bounding_box()
    assert name is not None
    assert frame is not None
    assert name["x"] == pytest.approx(frame["x"], abs=1)
    assert violations(page, "main") == []
    page.screenshot(path=str(shots / f"bench-page-{scheme}.png"), full_page=True)
