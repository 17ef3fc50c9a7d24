# What one can do here. `make help` lists the verbs; each works the same on a laptop and in CI.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
T ?= tests
# A home that cannot be written to (CI as a bare user) gets its download cache inside the virtual environment.
HOME_OK := $(shell [ -n "$$HOME" ] && [ -w "$$HOME" ] && echo yes)
UV_ENV := UV_NO_PROGRESS=1 $(if $(HOME_OK)$(UV_CACHE_DIR),,UV_CACHE_DIR=$(VENV)/.cache)

.PHONY: help setup run demo test check format openapi bench soak lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(BIN)/.uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Holdfast needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 || echo missing). Try: make setup PYTHON=python3.12" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { echo "Python could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-uv.txt
	@touch $@

# uv itself is listed so that a sync does not remove it. $(1): the lock to install.
define install
	@VIRTUAL_ENV=$(VENV) $(UV_ENV) $(UV) pip sync --quiet --python $(BIN)/python --require-hashes --only-binary :all: $(1) requirements-uv.txt
	@VIRTUAL_ENV=$(VENV) $(UV_ENV) $(UV) pip install --quiet --python $(BIN)/python --offline --no-deps --editable .
endef

# Enough to run. A newcomer's `make run` waits for these packages only.
$(BIN)/.installed: requirements.txt pyproject.toml $(BIN)/.uv
	$(call install,requirements.txt)
	@touch $@

# Enough to develop: everything above and the tools.
$(BIN)/.installed-dev: requirements-dev.txt pyproject.toml $(BIN)/.uv
	$(call install,requirements-dev.txt)
	@touch $(BIN)/.installed $@

setup: $(BIN)/.installed-dev ## Virtual environment with everything that developing needs
	@:

lock: $(BIN)/.uv ## Renew requirements*.txt from requirements*.in
	@for name in uv "" dev; do \
	  in=requirements$${name:+-$$name}.in; out=requirements$${name:+-$$name}.txt; \
	  $(UV_ENV) $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $$([ "$$name" != dev ] || echo "-c requirements.txt") $$in -o $$out; done

run: $(BIN)/.installed ## API and worker on a local database (HOLDFAST_PORT, HOLDFAST_DATA_DIR)
	@exec $(BIN)/python -m app.cli serve

demo: $(BIN)/.installed ## A believable provider with incidents at every stage, in a tenant of its own
	@exec $(BIN)/python -m app.cli demo

# PG=15 takes the system's PostgreSQL 15 instead of the packaged one; T selects; A passes anything else to pytest.
ifdef PG
PG_BINDIR := $(firstword $(wildcard /usr/lib/postgresql/$(PG)/bin /usr/pgsql-$(PG)/bin /opt/homebrew/opt/postgresql@$(PG)/bin))
endif

test: setup ## All tests; T=tests/domain for some, PG=15 for an older PostgreSQL
ifdef PG
	@[ -n "$(PG_BINDIR)" ] || { echo "PG=$(PG): no PostgreSQL $(PG) programs found (on Debian and Ubuntu: apt install postgresql-$(PG))" >&2; exit 1; }
endif
	@$(if $(PG),HOLDFAST_PG_BINDIR=$(PG_BINDIR)) $(BIN)/python -m pytest -q -n 2 --dist worksteal $(T) $(A)

check: setup ## Format, lint, types, import layers, schema drift; migration drift is among the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m app.cli export-schemas --check
	$(BIN)/python -m app.cli export-guides --check
	@last=$$(git describe --tags --abbrev=0 2>/dev/null || true); \
	  [ -z "$$last" ] || git show $$last:openapi/schema.graphql | $(BIN)/python -m api.graphql.breaking

format: setup ## Format and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: setup ## Write openapi/* and docs/systems/*; the diff is the review of an API change
	$(BIN)/python -m app.cli export-schemas
	$(BIN)/python -m app.cli export-guides

bench: setup ## The benchmark table: ratios to a floor measured in the same run
	$(BIN)/python -m bench

soak: setup ## Faults under load, then servers killed while receivers fail; MINUTES=10
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),10)
	$(BIN)/python -m bench.telling --minutes $(or $(MINUTES),10)

clean: ## Remove the virtual environment and caches; data folders stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
