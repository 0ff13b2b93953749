# relman: every command a contributor needs, each a line. `make` alone lists them.
VENV := .venv
READY := $(VENV)/.relman-ready
PYTHON := $(VENV)/bin/python
# Two files of tests with an Airflow at a time, and one without (tests/conftest.py). What a machine lacks (a
# browser, PostgreSQL, Redis, Prometheus) is skipped and named at the end with the command that adds it;
# RELMAN_TEST_ALL=1 makes that a failure.
TESTS := -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo up stack test quick hammer executors bench scale canaries lint types arch docs check constraints format clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Virtual environment in .venv from constraints.txt (done once)

$(READY): pyproject.toml constraints.txt scripts/setup
	@scripts/setup

demo: $(READY)  ## Three real releases on an Airflow of its own; ends by itself
	@$(PYTHON) -m relman_plugins.testing.demo

up: $(READY)  ## The same Airflow, kept running until Ctrl-C
	@$(PYTHON) -m relman_plugins.testing.up

stack:  ## The same on PostgreSQL with Celery workers, by docker compose; ARGS="--scale airflow-worker=3"
	@scripts/stack $(ARGS)

test: $(READY)  ## All tests, real Airflow, browser and kills included; ARGS="-k name" for some
	@$(PYTHON) -m pytest $(TESTS) $(ARGS)

quick: $(READY)  ## The tests that start no Airflow, browser or database server
	@$(PYTHON) -m pytest $(TESTS) -m "not real" $(ARGS)

hammer: $(READY)  ## Thirty answers at each moment after a gate opened, on SQLite and PostgreSQL (half an hour)
	@RELMAN_TRIES=30 $(PYTHON) -m pytest -sq tests/system/test_votes.py -k moment $(ARGS)

# Gates, canaries, rollbacks, and ten kills while releases are under way; with Celery a worker in a deployment.
RELEASED := tests/system/test_gates.py tests/system/test_canary.py tests/system/test_rollback.py tests/system/test_kill.py

executors: $(READY)  ## Releases and kills on LocalExecutor with SQLite, with PostgreSQL, and on Celery (half an hour)
	@RELMAN_TEST_BASES=sqlite $(PYTHON) -m pytest -q $(RELEASED) $(ARGS)
	@RELMAN_TEST_BASES=postgresql $(PYTHON) -m pytest -q $(RELEASED) $(ARGS)
	@$(PYTHON) -m pytest -q tests/system/test_stack.py $(ARGS)

bench: $(READY)  ## What relman costs beside a hand-written DAG, as a table; ARGS=--quick for a try
	@$(PYTHON) -m benchmarks $(ARGS)

scale: $(READY)  ## What waiting releases cost beside plain DAGs that wait, table into docs; ARGS="--sizes 10"
	@$(PYTHON) -m benchmarks.scale $(ARGS)

canaries: $(READY)  ## Judges compared on simulated canaries, tables and plots into docs; ARGS="--runs 100" for a try
	@$(PYTHON) -m benchmarks.canaries $(ARGS)

lint: $(READY)  ## ruff: rules and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: $(READY)  ## ruff: write the format and the safe fixes
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

types: $(READY)  ## mypy, strict
	@$(VENV)/bin/mypy

arch: $(READY)  ## import-linter: which room may import which
	@PYTHONPATH=. $(VENV)/bin/lint-imports

docs: $(READY)  ## Links, examples, file lengths, no addresses of machines
	@$(PYTHON) -m pytest -q tests/repo

check: lint types arch docs test  ## Everything above, as before a commit

constraints: $(READY)  ## Resolve constraints.txt anew
	@scripts/constraints

clean:  ## Remove what make wrote: .venv, .relman, caches
	rm -rf $(VENV) .relman .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
