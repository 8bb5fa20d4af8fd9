# pie: set-up, tests and the local cluster. `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# fast: needs neither Go nor root. real: all tests, also those with a real control plane, real nodes, csi-sanity.
# The others are parts of real (tests/tiers/table.py). MARKERS=real: without what the fast tier runs.
TIER ?= fast
TIERS := fast real main oldest image weather testbed shown
MARKERS ?=
# Tests mostly wait: the fast ones for the embedded cluster, the real ones for the next minute. Of the real ones
# three files at a time, each with testbeds of its own, in the order of tests/conftest.py: the longest first.
WORKERS_fast := --numprocesses 4 --dist worksteal
WORKERS_real := --numprocesses 3 --dist loadfile --no-loadscope-reorder
WORKERS = $(WORKERS_$(if $(filter fast,$(TIER)),fast,real))

# Tests start hundreds of Python processes: each would compile pie again where Python may not keep its bytecode.
COMPILED := PYTHONDONTWRITEBYTECODE=

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "pie needs Python 3.11 or later, and $(PYTHON) is not. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP) ## Make the virtual environment in .venv

lint: setup ## Check style, types and imports
	@$(MAKE) --no-print-directory --jobs --output-sync style types imports

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

test: lint ## Lint, then the tests that need neither Go nor root; TIER=real: all tests
	@if [ -z "$(filter $(TIER),$(TIERS))" ]; then echo "TIER is one of: $(TIERS); not $(TIER)" >&2; exit 2; fi
	@[ "$(TIER)" = fast ] || $(MAKE) --no-print-directory prepare-real
	$(COMPILED) $(BIN)/python -m tests.tiers run $(TIER) $(if $(MARKERS),-m "$(MARKERS)") $(WORKERS)

# Says what the machine lacks for the real tests; builds Kubernetes and the rest when it is not in the cache.
prepare-real: setup
	@$(BIN)/python -m testbed doctor || { \
		if [ -n "$$CI" ]; then echo "make: in CI the real tests need all of this" >&2; exit 1; fi; \
		echo "make: TESTS THAT NEED THIS WILL BE SKIPPED" >&2; }
	@! command -v go >/dev/null || $(BIN)/python -m testbed build

explore: setup ## Try the property tests with random examples; `make test` tries the same ones each time
	$(BIN)/pytest -m "hypothesis and not real" --hypothesis-profile explore $(WORKERS_fast)

verdicts: setup ## Write docs/verdicts.md from the tables in tests/core/cases
	$(BIN)/python -m tests.core.cases

pages: setup ## Write the pages of docs that are generated from the code: runbooks, and two tables
	$(BIN)/python -m website

faults: prepare-real ## Break real storage in every way, and write docs/faults.md (root, half an hour)
	$(BIN)/python -m tests.faults

maintenance: prepare-real ## Reboot, cordon and taint 300 simulated nodes wave by wave: no failure, no incident (root, Go)
	$(BIN)/python bench/maintenance.py

weather: prepare-real ## Kill, freeze, slow and garble what pie talks to, and write docs/reliability.md (root, Go; half an hour)
	$(BIN)/python -m tests.weather

versions: prepare-real ## Try every pinned version of Kubernetes, and write docs/versions.md (root, Go; an hour or two)
	$(BIN)/python -m tests.versions $(VERSIONS)

outage: setup ## Let a CSI driver crash on 5,000 simulated nodes: one incident, few reads (Python only, minutes)
	$(BIN)/python bench/outage.py

bench: prepare-real ## Measure both runners on clusters of several sizes, and write docs/benchmarks.md (root, Go; an hour)
	$(BIN)/python -m bench.scale $(BENCH)

site: setup ## Build the documentation site into build/site, with search; it fails on a dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

run: setup ## Show pie at work on a small cluster in one process: real I/O, faults, a page (Python only)
	@$(BIN)/pie demo $(DEMO)

run-real: setup ## Probe real volumes on a real local Kubernetes, and show what comes of it (root, Go)
	@$(BIN)/python -m testbed.run

lock: setup ## Choose the newest versions of all dependencies, and pin them with hashes
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) pyproject.toml -o requirements/pie.lock
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) -c requirements/pie.lock --group dev --group testbed pyproject.toml \
		-o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --upgrade $(LOCK) -c requirements/dev.lock --group build -o requirements/build.lock
	$(BIN)/python -m image.wheels
LOCK := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

clean: ## Remove what set-up and tests made in the checkout (not the caches outside it)
	rm -rf $(VENV) dist build testbed/csi/generated .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup lint style types imports test explore prepare-real verdicts pages faults maintenance weather versions outage bench site run run-real lock clean
