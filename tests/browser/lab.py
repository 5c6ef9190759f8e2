"""A JupyterLab of its own for the browser tests: fresh folders, loopback, a token, and no news popup."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import BrowserContext, Page

TOKEN = "pcbench-browser-test"
START_LIMIT = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Lab:
    """`jupyter lab` as a process; `folder` is its root and holds the notebooks. Whoever needs it first waits until it is up."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "notebooks"
        self.folder.mkdir()
        self._log = base / "jupyter.log"
        environment = {**os.environ, "JUPYTER_PLATFORM_DIRS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        of_jupyter = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTER_DATA_DIR")
        for name in (*of_jupyter, "XDG_STATE_HOME"):
            folder = base / name.lower()
            folder.mkdir()
            environment[name] = str(folder)
        # The popup that asks about news would cover the bottom right of the page.
        settings = base / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
        self._settings = settings
        self.port = free_port()
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"),
            *("--allow-root", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.folder}"),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",  # each page would ask the network
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self._up = False
        self._clients: list[BlockingKernelClient] = []

    def _wait_until_up(self) -> None:
        if self._up:
            return
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api?token={TOKEN}", timeout=2):
                    self._up = True
                    return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self._log.read_text()[-3000:]}")

    def theme(self, dark: bool) -> None:
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        (self._settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": name}))

    def copy(self, *sources: Path) -> None:
        """Puts a file, or the contents of a folder, into the lab's root."""
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.folder)

    def begin(self, notebook: str) -> None:
        """Starts a notebook's kernel, and in it the import that takes seconds; meanwhile the page is loaded."""
        self._wait_until_up()
        wanted = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/sessions?token={TOKEN}",
            json.dumps(wanted).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            id = json.load(answer)["kernel"]["id"]
        client = BlockingKernelClient(connection_file=str(self.connection_file(id)))
        client.load_connection_file()
        client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
        client.execute("import pcbench_widgets", silent=True, store_history=False)
        self._clients.append(client)  # a socket that is closed before the kernel listens would take the message along

    def connection_file(self, id: str) -> Path:
        return self.folder.parent / "jupyter_data_dir" / "runtime" / f"kernel-{id}.json"

    def url(self, notebook: str) -> str:
        self._wait_until_up()
        return f"http://127.0.0.1:{self.port}/lab/tree/{notebook}?reset&token={TOKEN}"

    def close(self) -> None:
        for client in self._clients:
            client.stop_channels()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def watched_page(context: BrowserContext) -> Iterator[Page]:
    """A new page; at its end no script on it may have failed."""
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(f"{error}\n{error.stack}"))
    yield page
    page.close()
    assert failures == [], f"a script on the page failed: {failures[:3]}"


def run_all(page: Page, lab: Lab, notebook: str) -> None:
    """Opens a notebook with a fresh kernel and runs all of it."""
    lab.begin(notebook)
    page.goto(lab.url(notebook))
    # Before the kernel is there, Run All would ask which kernel to take.
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
