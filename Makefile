# The targets people and CI use; `make run` and `make test` set themselves up on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test quick unit check wheel bench performance soak fuzz test-real pictures lock clean

setup: .venv/.ready

# The lock carries hashes and no addresses; the project itself is installed without looking anything up.
.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup
	@exec $(BIN)/taskbell serve

# The screens are tried in the system's Chromium, which root installs by apt-get where it is missing.
test: setup
	@$(BIN)/python -m tests.harness.programs chromium
	$(BIN)/python -m pytest

# What to run while writing: all but the tests that need a server.
quick: setup
	@$(MAKE) --no-print-directory --jobs 2 check unit

# They wait for nothing, so one process for each core is enough.
unit: setup
	$(BIN)/python -m pytest -n auto tests/unit

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Builds the wheel and tries it in a fresh environment, with what it depends on as it is in the lock.
wheel: setup
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	sed -E 's/ *\\$$//; /^ *--hash/d' requirements.lock > dist/constraints.txt
	$(PYTHON) -m venv dist/fresh
	dist/fresh/bin/python -m pip install --quiet --disable-pip-version-check -c dist/constraints.txt dist/*.whl
	dist/fresh/bin/python -m pip check
	$(BIN)/python -m pytest -n0 --installed dist/fresh tests/e2e/test_installed.py

soak: setup
	$(BIN)/python -m pytest --soak -o timeout=1800 -o faulthandler_timeout=1790 tests/unit tests/conformance \
		tests/integration tests/e2e tests/simulation
	$(MAKE) fuzz
	$(MAKE) test-real

# On the PostgreSQL, PgBouncer, Redis and nginx of the system, which root installs by apt-get where
# they are missing; what is not to be had is skipped, with the reason. Behind PgBouncer it is a setting
# of the user's how long a transaction may be silent.
LAWS := $(wildcard tests/integration/test_laws_*.py) tests/integration/test_store.py
test-real: setup
	$(BIN)/python -m pytest --real=direct -n0 -rs tests/real
	$(BIN)/python -m pytest --real=direct -rs $(LAWS) tests/integration/test_read_only.py \
		tests/integration/test_lookup_leases.py
	$(BIN)/python -m pytest --real=pgbouncer -rs $(LAWS) tests/integration/test_silences.py \
		tests/integration/test_replay.py \
		--deselect tests/integration/test_laws_receiving.py::test_a_worker_that_vanished_holds_nobody_up

# A million bad inputs; another seed each time, which the name of a failing test has.
fuzz: setup
	$(BIN)/python -m pytest --fuzz 1000000 -o timeout=7200 -o faulthandler_timeout=7190 tests/fuzz

bench: setup
	$(BIN)/python -m tests.bench

# The figures and plots of docs/performance.md; a goal that is missed on this machine does not end it.
performance: setup
	-$(BIN)/python -m tests.bench --save docs/measured
	$(BIN)/python -m tests.bench.plots docs/measured docs/pictures

# The pictures of the page in docs/pictures, taken from a running demo.
pictures: setup
	$(BIN)/python -m tests.pictures

lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra otel --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .taskbell build dist
