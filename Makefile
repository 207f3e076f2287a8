# make run     the demonstration: a local DICOMweb server with a study made in code, and its page
# make test    everything, with real servers and a real browser; installs what it needs
# make check   ruff, mypy, the import contracts and the fast tests
# make storm   kill, cut and repeat, for half an hour
# make fuzz    mutated inputs for everything that reads what came from outside: 100,000 for each of twelve readers
# make tutorial   the servers of docs/tutorials/large-cohort.md: Orthanc, moto and PostgreSQL, until Ctrl-C
# make bench   the side-by-side measurements of docs/benchmarks.md
# make bench-scale   what takes long, an archive of a million instances among it; printed, not written
# make bench-smoke   do they run? Once, on little data, whatever the times; make test does it too
# make dist    the wheel, the source archive and the bill of materials, in dist
# make lock    choose the newest versions of all dependencies anew, in constraints.txt
# make test-lowest   the fast tests with the lowest versions that pyproject.toml allows
# make setup   the environment for work on dicomdock, in .venv
# make clean   remove what the above made

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
INSTALL := scripts/install.sh
RUN_ARGS ?=
STORM_SECONDS ?= 1800
# More workers than cores: many tests wait for a program that they started.
TEST_ARGS ?= -n 4 --dist loadfile --no-loadscope-reorder
FUZZ_ARGS ?=
TUTORIAL_ARGS ?=

# Without bytecode of ours every process that a test starts, and every worker, compiles it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check lint bench bench-scale bench-smoke fuzz storm tutorial dist lock test-lowest setup clean system-packages

run: .venv/.installed
	$(BIN)/dicomdock run --demo $(RUN_ARGS)

# The tests are compiled by one process, on the processor that mypy leaves free; else each worker does it.
test: system-packages .venv/.developed
	$(PYTEST) --collect-only -q >/dev/null 2>&1 & $(MAKE) --no-print-directory lint; linted=$$?; wait; exit $$linted
	$(BIN)/python -m tests.servers.orthanc_next || [ "$$CI" != true ]
	$(BIN)/python -m tests.servers.oidc || [ "$$CI" != true ]
	$(PYTEST) $(TEST_ARGS)

check: .venv/.developed lint
	$(PYTEST) -q -n 2 --dist worksteal --hypothesis-profile check \
	  -m "not servers and not browser and not viewer and not slow"

lint: .venv/.developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Kills, cuts and transfers in a row, for half an hour; STORM_SECONDS sets another budget.
storm: .venv/.developed
	$(BIN)/python -m tests.storms.storm --seconds $(STORM_SECONDS)

tutorial: .venv/.developed
	$(BIN)/python -m tests.tutorials $(TUTORIAL_ARGS)

bench: .venv/.developed
	$(BIN)/python -m benchmarks

bench-scale: .venv/.developed
	$(BIN)/python -m benchmarks --apart

bench-smoke: .venv/.developed
	$(BIN)/python -m benchmarks --smoke

fuzz: .venv/.developed
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

dist: .venv/.developed
	rm -rf dist
	$(BIN)/uv build -q --no-config --out-dir dist
	$(BIN)/python scripts/sbom.py viewer >dist/dicomdock-$$($(BIN)/dicomdock --version | cut -d' ' -f2).cdx.json
	ls -l dist

# A release elsewhere must not break a fresh clone: every environment here is made with these versions.
lock: .venv/.developed
	$(BIN)/uv pip compile -q --no-config --upgrade --universal --python-version 3.11 --all-extras --group dev \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header -o constraints.txt pyproject.toml

test-lowest: .venv/.developed
	scripts/test-lowest.sh

setup: .venv/.developed

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without the right to install packages the tests that need them are skipped; with CI=true that is a failure.
system-packages:
	scripts/system-packages.sh viewer test || [ "$$CI" != true ]
	command -v npm >/dev/null || scripts/system-packages.sh npm || [ "$$CI" != true ]

.venv/.made:
	@scripts/make-venv.sh

# The viewer's libraries (1 GB) exist as wheels for x86_64 and arm64; everything else works without them.
.venv/.installed: .venv/.made pyproject.toml constraints.txt
	@echo 'Installing dicomdock with its viewer into .venv: about 1 GB the first time.'
	@$(INSTALL) -c constraints.txt -e '.[viewer]' || { \
	  echo 'The viewer cannot be installed here; going on without it.' >&2; \
	  $(INSTALL) -c constraints.txt -e '.[dock]'; }
	touch $@

.venv/.developed: .venv/.installed pyproject.toml constraints.txt
	@echo 'Installing what the tests need into .venv.'
	@$(INSTALL) -c constraints.txt --group dev
	touch $@
