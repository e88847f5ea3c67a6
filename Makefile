# Every target sets up what it needs; a fresh machine needs only python3 (3.11 or 3.12, with venv) and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
KERNELS := .venv/.kernels
COMPILED := $(wildcard pipelines/kernels/*.py) pipelines/store/scan.py pipelines/market.py pipelines/tape.py

.PHONY: setup demo up test soak notebook lint types contracts docs bench lock clean

setup: $(KERNELS)

demo: setup ## everything on a made-up market, in data/demo
	$(BIN)/python -m tapeflow up --demo

up: setup ## everything, as tapeflow.yaml says
	$(BIN)/python -m tapeflow up

test: setup
	$(BIN)/python -m tests.run

soak: setup ## kills by the dozen; the result goes to benchmarks/soak.md
	$(BIN)/python -m tests.soak

notebook: setup
	$(BIN)/python -m jupyterlab notebooks

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

docs: setup ## docs/tables.md and docs/signals.md are generated
	$(BIN)/python -m pipelines.market > docs/tables.md
	$(BIN)/python -m pipelines.signals_doc benchmarks/precision.json > docs/signals.md

bench: setup ## prints a ratio each, measured in one run
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.socket_to_journal

lock: ## after a change of dependencies; needs uv (docs.astral.sh/uv), which nothing else does
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --no-strip-extras \
		pyproject.toml -o requirements.lock

clean: ## what set-up made; data/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { \
		echo 'tapeflow needs Python 3.11 or 3.12 (Bytewax has no newer wheel); `make PYTHON=/path/to/python3.12` names one' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo '$(PYTHON) cannot make virtual environments; install its venv package (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# numba notices a change of the module that holds a kernel, not of those it inlines from: what it keeps is thrown away.
$(KERNELS): $(READY) $(COMPILED)
	find pipelines -name '*.nb[ci]' -delete
	$(BIN)/python -m pipelines.precompile
	@touch $@
