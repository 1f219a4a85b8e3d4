# Every target does its own set-up: Python 3.11 or later and make are all it needs.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Compiled modules are kept: without them each process compiles all tests again.
unexport PYTHONDONTWRITEBYTECODE
# tflite-micro is published as pre-releases only; no other package is taken as one.
PIP := $(BIN)/python -m pip install --quiet

.PHONY: demo test lint types verify coverage bench versions docs clean

demo: $(VENV)/.demo
	$(BIN)/keras-compress demo

# Three on two cores: processes that start TensorFlow leave a part of them idle.
test: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations 15 -m "not verify"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# What `make test` leaves out. Begun again, it goes on: a test that passed is not run again until
# a file of the checkout changes (`make clean` forgets that).
verify: $(VENV)/.dev $(VENV)/.docs types
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations 15 -m verify --resume

# The quick tests, children included; fails below the share that setup.cfg asks for.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not verify" --cov

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/short.py

versions: $(VENV)/bin/python
	$(BIN)/python benchmarks/versions.py

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "keras_compress needs Python 3.11 to 3.13 with venv; none was found on the PATH. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.cfg | $(VENV)/bin/python
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: setup.cfg | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: setup.cfg | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .verified .coverage* demo_output site build *.egg-info
