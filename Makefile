# Every target does its own set-up, and only again when the lock file changed.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --no-header --annotation-style=line \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

# All processors; tests of one file share servers.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-all bench bench-smoke check format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## run quotad on 127.0.0.1:8080 with its own Redis and demo data, until Ctrl-C
	@$(BIN)/quotad serve --demo

test: $(VENV)/.dev ## run the test suite against a real Redis that it starts itself
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev ## the same with the slow tests
	$(PYTEST)

bench: $(VENV)/.bench ## measure speed and exactness beside floors and peers (under 50 minutes; results in bench/results)
	$(BIN)/python -m bench

bench-smoke: $(VENV)/.bench ## the same once, briefly and small: shows that everything runs
	$(BIN)/python -m bench --smoke

check: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict

format: $(VENV)/.dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/.dev ## write the lock files anew from pyproject.toml
	$(PIP) install pip-tools==7.6.2
	$(COMPILE) --upgrade --output-file requirements.lock pyproject.toml
	$(COMPILE) --upgrade --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --upgrade --extra bench --constraint requirements-dev.lock --output-file requirements-bench.lock pyproject.toml

clean: ## remove the environment and all caches, never the data in .data
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in python3.11 python3.12 python3.13 python3.14 python3; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "Creating $(VENV) with $$($$python --version)"; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "No Python 3.11 or newer with the venv module was found: install python3.11 (on Debian and Ubuntu also python3.11-venv)." >&2; \
	exit 1

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing requirements.lock"
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing requirements-dev.lock"
	@$(PIP) install -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.dev
	@echo "Installing requirements-bench.lock"
	@$(PIP) install -r requirements-bench.lock
	@touch $@
