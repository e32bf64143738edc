# Everything a person types. Any Python from 3.10 on starts it; the project's own
# Python is 3.13, as on Lambda. Each command installs what it needs first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BOOTSTRAP_PYTHON ?= python3
UV := .tools/uv/bin/uv
PYTHON := .venv/bin/python
SAM := SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam
# The linter wants some region; a deployment uses your own AWS settings.
LINT_REGION := $(or $(AWS_REGION),$(AWS_DEFAULT_REGION),us-east-1)
BUILD_DIR ?= .aws-sam/build
PYTEST := $(PYTHON) -m pytest

# On CI a Python that is not there is an error, not a download that hangs.
ifdef CI
export UV_PYTHON_DOWNLOADS := never
endif
export UV_NO_PROGRESS := 1
# One environment for us; whatever the caller has activated is none of our business.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help install demo up test proof check lint fast-tests slow-tests browser-tests lint-template build \
	bench deploy doctor lock clean
# Whatever -j says: the tests of each kind have the machine to themselves.
.NOTPARALLEL:

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed .tools/sam/.installed ## install everything from the lock files

demo: .venv/.installed ## photos through the whole pipeline on this machine (ONCE=1, PHOTOS=dir, PROVIDER=replicate|fal)
	@$(PYTHON) -m local.demo

up: .venv/.installed ## the stack alone, in the foreground (PORT, AUTH=1, KEEP=dir)
	@$(PYTHON) -m local.up

test: install fast-tests slow-tests browser-tests ## every test (RANDOM_DAYS, RANDOM_DAY, GROWTH_JOBS: see README)

proof: install .tools/proof/.installed ## what must never happen, shown and reported; ten minutes (PROOF=1, SEED, README=1)
	@$(PYTHON) -m tests.proof

# `make check test` is both, and runs the fast tests once.
check: install lint-template lint fast-tests ## format, lint, types, template, fast tests

lint: .venv/.installed
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy functions shared local tests deploy

fast-tests: .venv/.installed
	$(PYTEST) -n 2 --dist loadfile --ignore=tests/browser -m "not slow"

# In the order of tests/conftest.py, the longest first. They wait more than they compute.
slow-tests: .venv/.installed
	$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder --ignore=tests/browser -m slow

# Apart: the browser's driver keeps an event loop running.
browser-tests: .venv/.installed
	$(PYTEST) -n 2 --dist worksteal tests/browser

lint-template: .tools/sam/.installed
	$(SAM) validate --lint --region $(LINT_REGION)

build: install lint-template ## what goes to AWS, into .aws-sam/build
	$(SAM) build --region $(LINT_REGION) --build-dir $(BUILD_DIR)

bench: .venv/.installed .tools/bench/.installed ## every bar beside its peers; some four minutes (README=1, ROOMS="webhook life")
	@$(PYTHON) -m tests.bench $(if $(README),--readme) $(ROOMS)

deploy: build ## sam deploy with your AWS settings (OPTIONS="--guided")
	$(SAM) deploy --template-file $(BUILD_DIR)/template.yaml $(OPTIONS)

doctor: .venv/.installed ## examine a deployed stack and send it a rehearsal (URL=…; keys: see README)
	@$(PYTHON) -m deploy.doctor

lock: $(UV) ## compile every lock file anew from pyproject.toml
	$(UV) pip compile $(LOCK_OPTIONS) --group local --group test --group check pyproject.toml -o requirements.lock
	$(UV) pip compile $(LOCK_OPTIONS) -c requirements.lock pyproject.toml -o requirements-layer.lock
	$(UV) pip compile $(LOCK_OPTIONS) -c requirements.lock --group bench -o requirements-bench.lock
	$(UV) pip compile $(LOCK_OPTIONS) -c requirements.lock --group proof pyproject.toml -o requirements-proof.lock
	$(UV) pip compile $(LOCK_OPTIONS) --group sam -o requirements-sam.lock
	$(UV) pip compile $(LOCK_OPTIONS) --group bootstrap -o requirements-uv.lock
LOCK_OPTIONS := --quiet --universal --python-version 3.13 --generate-hashes --no-emit-index-url --no-header

clean: ## remove what was built, not what was installed
	rm -rf .aws-sam .proof .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +

# ---- environments: made once, again when their lock file changes -------------------

$(UV): requirements-uv.lock
	@$(BOOTSTRAP_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python 3.10 or newer is needed to start: set BOOTSTRAP_PYTHON." >&2; exit 1; }
	@$(BOOTSTRAP_PYTHON) -m venv --clear .tools/uv \
		|| { echo "Python's venv module is missing (Debian: apt-get install python3-venv)." >&2; exit 1; }
	.tools/uv/bin/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	@touch $@

.venv/.installed: requirements.lock $(UV)
	$(call environment,.venv,requirements.lock)

.tools/sam/.installed: requirements-sam.lock $(UV)
	$(call environment,.tools/sam,requirements-sam.lock)

# No environment but a folder of packages, as a function has them: compiled like ours, and without
# the metadata that a framework would search at every start.
.tools/bench/.installed: requirements-bench.lock $(UV) .venv/.installed
	rm -rf $(@D)
	$(UV) pip install --quiet --no-deps --require-hashes --only-binary :all: --link-mode copy \
		--python $(PYTHON) --target $(@D) --requirement requirements-bench.lock
	rm -rf $(@D)/*.dist-info
	$(PYTHON) -m compileall -q -f --invalidation-mode unchecked-hash $(@D)
	@touch $@

.tools/proof/.installed: requirements-proof.lock $(UV)
	$(call environment,.tools/proof,requirements-proof.lock)

# $(1) the environment's folder, $(2) its lock file. Compiled at once, on all cores: otherwise
# the first start of every program and function would do it, and take twice as long.
define environment
@test -x $(1)/bin/python || $(UV) venv --quiet --python 3.13 $(1) \
	|| { echo "Python 3.13 was not found. Install it (uv python install 3.13, pyenv, your system's packages) and try again." >&2; exit 1; }
$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(1)/bin/python $(2)
@touch $@
endef
