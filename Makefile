# The verbs of this project.
PYTHON ?= python3
# Move all ports up, and use a folder of its own, to run a second system beside the first: make run OFFSET=1000
OFFSET ?= 0
# The id of the order that `make where` looks for
ORDER ?=
# Whom `make token` prints a token for (alice, bob, olga), and what it allows, instead of what that person may do
AS = olga
SCOPES ?=
# The broker, a folder in components/ (rabbitmq, redis, kafka), instead of the one in dapr.yaml: make run BROKER=redis
BROKER ?=
# The database of the services (sqlite, postgresql): make run DATABASE=postgresql
DATABASE ?= sqlite
# The mail component, a folder in components/mail (smtp, api), instead of the one in dapr.yaml: make run MAIL=api
MAIL ?=
# A login shell sets MAIL too, to the file of its inbox: ignore that.
ifneq ($(findstring /,$(MAIL)),)
MAIL :=
endif
# Tokens, certificates and access lists, fresh for the run: make run SECURE=yes
SECURE ?=
# What of the sidecars' logs is shown: warning, or info: make run LOG=info
LOG ?=
# Whether there is one public door, with TLS and limits, to all of it (docs/gateway.md): make run GATEWAY=yes
GATEWAY ?=
# Whom `make erase` erases, by an e-mail address or an order's id; who does it, and why
CUSTOMER ?=
BY ?=
REASON ?=
# Whether `make down` keeps the data of the system in containers: make down DATA=no
DATA ?=
export OFFSET BROKER DATABASE MAIL SECURE LOG GATEWAY
# The name of the service that `make new-service` adds: one word, or several with hyphens
NAME ?=
# Of `make rename`: the names of the new project, its second service and its first event, and its folder; ORDER is its first
PROJECT ?=
NOTIFICATION ?=
EVENT ?=
TO ?=
# The number of simulated schedules, and the kind of broker: make simulate SEEDS=1000 PROFILE=redis
SEEDS ?= 100
# Of a chaos run: the number of faults and of orders, the seed that chooses them, the number of concurrent customers and
# of processes a service (on PostgreSQL), the seconds that a part is stopped for, and whether to run the ordinary program
# that a tutorial would write as well (ORDINARY=yes): make chaos FAULTS=30
FAULTS ?= 6
ORDERS ?= 300
SEED ?= 1
CLIENTS ?= 8
REPLICAS ?= 1
STILL ?= 60
# The seconds without a fault in which no alert may fire, before the faults of `make alerts`
CALM ?=
ORDINARY ?= no
# Of the playground: scenarios to play without its page: make playground PLAY="--play without-pull"
PLAY ?=
# The promises whose mutants are tried, by words in them: make mutants WORDS=lease
WORDS ?=
# Of `make fuzz`: the number of cases, and the seconds that Schemathesis gets for each service in each way
CASES ?= 10000
SECONDS ?= 60
# The number of random mutants, and what they are of; without, of the inbox, the relay, the pull and the dispatcher
SAMPLE ?= 120
CODE ?=
# The tag of a release: v and the version in pyproject.toml
TAG ?=

.DEFAULT_GOAL := help
.PHONY: help new-service rename setup ready run broker observe demo up down images where token erase doctor quick test check format docs lock simulate chaos drill clusters cluster alerts playground mutants mutation audit fuzz release publish bench

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@awk -F ':.*#proof ' '/^[a-z-]+:.*#proof /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what this machine lacks: Python packages, Dapr, RabbitMQ (once, up to 15 minutes)
	@$(PYTHON) -m toolchain.setup

ready:
	@$(PYTHON) -m toolchain.setup --if-needed $(FOR)

run: ready ## Run the whole system: broker, sidecars, services; Ctrl-C stops it
	@.venv/bin/python -m toolchain.run

broker: ready ## Run the broker and the mail server, for `dapr run -f dapr.yaml` by hand
	@.venv/bin/python -m toolchain.run --broker-only

observe: ready ## Run Prometheus and a viewer of traces beside the system; started before `make run`
	@.venv/bin/python -m toolchain.observe

demo: ready ## Place three orders and follow each to its notification
	@.venv/bin/python -m toolchain.demo

