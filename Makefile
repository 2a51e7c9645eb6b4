# Everything here works on a fresh machine with Python 3.11 or newer and make.
# `make install` and whatever needs it costs nothing when .venv is current (tools/install decides).

BIN := .venv/bin
PYTHON ?=
FOR ?=
DATA ?=
TESTS ?=
UPGRADE ?=
MINUTES ?= 20
SEED ?= 1
BROKER ?=
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types lock clean bench peers chaos

help:  ## what can be asked for
	@echo 'make TARGET:'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-10s %s\n", $$1, $$2}'

install:  ## .venv with everything, from requirements.lock (PYTHON=python3.12 chooses the interpreter)
	@PYTHON='$(PYTHON)' tools/install

demo: install  ## the whole pipeline on this machine with simulated customers (FOR=60s, DATA=directory)
	@$(BIN)/friction up --demo $(if $(FOR),--for '$(FOR)') $(if $(DATA),--data '$(DATA)')

test: install  ## the whole suite (TESTS='tests/unit -k score' runs a part)
	@$(BIN)/python -m pytest $(TESTS)

chaos: install  ## workers are killed under load, nothing may be lost (MINUTES=20, SEED=1, BROKER=1); docs/chaos.md
	@$(BIN)/friction chaos --minutes $(MINUTES) --seed $(SEED) $(if $(BROKER),--broker)

lint: install  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install  ## mypy, strict
	@$(BIN)/mypy

lock: install  ## resolve the requirements again into the lock files (UPGRADE=1 takes newer versions)
	@UPGRADE='$(UPGRADE)' tools/lock

clean:  ## what builds and test runs left here; .venv and the data of the demo stay
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -type d -name __pycache__ -not -path './.*/*' -not -path './data/*' -prune -exec rm -rf {} +

peers: install  ## what `friction bench engine --peers` compares with: Faust, Quix Streams, Bytewax, in .peers
	@PYTHON='$(PYTHON)' tools/peers

bench: install  ## all measurements against their bounds, some 30 minutes (BENCH=latency takes one); docs/bench.md
	@PYTHON='$(PYTHON)' tools/peers || echo 'make bench: goes on without the peers that cannot be installed' >&2
	@$(BIN)/python -m pytest -s --timeout 3600 tests/bench/bench_$(or $(BENCH),*).py
