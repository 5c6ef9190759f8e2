"""A lesson as one file: the front end, the circuits and the marks in one HTML page that needs no kernel and no network."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

from pcbench.errors import DataError

from .. import front_end

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
body {{ margin: 0; padding: 12px; background: #fff; font-family: system-ui, sans-serif; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #111; --jp-layout-color0: #111; --jp-layout-color1: #1b1b1b; --jp-layout-color2: #262626;
    --jp-ui-font-color1: #eee; --jp-ui-font-color2: #b8b8b8; --jp-border-color2: #4a4a4a; --jp-error-color1: #ff8a80; }}
}}
</style>
</head>
<body>
<main id="lab"></main>
<script type="application/json" id="lesson">{lesson}</script>
<script type="text/plain" id="bundle">{bundle}</script>
<script type="module">
const text = (id) => document.getElementById(id).textContent;
const source = Uint8Array.from(atob(text("bundle")), (c) => c.charCodeAt(0));
const url = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.body.setAttribute("data-jp-theme-light", String(!dark.matches));
dark.addEventListener("change", theme);
theme();
// A kernel that has said all it ever will: the lesson, and that nobody need wait for a sign of life.
const listeners = [];
const traits = {{ panes: ["lab"], height: 640 }};
const nothing = () => undefined;
const on = (_, listener) => listeners.push(listener);
const model = {{ get: (name) => traits[name], on, off: nothing, send: nothing }};
const tell = (message, buffers = []) => listeners.forEach((listener) => listener(message, buffers));
const bytes = (value) => new DataView(new TextEncoder().encode(value).buffer);
const workbench = (await import(url)).default();
workbench.initialize({{ model }});
tell({{ type: "beat", every: 1e9 }});
tell({{ type: "synced" }});
tell({{ type: "part", part: "lab", body: JSON.parse({head}) }}, [bytes(text("lesson"))]);
workbench.render({{ model, el: document.getElementById("lab") }});
</script>
</body>
</html>
"""


def page(lessons: list[dict[str, Any]], head: dict[str, Any], title: str) -> str:
    """The whole page; `head` is the message that a view gets, `lessons` what comes along with it.

    Raises:
        DataError: for lessons that only a kernel can answer.
    """
    large = [lesson["title"] for lesson in lessons if not lesson["small"]]
    if large:
        raise DataError(f"{large[0]!r} is too large to be evaluated in a page; a file without a kernel could not answer")
    return _PAGE.format(
        title=escape(title),
        style=front_end.style(),
        lesson=_inside(json.dumps(lessons, separators=(",", ":"))),
        bundle=base64.b64encode(front_end.script().encode()).decode(),
        head=_inside(json.dumps(json.dumps({**head, "standalone": True}))),
    )


def _inside(text: str) -> str:
    """JSON that no HTML parser takes for the end of its element."""
    return text.replace("<", "\\u003c")