up: ready ## Run the whole system in containers, with PostgreSQL and the gateway: make up BROKER=redis (docs/containers.md)
	@.venv/bin/python -m toolchain.up

down: ready ## End the system in containers; DATA=no removes its data too
	@DATA=$(DATA) .venv/bin/python -m toolchain.up down

images: ready #proof Build the images of both services, write what is in each (SBOM), and start each (docs/containers.md)
	@.venv/bin/python -m toolchain.images

where: ready ## Print where an order is, and if it is stuck, why and what to do: make where ORDER=<id>
	@.venv/bin/python -m toolchain.where "$(ORDER)"

token: ## Print a token for a person of the local issuer: make token AS=alice SCOPES="orders:read"
	@.venv/bin/python -m toolchain.token "$(AS)" $(if $(SCOPES),--scopes "$(SCOPES)")

erase: ready ## Erase a customer from both services: make erase CUSTOMER=<address or order id> BY=<you> REASON=<request>
	@.venv/bin/python -m toolchain.customer erase "$(CUSTOMER)" --by "$(BY)" --reason "$(REASON)"

doctor: ready ## Examine the YAML of this project, and what of it runs (docs/doctor.md)
	@.venv/bin/python -m toolchain.checkup

quick: ready ## Run the tests that need no sidecar and no broker, on SQLite (under 2 minutes)
	@.venv/bin/python -m pytest -q -n 3 -m "not system" -k "not postgresql" $(QUICK)

test: FOR = --for-tests
test: check ## Run every test, on real sidecars and brokers
	@.venv/bin/python -m pytest --cache-clear -n 3 -m "not alone" || .venv/bin/python -m tests.support.again $$?
	@.venv/bin/python -m pytest -m alone

check: ready ## Check format, lint, types, architecture, licences and secrets (under 30 s)
	@failed=0; \
	.venv/bin/ruff format --check --quiet . || failed=1; \
	.venv/bin/ruff check --quiet . || failed=1; \
	.venv/bin/mypy || failed=1; \
	.venv/bin/lint-imports --no-logo || failed=1; \
	.venv/bin/python -m toolchain.audit licences secrets || failed=1; \
	exit $$failed

format: ready ## Format the code, and apply the fixes of the linter
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

new-service: ready ## Add a service with a small example to this repository: make new-service NAME=invoicing
	@.venv/bin/python -m toolchain.new_service "$(NAME)"

rename: ready ## Make a new repository with your own names: make rename PROJECT=hotel-desk ORDER=booking NOTIFICATION=reminder
	@.venv/bin/python -m toolchain.rename --project "$(PROJECT)" --order "$(ORDER)" --notification "$(NOTIFICATION)" \
		--event "$(EVENT)" --to "$(TO)"

docs: ready ## Generate the event schemas, the API documents and the reference from the code
	@.venv/bin/python -m toolchain.documents

chaos: FOR = --for-tests
chaos: ready #proof Run the real system under faults: make chaos FAULTS=30 ORDERS=50000 SEED=1
	@.venv/bin/python -m verification.chaos --faults $(FAULTS) --orders $(ORDERS) --seed $(SEED) \
		$(if $(BROKER),--broker $(BROKER)) --database $(DATABASE) $(if $(MAIL),--mail $(MAIL)) --clients $(CLIENTS) \
		--replicas $(REPLICAS) --still $(STILL) $(if $(filter yes,$(SECURE)),--secure) \
		$(if $(filter yes,$(ORDINARY)),--ordinary)

drill: FOR = --for-tests
drill: ready #proof Lose both databases and restore their backups as docs/databases.md says it, step by step (2 minutes)
	@mkdir -p .local
	@.venv/bin/python -m pytest tests/journeys/test_restored_backup.py -v --no-header --show-capture=no \
		--log-file=.local/drill.log --log-file-level=WARNING --log-file-format="%(message)s"; \
		failed=$$?; cat .local/drill.log; exit $$failed

clusters: FOR = --for-tests
clusters: ready #proof Run four of each service on clusters under faults, in containers, as root: make clusters FAULTS=18
	@.venv/bin/python -m verification.clusters --faults $(FAULTS) --orders $(ORDERS) --seed $(SEED) \
		$(if $(BROKER),--broker $(BROKER)) --clients $(CLIENTS)

