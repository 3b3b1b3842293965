# `make help` lists what can be made. GNU make; everything else is installed into .venv.

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Build requirements are pinned as well: they are installed first, and no isolated build fetches more.
INSTALL := $(PIP) install --constraint constraints.txt --no-build-isolation

PYTEST_ARGS ?=
# Tests wait for the disk, for processes and for each other: two more at a time than there are cores.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
FUZZ_RUNS ?= 10000000
KILLS ?= 1000
FINDS ?=
FIND_SEEDS ?= 300
MOVE_SEEDS ?= 300
CAMPAIGN ?=
DIFFERENTIAL ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test test-long check format bench fuzz attack-test crash-test find-test move-test find-crash-test differential-test campaign-test fault-test peers constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Find, move and receive from a demonstration PACS, then query the database
	@$(BIN)/dicom-node demo

run: $(VENV)/.installed ## Run the node with ./dicom-node.yaml, which is made when it is missing
	@test -f dicom-node.yaml || $(BIN)/dicom-node config init
	@$(BIN)/dicom-node db init
	@exec $(BIN)/dicom-node run

test: $(VENV)/.installed-dev peers ## Install what the tests need, and run them (PYTEST_ARGS="-k name")
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m "not long" $(PYTEST_ARGS)

# Those that wait run side by side, then the others alone. 5: PYTEST_ARGS choose none of them.
test-long: $(VENV)/.installed-dev peers ## Kill, refuse, attack, fuzz, and test the widest combinations (30 minutes)
	@$(INSTALL) --editable '.[fuzz]' || echo "atheris cannot be installed here: the upper layer is not fuzzed." >&2
	@tested() { $(BIN)/python -m pytest "$$@" $(PYTEST_ARGS) || [ $$? -eq 5 ]; }; \
	tested -m "long and waits" --numprocesses 4 --dist worksteal; waiting=$$?; \
	tested -m "long and not waits" && exit $$waiting

check: $(VENV)/.installed-dev ## Lint, format check, types, import rules: exactly what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Format the code, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev peers ## Measure receiving beside Orthanc and DCMTK, headers, inserts, parse, dump, moves and finds
	@set -e; for file in $(sort $(wildcard tests/bench/bench_*.py)); do \
		$(BIN)/python -m tests.bench.$$(basename $$file .py); \
	done

fuzz: $(VENV)/.installed-dev ## Fuzz the upper layer with atheris (FUZZ_RUNS=10000000)
	@$(INSTALL) --editable '.[fuzz]'
	@mkdir -p var/fuzz/corpus
	@$(BIN)/python -m tests.fuzz.fuzz_upperlayer -runs=$(FUZZ_RUNS) -max_len=2048 -artifact_prefix=var/fuzz/ var/fuzz/corpus tests/fuzz/corpus

attack-test: $(VENV)/.installed-dev ## Attack a node for a minute, with all that the tests have
	@ATTACK_SECONDS=60 $(BIN)/python -m pytest tests/net/test_attack.py -s

crash-test: $(VENV)/.installed-dev ## Kill a receiving node a thousand times (KILLS=1000)
	@$(BIN)/python -m tests.crash --kills $(KILLS)

find-crash-test: $(VENV)/.installed-dev ## Kill a find of two million studies twenty times (FINDS="--studies 20000")
	@$(BIN)/python -m tests.finds $(FINDS)

find-test: $(VENV)/.installed-dev ## Find at 300 PACSs that misbehave at random: is what is missing named? (FIND_SEEDS=300)
	@$(BIN)/python -m tests.finding --seeds $(FIND_SEEDS)

move-test: $(VENV)/.installed-dev ## Move from 300 PACSs that misbehave at random: is what is retrieved here? (MOVE_SEEDS=300)
	@$(BIN)/python -m tests.moving --seeds $(MOVE_SEEDS)

differential-test: $(VENV)/.installed-dev peers ## Ask Orthanc and the node 2,000 questions over 20,000 images (DIFFERENTIAL="--seed 7")
	@$(BIN)/python -m tests.differential $(DIFFERENTIAL)

campaign-test: $(VENV)/.installed-dev ## Four nodes move 5,000 studies while they and PostgreSQL are killed (CAMPAIGN="--studies 500")
	@$(BIN)/python -m tests.campaign $(CAMPAIGN)

fault-test: $(VENV)/.installed-dev peers ## Refuse every call of a store in every way; lose the power at every call
	@$(BIN)/python -m tests.faults
	@POWER_LOSS_START_EVERY=1 $(BIN)/python -m pytest --timeout 3600 tests/acceptance/test_power_loss_of_a_node.py

peers: ## Install DCMTK, Orthanc, strace, and clients of other makers for the tests, where that is possible
	@scripts/install-peers.sh

constraints: ## Renew constraints.txt with the newest versions that pyproject.toml allows
	@scripts/renew-constraints.sh

clean: ## Remove .venv, caches and build results; var/ and the configuration stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python: scripts/make-venv.sh
	@scripts/make-venv.sh $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Installing dicom-node into $(VENV) …"
	@$(INSTALL) hatchling editables
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tests' requirements into $(VENV) …"
	@$(INSTALL) --editable '.[dev]'
	@touch $@
