# Every target sets up what it needs: a virtual environment from setup.cfg and constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The versions of constraints.txt need Python 3.11; for 3.10 pip chooses older ones.
CONSTRAINTS := $(shell $(PYTHON) -c 'import sys; print("-c constraints.txt" * (sys.version_info >= (3, 11)))')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)

# Two processes share the test files; each computes in one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# Threads that spin for long while they wait slow down every other process on the same cores.
export GOMP_SPINCOUNT := 10000

.PHONY: demo test test-all test-pythons bench docs lint clean

demo: $(VENV)/demo-ready
	$(BIN)/exvae demo --out demo

test: $(VENV)/test-ready lint
	$(PYTEST)

test-all: $(VENV)/peers-ready $(VENV)/docs-ready lint
	$(PYTEST) -m "not pythons"

test-pythons: $(VENV)/test-ready
	$(BIN)/python -m pytest -m pythons -rs tests/test_package.py

bench: $(VENV)/peers-ready
	$(BIN)/python experiments/benchmarks/bench.py --out docs/benchmarks.md --pictures docs/pictures

docs: $(VENV)/docs-ready
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(VENV)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis demo results
	rm -rf docs/_build docs/reference/commands docs/reference/generated

$(VENV)/demo-ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[report]'
	touch $@

$(VENV)/test-ready: $(VENV)/demo-ready
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/peers-ready: $(VENV)/test-ready
	$(PIP) -e '.[test,peers]'
	touch $@

$(VENV)/docs-ready: $(VENV)/demo-ready
	$(PIP) -e '.[docs]'
	touch $@
