"""Where the built front end lies, and what to show where nobody built it."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"
BUNDLE = STATIC / "workbench.js"
STYLE = STATIC / "workbench.style.css"

_MISSING = """
export default {
  render({ el }) {
    el.textContent =
      "This install of pcbench has no front end (it was installed with PCBENCH_SKIP_FRONTEND). " +
      "In a checkout run `make bundle`, else install again without that variable; then restart the kernel.";
  },
};
"""


def script() -> str:
    return BUNDLE.read_text(encoding="utf-8") if BUNDLE.is_file() else _MISSING


def style() -> str:
    return STYLE.read_text(encoding="utf-8") if STYLE.is_file() else ""
