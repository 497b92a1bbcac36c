# Everything sets itself up: `make run` on a fresh machine with Python >= 3.11 is enough.

VENV := .venv
BIN := $(VENV)/bin
# Changes with every set-up that succeeded; what it depends on is what a set-up installs.
READY := $(VENV)/.ready

# The first of these that is new enough makes .venv; `make PYTHON=/path/to/python3` puts another in front.
PYTHON ?=
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11

# Arguments for the program behind a target: make run ARGS="--port-offset 100 --data /tmp/other"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run demo test long chaos cacheless histories check bench clean

help: ## Say what there is.
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the pinned dependencies.

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || { \
	  for python in $(PYTHONS); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      $$python -m venv $(VENV) && exit 0; \
	      rm -rf $(VENV); echo "$$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; \
	    fi; \
	  done; \
	  echo "Python 3.11 or newer is needed and none is on the PATH; install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## Start the local stack; Ctrl-C stops it.
	@exec $(BIN)/tenure up $(ARGS)

demo: $(READY) ## Play a dozen companies through every case.
	@exec $(BIN)/tenure demo $(ARGS)

test: $(READY) ## Run the tests.
	$(BIN)/pytest --numprocesses 3 --dist worksteal $(ARGS)

long: $(READY) ## Run the tests that take longer than every day allows: a quarter's renewals, an interrupted demo, the tour.
	$(BIN)/pytest -m long $(ARGS)

chaos: $(READY) ## Kill every part at every point while trials go on, for about a quarter of an hour: docs/chaos.md.
	$(BIN)/pytest -m chaos --capture=no tests/chaos $(ARGS)

cacheless: $(READY) ## Run every scenario on a worker that remembers nothing: each workflow task replays.
	WORKFLOW_CACHE=0 $(BIN)/pytest --numprocesses 2 tests/workflows $(ARGS)

histories: $(READY) ## Record every scenario's histories anew, for the replay test.
	rm -rf tests/histories
	RECORD_HISTORIES=tests/histories $(BIN)/pytest --numprocesses 2 tests/workflows
	$(BIN)/python -m tests.replay.distinct
	$(BIN)/python -m tests.replay.fingerprint

check: $(READY) ## Style, types, the way of imports, the policy, the compose file, the packages (an SBOM, known weaknesses).
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/tenure policy check domain/policy.toml
	@command -v docker-compose >/dev/null || { echo "docker-compose is needed to check docker-compose.yml; on Debian: apt-get install docker-compose" >&2; exit 1; }
	docker-compose config -q
	$(BIN)/python -m tests.supply

bench: $(READY) ## Measure what it costs, each figure beside its goal.
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove the local stack's state, not .venv.
	rm -rf .tenure
