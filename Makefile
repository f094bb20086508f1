# The project's verbs; `make help` lists them.
PYTHON ?= python3.11
BIN := .venv/bin
# large parts of packages that nothing here imports
NOT_IMPORTED := tests?|apprise|asyncssh|celery|databricks|dateparser|dulwich|fontTools|mypyc?|pip|prompt_toolkit|pygments/lexers|setuptools|torch/(_inductor|testing)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long faults mutants lint format docs parameters site clean

help: ## list the verbs
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed ## build .venv with everything pinned in constraints.txt

.venv/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# the pip that comes with Python 3.11 takes three times as long to choose among packages
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@# pip compiles on one core, and the packages' own tests too; what is not for this Python nobody imports
	@$(BIN)/python -m compileall -q -j 0 -x '/($(NOT_IMPORTED))/' .venv/lib > /dev/null 2>&1 || true
	@touch $@

demo: setup ## a workspace in .demo/: a base model, three waves of deletion, a table
	@$(BIN)/python -m flows.demo

test: setup lint ## lint, types, layers and all tests
	$(BIN)/python -m pytest -m "not long" --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20

test-long: setup ## the tests that take many minutes
	$(BIN)/python -m pytest -m long

faults: setup ## kills, full disks, paused and torn runs (MINUTES=60, or KILLS=1000 MOMENTS=100 OTHERS=10; see the file)
	MINUTES=$(or $(MINUTES),$(if $(KILLS)$(MOMENTS)$(OTHERS),,60)) LANES=$(or $(LANES),2) SEED="$(SEED)" FAULTS="$(FAULTS)" \
		KILLS="$(KILLS)" MOMENTS="$(MOMENTS)" OTHERS="$(OTHERS)" PROGRESS="$(PROGRESS)" \
		$(BIN)/python -m pytest -m long tests/test_fault_suite.py

mutants: setup ## hours: which changes of the deciding code no fast test notices; `.venv/bin/mutmut results` lists them
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'mutmut==3.8.1'
	$(BIN)/mutmut run

lint: setup ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports

format: setup ## bring the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: parameters site ## the documentation: docs/parameters.md written anew, then the site

parameters: setup
	$(BIN)/python -m docs.build_parameters

site: setup ## the pages of docs/ as they are, as a site in site/
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'mkdocs-material==9.8.2' 'mkdocstrings-python==2.0.11'
	$(BIN)/mkdocs build --quiet --strict

clean: ## remove what make made, the demo's workspace too
	rm -rf .venv .demo build site mutants *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