cluster: ready #proof Run the system on a whole Kubernetes of its own under faults, as root: make cluster ORDERS=2000
	@.venv/bin/python -m verification.kubernetes --orders $(ORDERS)

ifneq ($(and $(filter playground,$(MAKECMDGOALS)),$(filter yes,$(SECURE) $(GATEWAY))),)
$(error The playground has no tokens, no certificates and no gateway: type it without SECURE=yes and GATEWAY=yes)
endif
playground: FOR = --for-tests
playground: ready #proof Break ours and the ordinary Dapr program on a page, and see what customers notice
	@.venv/bin/python -m verification.playground --port $$((8090 + $(OFFSET))) $(if $(BROKER),--broker $(BROKER)) $(PLAY)

alerts: FOR = --for-tests
alerts: ready #proof Measure that each alert fires by its fault in time, and none in calm (half an hour): make alerts CALM=3600
	@.venv/bin/python -m verification.alerts $(if $(CALM),--calm $(CALM))

mutants: FOR = --for-tests
mutants: ready #proof Break each promise of docs/guarantees.md in a copy of the code: its tests must fail
	@.venv/bin/python -m verification.mutation $(WORDS)

mutation: ready #proof Run random mutants of the code, and report how many the tests kill: make mutation SAMPLE=50
	@.venv/bin/uv venv --quiet --allow-existing .local/cosmic-ray
	@.venv/bin/uv pip install --quiet --python .local/cosmic-ray --group mutation
	@.venv/bin/python -m verification.mutation.score --sample $(SAMPLE) --seed $(SEED) $(CODE)

fuzz: ready #proof Send hostile events and requests to both services, then what Schemathesis draws: make fuzz CASES=100000
	@.venv/bin/python -m verification.fuzz $(CASES) --seed $(SEED)
	@.venv/bin/uv venv --quiet --allow-existing .local/schemathesis
	@.venv/bin/uv pip install --quiet --python .local/schemathesis --group schemathesis
	@.venv/bin/python -m verification.fuzz.api --seconds $(SECONDS)

audit: ready #proof Ask whether a package is vulnerable; list licences, search the history for secrets, write SBOMs
	@.venv/bin/uv venv --quiet --allow-existing .local/audit
	@.venv/bin/uv pip install --quiet --python .local/audit --group audit || true
	@.venv/bin/python -m toolchain.audit

release: ready #proof Write a release to .local/release: package, notes, bills of materials: make release TAG=v1.0.0
	@.venv/bin/uv venv --quiet --allow-existing .local/audit
	@.venv/bin/uv pip install --quiet --python .local/audit --group audit
	@.venv/bin/python -m toolchain.release $(TAG)

publish: #proof Publish what `make release` wrote, as the GitHub release of the tag: make publish TAG=v1.0.0
	@gh release create "$(TAG)" --verify-tag --title "$(TAG)" --notes-file .local/release/notes.md \
		$(filter-out %/notes.md,$(wildcard .local/release/*))

bench: FOR = --for-tests
bench: ready #proof Measure ours beside the ordinary Dapr program: make bench BROKER=redis BENCH="--rounds 5"
	@.venv/bin/python -m verification.benchmark $(if $(BROKER),--broker $(BROKER)) --clients $(CLIENTS) $(BENCH)

lock: ready ## Update the locked versions of all Python packages
	@.venv/bin/uv pip compile $(LOCK) --upgrade -o requirements.txt pyproject.toml
	@.venv/bin/uv pip compile $(LOCK) --upgrade -o requirements-dev.txt --group dev pyproject.toml

simulate: ready #proof Run SEEDS=100 schedules of faults in virtual time
	@.venv/bin/python -m verification.simulation $(SEEDS) $(if $(PROFILE),--profile $(PROFILE))

# No test in these needs more than a process of its own.
QUICK = tests/chassis $(patsubst services/%/app.py,tests/%,$(wildcard services/*/app.py)) tests/contracts tests/components tests/documents tests/performance
LOCK = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"
