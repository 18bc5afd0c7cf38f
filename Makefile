# Everything that is done with this project, in one word each.
PYTHON ?= python3
# Ports this much higher, and a folder of their own, for a second system beside the first: make run OFFSET=1000
OFFSET ?= 0
# The folder in components/ that says how events travel, rabbitmq, redis or kafka: make run BROKER=redis
BROKER ?= rabbitmq
# What the services keep their data in: make run DATABASE=postgresql
DATABASE ?= sqlite
# How mails leave, the folder in components/mail, smtp or api: make run MAIL=api
MAIL ?= smtp
# A login has a MAIL of its own: the file that its mails come into.
ifneq ($(findstring /,$(MAIL)),)
MAIL := smtp
endif
export OFFSET BROKER DATABASE MAIL
# How many schedules a simulation runs, and how its broker is: make simulate SEEDS=1000 PROFILE=redis
SEEDS ?= 100
# How many faults, how many orders, and the seed that chooses them: make chaos FAULTS=30. How many customers order at
# once, how many processes each service has (on PostgreSQL), for how many seconds a part is held still, and whether the
# program that a tutorial would write runs beside ours: NAIVE=yes
FAULTS ?= 6
ORDERS ?= 300
SEED ?= 1
CLIENTS ?= 8
REPLICAS ?= 1
STILL ?= 60
NAIVE ?= no

.DEFAULT_GOAL := help
.PHONY: help setup ready run broker demo test check format docs lock simulate chaos bench prove

help: ## Say what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@awk -F ':.*#proof ' '/^[a-z]+:.*#proof /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Set up what this machine lacks: Python packages, Dapr, RabbitMQ (once, up to 15 minutes)
	@$(PYTHON) -m toolchain.setup

ready:
	@$(PYTHON) -m toolchain.setup --if-needed $(FOR)

run: ready ## Run the whole system: broker, sidecars, services; Ctrl-C stops all of it
	@.venv/bin/python -m toolchain.run

broker: ready ## Run the broker and the mail server, for `dapr run -f dapr.yaml` by hand
	@.venv/bin/python -m toolchain.run --broker-only

demo: ready ## Place three orders and follow each to its notification
	@.venv/bin/python -m toolchain.demo

test: FOR = --for-tests
test: check ## Run every test, on real sidecars and brokers of its own
	@.venv/bin/python -m pytest -n 3 -m "not alone"
	@.venv/bin/python -m pytest -m alone

prove: FOR = --for-tests
prove: check #proof Take out each safeguard in a copy of the code, and see which test notices
	@.venv/bin/python -m tests.prove

check: ready ## Check format, lint, types and architecture (under 30 s)
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

format: ready ## Format the code, and mend what can be mended
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

docs: ready ## Generate the events' schemas and the API's documents from the code
	@.venv/bin/python -m toolchain.documents

chaos: FOR = --for-tests
chaos: ready #proof Run the real system under faults: make chaos FAULTS=30 ORDERS=50000 SEED=1
	@.venv/bin/python -m tests.chaos --faults $(FAULTS) --orders $(ORDERS) --seed $(SEED) \
		--broker $(BROKER) --database $(DATABASE) --mail $(MAIL) --clients $(CLIENTS) \
		--replicas $(REPLICAS) --still $(STILL) \
		$(if $(filter yes,$(NAIVE)),--naive)

bench: FOR = --for-tests
bench: ready #proof Measure ours beside the ordinary Dapr program: make bench BROKER=redis BENCH="--rounds 5"
	@.venv/bin/python -m verification.benchmark --broker $(BROKER) --clients $(CLIENTS) $(BENCH)

lock: ready ## Renew the locked versions of all Python packages
	@.venv/bin/uv pip compile $(LOCK) --upgrade -o requirements.txt pyproject.toml
	@.venv/bin/uv pip compile $(LOCK) --upgrade -o requirements-dev.txt --group dev pyproject.toml

simulate: ready #proof Run SEEDS=100 schedules of faults in virtual time, and say what they found
	@.venv/bin/python -m tests.simulation $(SEEDS) $(if $(PROFILE),--profile $(PROFILE))

LOCK = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
