# make demo   environment + the whole chain on the built-in world
# make test   environment + every check a change must pass
#
# PYTHON=python3.12          another interpreter (3.11 or later)
# TORCH_INDEX=<index URL>    where to look for torch too: on Linux without a GPU, set it to PyTorch's CPU wheel
#                            index to save about 3 GB of CUDA libraries
# DEMO_ARGS="--home /x"      options for `curator demo`

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
RUN := OMP_NUM_THREADS=1

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test env dev lint types imports docs docs-write unit speed clean help

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

demo: env
	@$(BIN)/curator demo $(DEMO_ARGS)

test: dev lint types imports docs unit

env: $(VENV)/.with-all
dev: $(VENV)/.with-dev

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' is not there; install Python 3.11 or later, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or later is needed and '$(PYTHON)' is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }

# torch first and alone: whichever build of it is found stays, and nothing later draws another.
$(VENV)/.with-torch: constraints.txt | $(BIN)/python
	@echo "installing $(TORCH)" >&2
	@$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt $(TORCH)
	@touch $@

$(VENV)/.with-all: pyproject.toml constraints.txt $(VENV)/.with-torch
	@echo "installing vlm-curator and what it needs" >&2
	@$(PIP) install -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.with-dev: $(VENV)/.with-all
	@echo "installing the tools for tests" >&2
	@$(PIP) install -c constraints.txt -e '.[all,dev]'
	@touch $@

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

imports: dev
	$(BIN)/lint-imports

docs: dev
	$(BIN)/python -m curator.cli_docs --check docs/cli.md

docs-write: dev
	$(BIN)/python -m curator.cli_docs docs/cli.md

unit: dev
	$(RUN) $(BIN)/python -m pytest -n 2 --dist loadgroup -q

speed: dev
	$(RUN) $(BIN)/python -m tests.speed.startup

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
