# make help | setup | run | test | cases | check | bench
PY ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
DEVSTAMP := .venv/.ready-dev

.PHONY: help setup setup-dev run test cases check bench bench-rows bench-rows-kill bench-peer bench-cql bench-duplicates bench-gaps bench-notices bench-accept bench-senders bench-hapi kill coverage fuzz simulate fields hapi lock wheel clean

help:            ## what there is to make
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

define need_python
	@command -v $(PY) >/dev/null 2>&1 || { echo "Python 3.11 or newer is missing: install it (Debian: apt-get install python3 python3-venv), or name it: make $(1) PY=/path/to/python"; exit 1; }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PY) --version) is too old: CareLoop needs Python 3.11 or newer. Name a newer one: make $(1) PY=python3.12"; exit 1; }
	@$(PY) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python cannot make environments: install its venv module (Debian: apt-get install python3-venv)"; exit 1; }
endef

$(STAMP): requirements.lock pyproject.toml
	$(call need_python,setup)
	@[ -x $(BIN)/python ] || $(PY) -m venv .venv
	@echo "Installing what CareLoop needs (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEVSTAMP): $(STAMP) requirements-dev.lock
	@echo "Installing what its tests need (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(STAMP)  ## make the environment in .venv; then .venv/bin/careloop works
	@echo "Ready: $(BIN)/careloop --help"

setup-dev: $(DEVSTAMP) ## the environment with everything tests and checks need

run: $(STAMP)    ## start the gateway with a demonstration network
	@$(BIN)/careloop serve --demo

test: $(DEVSTAMP) ## run the tests; what is missing for some of them (Java, PostgreSQL) is said (WORKERS: how many at once, 2 without)
	@$(BIN)/python -m pytest -n $${WORKERS:-2} --dist loadfile --no-loadscope-reorder

cases: $(STAMP)  ## run the golden cases beside the mappings
	@$(BIN)/careloop cases

check: $(DEVSTAMP) ## lint, types, import directions, mappings
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/careloop check

bench: $(DEVSTAMP) ## measure: conversion on one pinned core
	@$(BIN)/python -m bench.conversion

bench-rows: $(DEVSTAMP) ## measure: CSV rows, in memory and into the store, on one pinned core (ROWS: how many, 100000 without)
	@$(BIN)/python -m bench.rows --rows $${ROWS:-100000}

bench-rows-kill: $(DEVSTAMP) ## measure: the same load killed again and again ends in the same state (ROWS: how many)
	@$(BIN)/python -m bench.rows --kill --rows $${ROWS:-100000}

bench-peer: $(DEVSTAMP) ## measure: beside LinuxForHealth's converter, same messages, one core (Java 17, Maven)
	@bench/linuxforhealth/peer --build-only
	@$(BIN)/python -m bench.peer

kill: $(DEVSTAMP) ## kill gateways, loads and upgrades under load (KILLS: random instants of each test, 200 without; ABSENCE, HAPI=1)
	@CARELOOP_KILLS=$${KILLS:-200} CARELOOP_ABSENCE=$${ABSENCE:-60} CARELOOP_KILL_HAPI=$${HAPI:-} \
	  $(BIN)/python -m pytest --timeout=0 -s -v tests/acceptance/test_accept_kill.py tests/acceptance/test_kill_*.py \
	  tests/acceptance/test_two_gateways.py tests/acceptance/test_database_gone.py tests/acceptance/test_clock.py

bench-accept: $(DEVSTAMP) ## measure: accept rate over MLLP beside a bare listener with the same group commit, and over TLS
	@$(BIN)/python -m bench.accept

bench-hapi: $(DEVSTAMP) ## measure: end to end into HAPI, beside HAPI alone and beside pushing everything every time (Java 17, Maven)
	@tools/hapi/start-hapi.sh --build-only
	@$(BIN)/python -m bench.hapi

bench-senders: $(DEVSTAMP) ## measure: what healthy senders wait beside 300 slow ones, 50 MB frames, a frame without end, garbage
	@$(BIN)/python -m bench.senders

bench-cql: $(DEVSTAMP) ## measure: three gap rules beside a CQL engine, same members, one core (Java 17, Maven, Node.js)
	@bench/cqlengine/peer --build-only
	@$(BIN)/python -m bench.cql

bench-notices: $(DEVSTAMP) ## measure: from a message to the notice at a subscriber's, by rest-hook and by the stream
	@$(BIN)/python -m bench.notices

bench-duplicates: $(DEVSTAMP) ## measure: likely duplicates, precision and recall where they were planted, time and memory on many
	@$(BIN)/python -m bench.duplicates

bench-gaps: $(DEVSTAMP) ## measure: gaps of a member, a message, a population; flattening (MEMBERS: how many, 100000 without)
	@for what in flatten population member message; do $(BIN)/python -m bench.gaps $$what --members $${MEMBERS:-100000} || exit 1; done

coverage: $(DEVSTAMP) ## measure: how much of the sample messages stands in their Bundles, and what became of the rest
	@$(BIN)/python -m bench.coverage

fuzz: $(DEVSTAMP) ## many more spoilt messages, orders of arrival and networks than the tests try (CARELOOP_FUZZ: how many)
	@CARELOOP_FUZZ=$${CARELOOP_FUZZ:-20000} $(BIN)/python -m pytest --timeout=0 -n $${WORKERS:-2} --dist load tests/property \
	  tests/unit/test_gap_rules.py tests/unit/test_gap_tables.py

simulate: $(DEVSTAMP) ## 10,000 runs of the gateway in made-up worlds: crashes, clock, network, disk, FHIR server (SEEDS, FIRST)
	@$(BIN)/python -m tests.simulation --seeds $${SEEDS:-10000} --first $${FIRST:-0} --workers $${WORKERS:-2}

fields: $(STAMP) ## write docs/hl7-fields.md anew: where each field goes, out of the mappings
	@$(BIN)/python -m tools.fields

hapi:            ## start a real HAPI FHIR server on 127.0.0.1:8080 (Java 17, Maven)
	@tools/hapi/start-hapi.sh

lock:            ## write the lock files anew (uv)
	@uv pip compile --generate-hashes --no-emit-index-url --python-version 3.11 --universal -q pyproject.toml -o requirements.lock
	@uv pip compile --generate-hashes --no-emit-index-url --python-version 3.11 --universal -q --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

wheel: $(STAMP) ## build dist/careloop-*.whl: the whole program, with mappings and profiles inside
	@rm -rf build && $(BIN)/python -m pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w dist .

clean:           ## remove the environment; the store in careloop-data stays
	@rm -rf .venv
