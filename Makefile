# Every command makes its own environment in .venv and needs nothing but Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= examples/demo.yaml

EXTENSIONS := relay/_native.abi3.so sbc/_native.abi3.so
CRATES     := $(shell find relay/native sbc/native -name target -prune -o -name fuzz -prune -o -name Cargo.lock -o -type f -print)

.PHONY: help run call test lint docs crates clean

help:                 ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.ready   ## Run a border between two demo trunks on loopback (CONFIG=file for another)
	@echo "a test call, from another terminal: make call"
	$(BIN)/sbc run --config $(CONFIG)

call: $(VENV)/.ready  ## Place a test call through the border that `make run` has started
	$(BIN)/sbc call --config $(CONFIG)

test: lint $(EXTENSIONS)  ## Lint, types, all tests (SBC_REQUIRE=e2e,netns,native,parser makes what is missing a failure)
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.ready  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

crates:               ## Format, lint and tests of the Rust crates
	cd relay/native && cargo fmt --check
	cd relay/native && cargo clippy --all-targets -- -D warnings
	cd relay/native && cargo test

docs: $(VENV)/.ready  ## Write the generated pages of docs/ anew
	$(BIN)/python docs/draw_state_machines.py
	$(BIN)/python docs/list_configuration.py

clean:                ## Remove the environment and caches
	rm -rf $(VENV) relay/_native*.so sbc/_native*.so relay/native/target build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (Debian: apt install python3)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "missing: Python 3.11 or later, found $$($(PYTHON) -V)"; exit 1; }
	@if command -v cargo >/dev/null; then \
	    echo "making $(VENV) and building the native part with cargo, once; it may take some minutes"; \
	else \
	    echo "making $(VENV), once; it may take a minute (no cargo: without the native part)"; \
	fi
	@if command -v uv >/dev/null; then \
	    uv venv -q --allow-existing --python $(PYTHON) $(VENV) && \
	    uv pip install -q --python $(BIN)/python -e '.[dev]'; \
	else \
	    $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { echo "missing: the venv module (Debian: apt install python3-venv)"; exit 1; }; \
	    $(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'; \
	fi || { echo "missing: packages that pyproject.toml names (is a package index in reach?)"; exit 1; }
	@touch $@

# Built by the installation above; here once more where a crate has changed since. One workspace, so
# that what both need is compiled once.
relay/_native.abi3.so: BUILT := lib_native.so
sbc/_native.abi3.so:   BUILT := libsbc_native.so
$(EXTENSIONS): %/_native.abi3.so: $(VENV)/.ready $(CRATES)
	@if ! command -v cargo >/dev/null; then \
	    echo "no cargo: $* without its native extension"; \
	elif (cd relay/native && cargo build -q --release --lib -p $*-native); then \
	    cp relay/native/target/release/$(BUILT) $@.new && mv $@.new $@; \
	else \
	    echo "the crates do not compile here: $* without its native extension"; \
	fi
