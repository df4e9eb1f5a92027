# make demo, make test, make lint, make docs, make bench: each sets up .venv by itself, and again only when pyproject.toml or
# constraints.txt have changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install -c constraints.txt
RECIPE := pyproject.toml constraints.txt

.PHONY: demo test lint format docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.plot
	$(BIN)/convexpoison demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

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
	rm -rf $(VENV) build dist demo_output docs/_build docs/gallery docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One empty file for each set of extras that has been installed.
$(VENV)/.%: $(RECIPE) | $(BIN)/python
	@echo "installing convexpoison[$*] into $(VENV)"
	@$(PIP) --editable '.[$*]'
	@touch $@
