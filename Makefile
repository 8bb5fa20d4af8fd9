# pie: set-up, tests and the local cluster. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TIER ?= fast
VENV := .venv
STAMP := $(VENV)/.stamp

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements/dev.lock
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements/dev.lock
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP) ## Make the virtual environment in .venv

.PHONY: help setup
