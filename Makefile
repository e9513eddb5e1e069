# Two commands for a new user: `make demo` and `make test`. Both set everything up inside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The venv comes first, so that the CMake wheel is found by the libopus build.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export CARGO_TERM_COLOR ?= never

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
BUILT := $(VENV)/.built
TOOLS := $(VENV)/.tools

.PHONY: help setup demo run test check format lint types rust-test py-test soak bench screenshots wheel wheel-test constraints fuzz interop clean

help:
	@echo "make demo    a recorded call over a bad network, on this machine"
	@echo "make test    all tests"
	@echo "make run     start the server and print where to go"
	@echo "make check   format, lint, types, layers and tests: what CI runs"
	@echo "make soak    six hours of calls in virtual time, ten minutes of Discord, ten million hostile datagrams, a recorder killed 200 times (a quarter of an hour)"
	@echo "make bench   every claim about speed, each against a peer of the same run"
	@echo "make screenshots  the terminal client in its main states, as SVG in screenshots/"
	@echo "make interop other people's voice clients (py-cord, @discordjs/voice) against our server; installs them beside the tests"
	@echo "make fuzz    coverage-guided fuzzing of every parser (a nightly compiler, cargo-fuzz)"
	@echo "make wheel   a wheel for this system in dist/"

setup: $(BUILT)

$(TOOLS): constraints.txt
	@PYTHON=$(PYTHON) sh scripts/prerequisites.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt maturin cmake
	@touch $@

$(BUILT): $(TOOLS) pyproject.toml $(RUST_SOURCES)
	@echo "Building the voice path (about two minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@# Without evdev, which needs a compiler and Python's headers, and which no keyboard of an X server needs.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps pynput
	@touch $@

demo: setup
	$(BIN)/raccall demo --out demo

run: setup
	$(BIN)/raccall serve --data data

test: rust-test py-test

rust-test: setup
	PROPTEST_RNG_SEED=1 cargo test --quiet --release --workspace --exclude raccall-python # `make fuzz` takes any

py-test: setup
	$(BIN)/python -m pytest

check: format lint types test

format: setup
	cargo fmt --check
	$(BIN)/ruff format --check .

lint: setup
	cargo clippy --quiet --release --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

soak: setup
	cargo test --release --package raccall-record --test timeline six_hours -- --ignored --nocapture
	RACCALL_SOAK_MINUTES=120 $(BIN)/python -m pytest -o timeout=0 -s tests/recorder/test_clicks.py
	RACCALL_SOAK_SECONDS=300 $(BIN)/python -m pytest -o timeout=0 tests/behaviour/test_discord_soak.py
	$(BIN)/python -m bench hostile
	$(BIN)/python -m bench kills

fuzz: setup
	sh scripts/fuzz.sh

interop: setup
	sh scripts/interop.sh
	$(BIN)/python -m pytest -rs tests/interop/test_senders.py

bench: setup
	$(BIN)/python -m bench all

screenshots: setup
	$(BIN)/python -m scripts.screenshots screenshots

wheel: setup
	$(BIN)/maturin build --release --out dist

wheel-test: wheel
	sh scripts/wheel_test.sh

constraints: setup
	{ sed -n 1p constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -vi '^raccall'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) target dist demo bench/build
