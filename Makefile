# Two commands for a fresh machine: `make demo` and `make test`. Both set up .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Where pip finds a CPU build of torch, for example: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
OUT ?= out/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench docs clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## a virtual environment with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "torchsse needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (one to five minutes the first time) ..."
	@$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt torch numpy
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@# torchrec asks for the CUDA build of fbgemm; its CPU build under --no-deps is all that the tests need
	@$(BIN)/python -m pip install -q -c constraints.txt --no-deps torchrec fbgemm-gpu-cpu tensordict torchmetrics \
		pyre-extensions typing-inspect lightning-utilities cloudpickle pyvers || echo "torchrec left out: its tests skip"
	@touch $@

demo: $(STAMP) ## does SSE help? on a generated data set with planted clusters, in under a minute
	@$(BIN)/torchsse demo --out $(OUT)

test: $(STAMP) ## every test
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(STAMP) ## formatter, linter, strict types, house rules, fast tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_house.py tests/test_import.py
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow' $(ARGS)

bench: $(STAMP) ## speed against peers and physical limits: ratios, written to benchmarks/results
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMP) ## run every example in README, docs and docstrings
	@$(BIN)/python -m pytest tests/test_docs.py --doctest-modules src/torchsse $(ARGS)

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache
