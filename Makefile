# Two commands for a newcomer: `make demo` and `make test`. They need python3 (3.11 or newer) with venv and pip, nothing else.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8080
MINUTES ?= 30
SEEDS ?= 100
VENUES ?= two
PROCESSES ?= 1
SIMULATED_MINUTES ?= 10
FIRST ?= 1
JOBS ?= 2
BIN = $(VENV)/bin

.PHONY: demo demo-cluster test export-readers dist lock sbom peers long chaos planted five returning run lint format install clean bench bench-quick abuse soak soak-cluster screenshot

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py --port $(PORT)

# Three processes that are one server, by the system's redis-server: kill one, and watch.
demo-cluster: $(VENV)/installed-redis
	$(BIN)/python examples/demo_cluster.py --port $(PORT)

run: $(VENV)/installed
	$(BIN)/twistd -n --pidfile= cryptodash run --bind-addr 0.0.0.0:$(PORT)

# The browser has the machine for itself: beside it the tests that keep to the clock would wait for their turn.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/dashboard
	$(BIN)/python -m pytest tests/dashboard

# What was exported, as other programs read it. `make test` runs these too once they are installed.
export-readers: $(VENV)/installed-export
	$(BIN)/python -m pytest tests/recording/test_export.py

# Clients that others wrote, unmodified, on the simulator. `make test` runs these too once they are installed.
peers: $(VENV)/installed-peers
	$(BIN)/python -m pytest -m peers

# What `make test` only samples, in full (tests/conftest.py), then seeds of two venues, of all and of several processes, ten simulated minutes with faults on three of five, what one client at its worst costs the others, and the memory of half an hour, of one process and of a cluster: some hours.
long: $(VENV)/installed-test
	$(BIN)/python -m pytest --long -n auto --dist loadfile --ignore tests/dashboard
	$(BIN)/python -m pytest --long tests/dashboard
	$(MAKE) chaos
	$(MAKE) chaos VENUES=all SEEDS=12
	$(MAKE) chaos PROCESSES=3 SEEDS=200
	$(MAKE) five
	$(MAKE) returning SEEDS=4
	$(MAKE) returning SEEDS=4 PROCESSES=3
	$(MAKE) abuse
	$(MAKE) soak
	$(MAKE) soak-cluster MINUTES=10

# How many seeds each planted error takes to be found, docs/chaos.md: a search that does not find them proves nothing.
planted: $(VENV)/installed-test
	PYTHONHASHSEED=0 $(BIN)/python -m tests.chaos --planted --jobs $(JOBS)

# Deterministic simulation by seeds, docs/chaos.md; fails if a promise is broken: make chaos SEEDS=1000 FIRST=1 JOBS=2, and VENUES=all for five
chaos: $(VENV)/installed-test
	PYTHONHASHSEED=0 $(BIN)/python -m tests.chaos --venues $(VENUES) --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS) --processes $(PROCESSES)

# Simulated minutes of five venues with faults on three: no wrong value live, every fault in the ledger, memory flat.
five: $(VENV)/installed-test
	PYTHONHASHSEED=0 $(BIN)/python -m tests.chaos.five --minutes $(SIMULATED_MINUTES)

# Simulated minutes of clients that come back by cursor every few seconds to a server that records and is killed meanwhile: each trade once.
returning: $(VENV)/installed-test
	PYTHONHASHSEED=0 $(BIN)/python -m tests.chaos.returning --minutes $(SIMULATED_MINUTES) --seed $(FIRST) --seeds $(SEEDS) --processes $(PROCESSES)

# The wheel and the sdist, to the byte the same for all who build this commit (docs/decisions/0008-release.md), and what the index would say of them.
dist: $(VENV)/installed-release
	rm -rf dist
	$(BIN)/python release/build_dist.py dist
	$(BIN)/twine check --strict dist/*

# The exact versions, with hashes, that the server is shipped with, for every Python and system that it runs on: to be looked at and committed.
lock: $(VENV)/installed-release
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra redis --extra jwt --extra record --no-annotate \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --upgrade setup.cfg --output-file requirements.lock

# What a server installed from the lock file consists of, with licences, as CycloneDX.
sbom: dist
	rm -rf build/sbom && $(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	build/sbom/bin/python -m pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	build/sbom/bin/python -m pip uninstall --quiet --yes setuptools pip
	rm build/sbom/lib/python*/site-packages/cryptodash-*.dist-info/direct_url.json
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file dist/cryptodash.cdx.json build/sbom/bin/python

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Measures this server beside its peers (which it installs below benchmarks/.peers) and writes benchmarks/RESULTS.md. Keep the machine quiet.
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/installed
	$(BIN)/python -m benchmarks --quick

# What the other clients feel of one at its worst, measured from outside; fails if it is too much.
abuse: $(VENV)/installed
	$(BIN)/python -m benchmarks.abuse

# Whether memory stays flat: the demo, and a server alone beside a simulator process, with clients that come and go.
soak: $(VENV)/installed
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

# Three processes by the system's redis-server, with 3,000 clients: whether memory stays flat and each gets every trade once.
soak-cluster: $(VENV)/installed-redis
	$(BIN)/python -m benchmarks.cluster_soak --minutes $(MINUTES)

# The pictures in docs/ of every view on a desk and on a phone, from the demo in a headless Chromium; the README has one.
screenshot: $(VENV)/installed
	$(BIN)/python examples/screenshot.py docs

install: $(VENV)/installed

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("cryptodash needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python setup.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[client]'
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	touch $@

$(VENV)/installed-peers: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	touch $@

$(VENV)/installed-release: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[release]'
	touch $@

$(VENV)/installed-containers: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[containers]'
	touch $@

$(VENV)/installed-redis: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[redis]'
	touch $@

$(VENV)/installed-export: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[export,readers]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
