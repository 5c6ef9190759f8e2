"""What is in the wheel and the sdist, and that one gives the other.

The distributions are built once, in a copy of the tree, so that a test never touches the checkout's own bundle.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent
STATIC = "pcbench_widgets/static/"
LIMIT = 500_000
IGNORED = shutil.ignore_patterns(
    *(".git", ".venv", "node_modules", "__pycache__", "dist", "build", ".*_cache", ".hypothesis", "test-results")
)


@dataclass(frozen=True)
class Distributions:
    sdist: Path
    wheel: Path
    wheel_from_sdist: Path


def build(source: Path, target: Path, kind: str) -> Path:
    """Builds with the tools of this environment: no network, and Node must not be needed a second time."""
    environment = {name: value for name, value in os.environ.items() if name != "PCBENCH_SKIP_FRONTEND"}
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.iterdir()
    return built


def bundle_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pcbench_bundle_under_test", ROOT / "widgets" / "bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    assert bundle_module().is_fresh(), "the front end is not built from these sources: run `make bundle`"
    base = tmp_path_factory.mktemp("dist")
    source = base / "source"
    shutil.copytree(ROOT, source, ignore=IGNORED)
    sdist = build(source, base / "sdist", "sdist")
    wheel = build(source, base / "wheel", "wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(base / "unpacked", filter="data")
    (unpacked,) = (base / "unpacked").iterdir()
    return Distributions(sdist, wheel, build(unpacked, base / "second", "wheel"))


def contents(wheel: Path) -> dict[str, str]:
    """Name → hash of every file, but for RECORD, which only repeats the others."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if not name.endswith("/RECORD")
        }


def test_wheel_installs_three_packages_and_nothing_else(built: Distributions) -> None:
    top = {name.split("/")[0] for name in contents(built.wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == {"pcbench", "pcbench_kernels", "pcbench_widgets"}


def test_wheel_carries_the_front_end_within_its_limit(built: Distributions) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        script = archive.read(STATIC + "workbench.js")
        assert archive.getinfo(STATIC + "workbench.style.css").file_size > 1000
    assert 50_000 < len(script) <= LIMIT
    assert b"export" in script


def test_wheel_carries_every_data_file_and_type_marker(built: Distributions) -> None:
    inside = contents(built.wheel)
    wanted = [path.relative_to(ROOT).as_posix() for path in (ROOT / "pcbench" / "datasets").rglob("*.gz")]
    assert set(wanted) <= set(inside)
    assert "pcbench/lessons/01-first-lesson.ipynb" in inside
    assert {"pcbench/py.typed", "pcbench_widgets/py.typed"} <= set(inside)


def test_wheel_from_sdist_is_the_same(built: Distributions) -> None:
    assert contents(built.wheel_from_sdist) == contents(built.wheel)


def test_sdist_holds_sources_and_bundle_but_no_node_modules(built: Distributions) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"widgets/src/workbench/index.tsx", "widgets/package-lock.json", f"widgets/{STATIC}workbench.js"} <= names
    assert {"hatch_build.py", "widgets/bundle.py", "LICENSE", "constraints.txt"} <= names
    assert not [name for name in names if "node_modules" in name]


def test_stamp_tells_fresh_from_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash decides and not the file's absence: an old bundle over new sources is the error nobody sees."""
    bundle = bundle_module()
    copy = tmp_path / "widgets"
    shutil.copytree(ROOT / "widgets", copy, ignore=IGNORED)
    static = copy / "pcbench_widgets" / "static"
    for name, path in {
        "WIDGETS": copy,
        "BUNDLE": static / "workbench.js",
        "STYLE": static / "workbench.style.css",
        "STAMP": static / "build.json",
    }.items():
        monkeypatch.setattr(bundle, name, path)
    assert bundle.is_fresh()
    source = copy / "src" / "workbench" / "view.tsx"
    text = source.read_text()
    source.write_text(text + "// one more line\n")
    assert not bundle.is_fresh()
    source.write_text(text)
    assert bundle.is_fresh()
    (static / "workbench.js").write_text("export default {}")
    assert not bundle.is_fresh()


def test_no_package_where_the_law_forbids_one() -> None:
    """A wheel that installed a top-level `kernels` would break another project's package of that name."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "widgets" / "__init__.py").exists()


def test_every_javascript_version_is_exact() -> None:
    package = json.loads((ROOT / "widgets" / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert versions
    assert [f"{name} {v}" for name, v in versions.items() if not v[0].isdigit()] == []
