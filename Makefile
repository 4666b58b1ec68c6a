# The two commands of the README are `make demo` and `make test`; everything they need, they make.
PYTHON ?= python3.11
BIN := .venv/bin

# What is installed is compiled where it is imported first: without bytecode every process would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow lint bench docs clean

demo: .venv/.demo
	$(BIN)/surefoot compare --jobs 2 --out runs/demo

# Two workers on two cores: libraries that start threads of their own would take each other's time.
test: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow" --dist worksteal -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

test-slow: .venv/.ready
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=full $(BIN)/pytest -n 2 -m "slow or hypothesis"

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: .venv/.ready
	$(BIN)/mkdocs build --strict

bench: .venv/.ready
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/temperature.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/stability.py
	$(BIN)/python benchmarks/linear.py
	$(BIN)/python benchmarks/polynomial.py
	$(BIN)/python benchmarks/startup.py

# Bytecode is compiled where it is imported, which is a small part of what is installed.
INSTALL = $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable

.venv/.demo: pyproject.toml constraints.txt src/surefoot/core/native.c # what `compare` and `assess` need, no more
	$(INSTALL) '.[train,report,verify]'
	touch $@

.venv/.ready: pyproject.toml constraints.txt src/surefoot/core/native.c
	$(INSTALL) '.[all,dev]'
	touch .venv/.demo $@

clean:
	rm -rf .venv runs build dist
