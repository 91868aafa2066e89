# make demo | test | lint | types | deps | clean: each sets up what it needs, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
# Two workers and two torch threads each would fight over the cores.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test test-long lint types deps clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    32 synthetic AF records and their contact sheet in demo/afib"
	@echo "make test    every test, doctests included"
	@echo "make test-long   reliability in its long form: thousands of broken files, dozens of kills"
	@echo "make deps    refuse dependencies with known vulnerabilities, without a network"
	@echo "make lint    ruff;  make types  mypy;  make clean  what these left behind"

# Stamps: installing again is needed only when the pins or the project's metadata change.
$(VENV)/.installed: constraints.txt pyproject.toml
	@test -x $(BIN)/python || { echo "Setting up $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing ecgsynth (minutes, the first time)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need"
	$(PIP) -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/ecgsynth generate --rhythm afib -n 32 --seed 0 --out demo/afib --overwrite

test: $(VENV)/.installed-dev
	$(THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

test-long: $(VENV)/.installed-dev
	ECGSYNTH_TEST_LONG=1 $(THREADS) $(BIN)/python -m pytest -q tests/reliability

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

deps: $(VENV)/.installed-dev
	$(BIN)/python scripts/check_dependencies.py

types: $(VENV)/.installed-dev
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo
	find ecgsynth tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
