# Everything runs in a virtual environment of its own, .venv, which is made on first use and again when pyproject.toml changes;
# the benchmarks in another, .venv-bench, which they share with the libraries they are compared with.
# Only relative paths are used below, so that the folder may be called anything, with spaces too.
#
#   make test ARGS="-k resume -x"      arguments for pytest
#   make clean test PYTHON=python3.13  another Python for .venv

PYTHON ?= python3
ARGS ?=
VENV_PYTHON := .venv/bin/python
STAMP := .venv/.ready
# What has to hold against kills, rivals, damage and bad input, other users and changed graphs.
FAULTS := tests/faults tests/db/test_schema.py tests/access tests/engine/test_changes.py
BENCH_PYTHON := .venv-bench/bin/python
BENCH_STAMP := .venv-bench/.ready

.PHONY: help demo test faults lint bench clean

help:
	@echo "make demo    a guided tour in the terminal; needs no key and no network"
	@echo "make test    all tests"
	@echo "make faults  kills, damage and bad input, as much as there is: about an hour"
	@echo "make lint    ruff and mypy"
	@echo "make bench   the benchmarks, beside other libraries; see benchmarks/README.md"
	@echo "make clean   remove .venv, caches and built files"

demo: $(STAMP)
	@$(VENV_PYTHON) examples/demo.py $(ARGS)

test: $(STAMP)
	@$(VENV_PYTHON) -m pytest -q -n auto --dist worksteal $(ARGS)

faults: $(STAMP)
	@GRAPHFLOW_FAULTS=full $(VENV_PYTHON) -m pytest -q -s --timeout=0 $(FAULTS) $(ARGS)

lint: $(STAMP)
	@$(VENV_PYTHON) -m ruff check -q .
	@$(VENV_PYTHON) -m mypy graphflow nodes

bench: $(BENCH_STAMP)
	@$(BENCH_PYTHON) -m benchmarks.run $(ARGS)

clean:
	@rm -rf .venv .venv-bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp holds the folder the environment was made in: a copied or moved checkout makes its own, because an editable
# install points to its folder by an absolute path.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
ifneq ($(shell cat $(BENCH_STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(BENCH_STAMP)
endif

define new-enough
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "graphflow needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; \
	  exit 1; }
endef

$(STAMP): pyproject.toml
	$(new-enough)
	@echo "making .venv ..." >&2
	@$(PYTHON) -m venv .venv
	@$(VENV_PYTHON) -m pip install -q --disable-pip-version-check -e ".[dev]"
	@pwd -P > $(STAMP)

$(BENCH_STAMP): pyproject.toml
	$(new-enough)
	@echo "making .venv-bench ..." >&2
	@$(PYTHON) -m venv .venv-bench
	@$(BENCH_PYTHON) -m pip install -q --disable-pip-version-check -e ".[bench]"
	@pwd -P > $(BENCH_STAMP)
