# make run     the cloud, in the foreground           make test    all tests
# make setup   install what both need                 make check   format, lint, types, import rules, unit tests
VENV := $(or $(EUCA_BOX_VENV),.venv)
BIN := $(VENV)/bin
ARGS ?=
STORMS := tests/roles/test_storms.py
ISOLATION := tests/hosts/test_network_matrix.py tests/hosts/test_network_modes.py tests/hosts/test_network_spoof.py

.PHONY: setup run demo-cluster test test-isolation test-hosts test-storms check soak bench format lock clean binary wheel deb docs

setup:
	@scripts/bootstrap run

run:
	@scripts/bootstrap run
	@exec $(BIN)/euca-box run --roles all $(ARGS)

# A cloud of three hosts, as network namespaces of this machine.
demo-cluster:
	@scripts/bootstrap test
	@exec $(BIN)/python -m tests.cluster.demo

# What needs no server first, then real HTTP and clients, real networks, real guests.
# Storms need a processor and the networks mostly wait: they are tried at the same time.
test: check
	$(BIN)/pytest -q tests/contract tests/api tests/roles tests/clients tests/fuzz tests/durability tests/browser $(STORMS:%=--ignore=%)
	$(MAKE) --output-sync -j3 test-isolation test-hosts test-storms
	$(BIN)/pytest -q tests/kvm tests/cluster

test-isolation:
	$(BIN)/pytest -q $(ISOLATION)

test-hosts:
	$(BIN)/pytest -q tests/hosts $(ISOLATION:%=--ignore=%)

test-storms:
	$(BIN)/pytest -q $(STORMS)

check:
	@scripts/bootstrap test
	$(BIN)/ruff format --check euca_box tests benchmarks scripts
	$(BIN)/ruff check euca_box tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml
	$(BIN)/pytest -q tests/unit tests/sim

# The same, longer: two thousand storms between hosts, a hundred kills and restarts under load.
soak:
	@scripts/bootstrap test
	EUCA_BOX_SEEDS=2000 $(BIN)/pytest -q $(STORMS)
	EUCA_BOX_SOAK_RESTARTS=100 $(BIN)/pytest -q tests/clients/test_start.py -k kills

bench:
	@scripts/bootstrap test
	$(BIN)/python -m benchmarks

format:
	$(BIN)/ruff format euca_box tests benchmarks scripts
	$(BIN)/ruff check --fix euca_box tests benchmarks scripts

# Write down the versions that were tested together.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^-e' > constraints.txt

# One file that is the whole program, its manual page, checksums and what is in it.
binary:
	@scripts/bootstrap package
	$(BIN)/python scripts/make_binary.py
	$(BIN)/python scripts/write_man_page.py
	$(BIN)/python scripts/write_sbom.py

wheel:
	@scripts/bootstrap package
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .
	$(BIN)/python scripts/write_sbom.py

deb: binary
	$(BIN)/python scripts/make_deb.py
	$(BIN)/python scripts/write_sbom.py

# build/docs; fails at a link that leads nowhere.
docs:
	@scripts/bootstrap run
	$(BIN)/python scripts/make_docs.py

clean:
	rm -rf $(VENV) build dist *.egg-info
