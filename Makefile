# make run     the demonstration: a local DICOMweb server with a study made in code, and its page
# make test    everything, with real servers and a real browser; installs what it needs
# make check   ruff, mypy, the import contracts and the fast tests
# make bench   the side-by-side measurements of docs/benchmarks.md
# make setup   the environment for work on dicomdock, in .venv
# make clean   remove what the above made

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
RUN_ARGS ?=
TEST_ARGS ?= -n 2 --dist loadfile

.PHONY: run test check lint bench setup clean system-packages

run: .venv/.installed
	$(BIN)/dicomdock run --demo $(RUN_ARGS)

test: system-packages .venv/.developed lint
	$(BIN)/python -m tests.servers.orthanc_next || [ "$$CI" != true ]
	$(BIN)/python -m tests.servers.oidc || [ "$$CI" != true ]
	$(PYTEST) $(TEST_ARGS)

check: .venv/.developed lint
	$(PYTEST) -q -m "not servers and not browser and not viewer and not slow"

lint: .venv/.developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.developed
	$(BIN)/python -m benchmarks

setup: .venv/.developed

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without the right to install packages the tests that need them are skipped; with CI=true that is a failure.
system-packages:
	scripts/system-packages.sh viewer test || [ "$$CI" != true ]
	command -v npm >/dev/null || scripts/system-packages.sh npm || [ "$$CI" != true ]

.venv/.made:
	scripts/make-venv.sh

# The viewer's libraries (1 GB) exist as wheels for x86_64 and arm64; everything else works without them.
.venv/.installed: .venv/.made pyproject.toml
	$(BIN)/pip install -q -e '.[viewer]' || { \
	  echo 'The viewer cannot be installed here; going on without it.' >&2; \
	  $(BIN)/pip install -q -e .; }
	touch $@

.venv/.developed: .venv/.installed pyproject.toml
	$(BIN)/pip install -q --group dev
	touch $@
