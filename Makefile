# Both commands make their own environment in .venv and need nothing but Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= examples/demo.yaml

.PHONY: run test lint types check clean help

help:            ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.ready   ## Run a border between two demo trunks on loopback (CONFIG=file for another)
	$(BIN)/sbc run --config $(CONFIG)

test: $(VENV)/.ready  ## Lint, types, all tests (SBC_REQUIRE=e2e,netns makes a missing tool a failure)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(TESTS)

clean:           ## Remove the environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (Debian: apt install python3)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "missing: Python 3.11 or later, found $$($(PYTHON) -V)"; exit 1; }
	@if command -v uv >/dev/null; then \
	    uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --python $(BIN)/python -e '.[dev]'; \
	else \
	    $(PYTHON) -m venv $(VENV) 2>/dev/null || { echo "missing: the venv module (Debian: apt install python3-venv)"; exit 1; }; \
	    $(BIN)/pip install -q -e '.[dev]'; \
	fi
	@touch $@
