# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv.

PYTHON ?= python3
BIN := .venv/bin
PINS := --quiet --strip-extras --no-header --no-annotate \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.PHONY: demo test up soak check pins clean

demo: .venv/base
	$(BIN)/sixfold demo $(if $(ACCESS_LOG),--access-log $(ACCESS_LOG))

up: .venv/base
	$(BIN)/sixfold up

test: check
	$(BIN)/pytest -m "not soak"

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sixfold schemas check

soak: .venv/dev
	$(BIN)/pytest

.venv/base: requirements/base.txt pyproject.toml
	@echo "Installing Sixfold and what it needs into .venv: once, for a minute or two"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet -r requirements/base.txt
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

DEV := $(patsubst %,requirements/%.txt,dev bench kafka cassandra)

.venv/dev: .venv/base $(DEV)
	@echo "Installing what tests and benchmarks need: once, for a minute or two"
	@$(BIN)/pip install --quiet $(patsubst %,-r %,$(DEV))
	@touch $@

pins: .venv/dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile $(PINS) --output-file requirements/base.txt requirements/base.in
	for extra in $(basename $(notdir $(DEV))); do \
	  $(BIN)/pip-compile $(PINS) --constraint requirements/base.txt \
	    --output-file requirements/$$extra.txt requirements/$$extra.in || exit 1; \
	done

clean:
	rm -rf .venv demo-data
