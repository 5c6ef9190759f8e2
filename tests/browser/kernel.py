"""The kernel behind a notebook of the browser tests, spoken to as its user would: from Python, beside the page."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import BrowserContext, Page

from tests.browser.lab import TOKEN, Lab, run_all, watched_page

LIMIT = 60.0


class Kernel:
    """Runs code in the kernel of an open notebook; its cells and the page notice nothing."""

    def __init__(self, lab: Lab, notebook: str) -> None:
        address = f"http://127.0.0.1:{lab.port}/api/sessions?token={TOKEN}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            sessions: list[dict[str, Any]] = json.load(answer)
        id = next(session["kernel"]["id"] for session in sessions if session["path"] == notebook)
        self._client = BlockingKernelClient(connection_file=str(lab.connection_file(id)))
        self._client.load_connection_file()
        self._client.start_channels()

    def wait_until_ready(self) -> None:
        """After a restart: until it answers, and what it publishes is heard."""
        self._client.wait_for_ready(timeout=LIMIT)

    def run(self, code: str, limit: float = LIMIT) -> str:
        """Executes code and gives what it prints; an exception there is one here."""
        return execute(self._client, code, limit)

    def start(self, code: str) -> None:
        """Executes code without waiting for its end."""
        self._client.execute(code)

    def value(self, expression: str) -> Any:
        """An expression's value, through JSON."""
        return json.loads(self.run(f"import json\nprint(json.dumps({expression}))"))

    def close(self) -> None:
        self._client.stop_channels()


def execute(client: BlockingKernelClient, code: str, limit: float = LIMIT) -> str:
    request = client.execute(code)
    printed: list[str] = []
    deadline = time.monotonic() + limit
    while True:
        message = client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream" and content["name"] == "stdout":
            printed.append(content["text"])
        elif kind == "error":
            raise RuntimeError(f"{content['ename']}: {content['evalue']}\n" + "\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":
            return "".join(printed)


@contextmanager
def opened_notebook(
    context: BrowserContext, lab: Lab, notebook: str, ready: str, size: tuple[int, int] | None = None
) -> Iterator[tuple[Page, Kernel]]:
    """A page on which all of a notebook has run and `ready` is there, `size` pixels large, and the kernel behind it."""
    with watched_page(context) as page:
        if size is not None:
            page.set_viewport_size({"width": size[0], "height": size[1]})
        run_all(page, lab, notebook)
        page.wait_for_selector(ready, timeout=60_000)
        kernel = Kernel(lab, notebook)
        yield page, kernel
        kernel.close()
