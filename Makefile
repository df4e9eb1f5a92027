# make demo, make test, make lint, make docs, make bench: each sets up .venv by itself, and again only when
# pyproject.toml or constraints.txt have changed. make test-plain and make test-minimum have environments of their own.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install -c constraints.txt
RECIPE := pyproject.toml constraints.txt

# The front door, the solvers, the exact training and the proofs: the convex core without what takes longest.
CORE := tests/test_*.py tests/bounds tests/certificates tests/learners tests/loss_difference tests/numerics tests/solvers

.PHONY: demo test test-plain test-minimum lint format docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.plot
	$(BIN)/convexpoison demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

# What every user has: nothing but what pip install . brings.
test-plain: .venv-plain/.ready
	.venv-plain/bin/python -m pytest $(CORE)

# What the oldest permitted user has: the lower bounds of pyproject.toml.
test-minimum: .venv-minimum/.ready
	.venv-minimum/bin/python -m pytest $(CORE)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -b html -W --keep-going docs docs/_build/html

bench: $(VENV)/.plot
	$(BIN)/python benchmarks/bench_core.py

clean:
	rm -rf $(VENV) .venv-plain .venv-minimum build dist demo_output docs/_build docs/gallery docs/generated \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One empty file for each set of extras that has been installed.
$(VENV)/.%: $(RECIPE) | $(BIN)/python
	@echo "installing convexpoison[$*] into $(VENV)"
	@$(PIP) --editable '.[$*]'
	@touch $@

# Environments without extras; pytest and hypothesis are in them because somebody has to run the tests.
.venv-plain/.ready: CONSTRAINTS := constraints.txt
.venv-minimum/.ready: CONSTRAINTS := constraints-minimum.txt
.venv-%/.ready: pyproject.toml constraints.txt constraints-minimum.txt
	@echo "installing convexpoison without extras into .venv-$*, with $(CONSTRAINTS)"
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip --quiet --disable-pip-version-check install -c $(CONSTRAINTS) --editable . pytest hypothesis
	@touch $@
