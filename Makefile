# `make demo` and `make test` do everything on a fresh machine with Python 3.11+; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
PARITY := .venv-parity
FUZZ   := .venv-fuzz
BIN    := $(VENV)/bin
MODEL  ?= fixtures/demo
TYPE   ?= Q4_K_M
PROMPT ?=
SECONDS ?= 60

.PHONY: help demo test test-browser test-parity test-cpus test-arm torture fuzz lint types bench goldens clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The environments. A stamp keeps them as they are until pyproject.toml changes.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.browser: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]'
	@touch $@

$(PARITY)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,parity]'
	@touch $@

$(FUZZ)/.installed: pyproject.toml
	$(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fuzz]'
	@touch $@

demo: $(VENV)/.installed  ## Convert MODEL (default: the one in fixtures/) to TYPE, inspect it, run it in llama.cpp
	$(BIN)/python -m tests.demo --model '$(MODEL)' --type '$(TYPE)' --prompt '$(PROMPT)'

test: $(VENV)/.installed  ## Unit, contract, golden and end-to-end tests
	$(BIN)/python -m pytest -n auto -m 'not parity and not browser'

test-parity: $(PARITY)/.installed  ## Logits, tokenizers and exported checkpoints against torch + transformers
	$(PARITY)/bin/python -m pytest -n auto -m parity

test-browser: $(VENV)/.browser  ## The HTML report in a headless Chromium (Debian: chromium, chromium-driver)
	$(BIN)/python -m pytest -m browser tests/browser

test-cpus: $(VENV)/.installed  ## What depends on the processor, on the oldest one, with AVX2 alone and on this one
	$(BIN)/python -m tests.cpus

test-arm: $(VENV)/.installed  ## The same on an emulated ARM, for an hour at first (Debian: qemu-user-static)
	$(BIN)/python -m tests.arm

torture: $(VENV)/.installed  ## Hostile files, arbitrary blocks, determinism, kill -9: measured and counted
	$(BIN)/python -m tests.torture

fuzz: $(FUZZ)/.installed  ## Coverage-guided fuzzing of every reader, SECONDS (default 60) each
	$(FUZZ)/bin/python -m tests.fuzz --seconds $(SECONDS)

lint: $(VENV)/.installed  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed  ## Static types, strict; names that Windows or macOS lacks are faults
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin

bench: $(VENV)/.installed $(PARITY)/.installed  ## Side-by-side ratios against ggml's C, the gguf package and llama.cpp
	$(BIN)/python -m bench

goldens: $(PARITY)/.installed  ## Record again what llama.cpp makes of the tiny checkpoints, and the bytes of our own outputs
	$(PARITY)/bin/python -m tests.goldens.record_defaults
	$(PARITY)/bin/python -m tests.goldens.record_tokenizer_classes
	$(PARITY)/bin/python -m tests.goldens.record
	$(PARITY)/bin/python -m tests.goldens.record_outputs
	$(PARITY)/bin/python -m tests.quants.digests
	$(PARITY)/bin/python fixtures/manifest.py

clean:  ## Remove the environments and caches
	rm -rf $(VENV) $(PARITY) $(FUZZ) .arm fuzz-findings build dist demo-out .pytest_cache .mypy_cache .ruff_cache *.egg-info
