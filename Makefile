# Every target installs what it lacks first; see .ci/setup.
PYTHON := .venv/bin/python
# What needs more than dfsync itself and the extra 'test'.
LOWEST_LEAVES_OUT := --ignore tests/benchmarks --ignore tests/docs --ignore tests/test_architecture.py
APPLICATIONS := $(basename $(notdir $(wildcard .ci/applications/*.txt)))

.PHONY: help demo test test-lowest test-applications lint notebook bench docs clean

help: ## what can be made (this)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.for-use ## sync a small sample into a MariaDB of its own, twice, and look at the result
	@bash .ci/setup mariadb
	@$(PYTHON) -m data.demo

test: .venv/.for-work ## the tests, against a real MariaDB; or the server that DFSYNC_TEST_URL names; ARGS="-k verify" for less
	@bash .ci/setup mariadb
	$(PYTHON) -m pytest -n auto --maxprocesses 4 $(ARGS)

test-lowest: .venv-lowest/.for-test ## the tests on the lowest versions that pyproject.toml allows, in .venv-lowest
	@bash .ci/setup mariadb .venv-lowest
	.venv-lowest/bin/python -m pytest -n auto --maxprocesses 4 $(LOWEST_LEAVES_OUT) $(ARGS)

test-applications: .venv/.for-work $(APPLICATIONS:%=.venv-applications/%/.for-test) ## the ready-made plans, on databases that the applications make themselves; ARGS="-k django" for one
	@bash .ci/setup mariadb
	DFSYNC_TEST_APPLICATIONS=1 $(PYTHON) -m pytest tests/applications $(ARGS)

lint: .venv/.for-work ## style, format, types, and which package imports which
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

notebook: .venv/.for-work ## run the notebooks in place, so that their outputs are those of this code
	@bash .ci/setup mariadb
	@$(PYTHON) notebooks/execute.py

bench: .venv/.for-bench ## how fast, beside the server's own limit and other tools; ARGS="--quick" or ARGS="--help" for less
	@bash .ci/setup mariadb
	@$(PYTHON) -m benchmarks $(ARGS)

docs: .venv/.for-docs ## the documentation as a site, in site/; ARGS="serve" shows it while you write
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs $(or $(ARGS),build --strict) --config-file .ci/mkdocs/mkdocs.yml

clean: ## remove .venv, .venv-lowest, caches and what a benchmark left; data and dfsync-out stay
	rm -rf .venv .venv-lowest .venv-applications site benchmarks/work .mypy_cache .import_linter_cache .pytest_cache .ruff_cache .hypothesis .coverage build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# Stamps: the packages are in, and neither list has changed since.
.venv/.for-use: requirements.txt pyproject.toml
	@bash .ci/setup venv
	@touch $@

.venv/.for-work: requirements.txt pyproject.toml
	@bash .ci/setup venv dev
	@touch .venv/.for-use $@

.venv/.for-docs: requirements.txt pyproject.toml
	@bash .ci/setup venv docs
	@touch .venv/.for-use $@

.venv/.for-bench: requirements.txt pyproject.toml
	@bash .ci/setup venv bench
	@touch .venv/.for-use $@

.venv-lowest/.for-test: .ci/lowest.txt pyproject.toml
	@bash .ci/setup lowest
	@touch $@

.venv-applications/%/.for-test: .ci/applications/%.txt
	@bash .ci/setup application $*
	@touch $@
