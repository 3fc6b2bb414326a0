# Everything from a clean checkout, with python3 (3.11 or newer) and make:
#   make train   installs, trains on the bundled default data, says where the report is
#   make test    installs, runs the tests
#   make docs    builds the documentation as a site, into site/
#   make notebooks  runs the tutorials
#   make results  measures what docs/results.md has no record of yet, in the data of DATA
#   make dist    builds sdist and wheel, and tries the wheel in an empty environment
#   make triton  fetches Triton (1 GB), runs the tests of its kernels in its interpreter
# ARGS is handed on:  make train ARGS="epochs=5"   make test ARGS="tests/analysis -x"

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= configs/digits.yaml
DATA   ?= datasets
ARGS   ?=
BIN    := $(VENV)/bin
KERNELS := -k "triton or fused or roofline" tests/backends tests/engine tests/benchmarks/device
STAMP  := $(VENV)/.installed

.PHONY: help train test test-all docs notebooks results dist triton lint bench install venv clean

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

train: install
	$(BIN)/lfp-snn train $(CONFIG) $(ARGS)

# In two processes, one file of tests in each: many of them wait for processes of their own.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-all: install
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build
	$(BIN)/python -m tools.links site

notebooks: $(VENV)/.docs
	$(BIN)/python -m tools.notebooks $(ARGS)

# Stopped, it goes on where it was; what it lacks in the end, it says.
results: install
	$(BIN)/python -m tools.results measure --root $(DATA) $(ARGS)

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

dist: $(VENV)/.docs
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m tools.wheel dist

# Triton is kept beside the environment, so that all other tests see a machine without it.
triton: $(VENV)/triton
	TRITON_INTERPRET=1 PYTHONPATH=$< $(BIN)/python -m pytest -n 2 $(KERNELS)

$(VENV)/triton: | install
	rm -rf $@.part
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --target $@.part triton
	mv $@.part $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks steps $(ARGS)

install: $(STAMP)

venv: $(BIN)/python

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Installs again only when what is asked for has changed; pip says what it fetches, which takes minutes.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
