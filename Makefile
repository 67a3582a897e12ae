# Works with GNU make 3.81 (macOS) and later, and any POSIX sh.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := node_modules/.bin

# The Node.js that deploy/bootstrap/node.sh fetched, if it had to, comes first, for everything that a recipe starts. It is
# started through env because make 3.81 looks up a command without shell syntax on the PATH it was started with itself.
export PATH := $(CURDIR)/.cache/node/node_modules/.bin:$(PATH)
NODE := env node

# What the user typed must reach the script as it is: value() keeps make from expanding a dollar sign in it, and the
# environment keeps it out of every shell word.
ifneq ($(origin GOAL),undefined)
override GOAL := $(value GOAL)
export GOAL
endif
ifneq ($(origin INPUT),undefined)
override INPUT := $(value INPUT)
export INPUT
endif

# Suites that take minutes, run by ci-long in this order.
LONG_SUITES := demo security mutants sim-long model-faults budgets poison observability containers vote-rounds bench-consensus bench-patterns

# What a production package may be licensed under: nothing that asks more of a user than to keep a notice.
LICENCES := MIT;MIT-0;ISC;Apache-2.0;BSD-2-Clause;BSD-3-Clause;0BSD;Unlicense;CC0-1.0;BlueOak-1.0.0;Python-2.0

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/\1|\2/p' Makefile | awk -F '|' '{ printf "  %-16s %s\n", $$1, $$2 }'

.PHONY: demo
demo: deps ## Run one goal through a mesh on this machine (INPUT=file, GOAL="what to do")
	@[ -n "$$NATS_URL" ] || $(NODE) deploy/bootstrap/main.ts
	@$(NODE) deploy/demo/main.ts

.PHONY: trace
trace: deps ## Run the demo's goal with traces on, and print its trace as a tree
	@[ -n "$$NATS_URL" ] || $(NODE) deploy/bootstrap/main.ts
	@$(NODE) deploy/trace/main.ts

.PHONY: test
test: check broker ## Run every check, and all tests but the long suites; ends with "N passed, N failed"
	@$(BIN)/vitest run

.PHONY: check
check: types lint format-check imports deadcode sources licences ## Run every static check

.PHONY: types
types: deps ## Check the types
	@$(BIN)/tsc

.PHONY: lint
lint: deps ## Lint, with type information
	@$(BIN)/oxlint --type-aware --deny-warnings

.PHONY: format
format: deps ## Format the sources in place
	@$(BIN)/biome format --write

.PHONY: format-check
format-check: deps ## Check the format of the sources
	@$(BIN)/biome format

.PHONY: imports
imports: deps ## Check which layer imports what
	@$(NODE) deploy/bootstrap/check-imports/main.ts

.PHONY: deadcode
deadcode: deps ## Find files, exports and packages that nothing uses
	@$(BIN)/knip --no-progress

.PHONY: sources
sources: deps ## Check file sizes, file names, clock reads in pure code, and skipped tests
	@$(NODE) deploy/bootstrap/check-sources/main.ts

.PHONY: unit
unit: deps ## Run the unit tests
	@$(BIN)/vitest run --project unit

.PHONY: property
property: deps ## Run the property tests
	@$(BIN)/vitest run --project property

.PHONY: sim
sim: deps ## Run the simulation
	@$(BIN)/vitest run --project sim

.PHONY: sim-long
sim-long: deps ## Simulate 12,000 schedules, a sixth of them harsh (SEED=n for others)
	@$(NODE) test/sim/main.ts --schedules 10000 --seed $${SEED:-100000} --all
	@$(NODE) test/sim/main.ts --schedules 2000 --seed $${SEED:-100000} --harsh --all

.PHONY: contract
contract: deps broker ## Run the contract tests (every store and bus, one suite)
	@$(BIN)/vitest run --project contract

.PHONY: integration
integration: deps broker ## Run the integration tests (real broker, real processes)
	@$(BIN)/vitest run --project integration

.PHONY: security
security: deps broker ## Run the security tests (generated broker users, attacks, signatures)
	@$(BIN)/vitest run --project security

.PHONY: mutants
mutants: deps ## Take each guard of the invariants out of a copy of the sources: the simulation must turn red
	@$(BIN)/vitest run --project mutants

.PHONY: bench
bench: deps broker ## Measure, beside the broker's raw limit
	@$(NODE) test/bench/main.ts

.PHONY: vote-rounds
vote-rounds: deps broker ## Hold 10,000 vote rounds with liars and sleepers, and kill their proposers (ROUNDS=n, SEED=n)
	@$(NODE) test/chaos/vote-rounds/main.ts

.PHONY: bench-consensus
bench-consensus: deps broker ## Does voting help, and what does it cost? (DISCS=n, SEED=n; writes docs/consensus unless CI is set)
	@[ -n "$$CI" ] || docs=--docs; $(NODE) test/bench/consensus/main.ts $${DISCS:+--discs "$$DISCS"} $${SEED:+--seed "$$SEED"} $$docs

.PHONY: bench-patterns
bench-patterns: deps broker ## Ten goals through all four patterns, left alone and with processes killed (SEED=n; writes docs/patterns unless CI is set)
	@[ -n "$$CI" ] || docs=--docs; $(NODE) test/bench/patterns/main.ts $${SEED:+--seed "$$SEED"} $$docs

.PHONY: model-faults
model-faults: deps broker ## Run 100 goals on a model that fails in 30 % of its answers (GOALS=n, SEED=n)
	@$(NODE) test/chaos/model-faults/main.ts

.PHONY: containers
containers: deps broker ## Run the stack in containers: kill agents and brokers, restart everything, look for secrets
	@TESTCONTAINERS_RYUK_DISABLED=true $(BIN)/vitest run --project containers

.PHONY: up
up: deps broker ## Start a whole mesh in containers on this host, and run a goal (NODES=1 for a laptop)
	@$(NODE) deploy/stack/main.ts up

.PHONY: down
down: deps ## Stop that mesh and remove its containers, networks, volumes and secrets
	@$(NODE) deploy/stack/main.ts down

.PHONY: secrets
secrets: deps ## Make certificates and keys below .cache/stack, for containers and as Secrets for Kubernetes
	@$(NODE) deploy/stack/main.ts secrets

.PHONY: sbom
sbom: deps ## Write bills of materials (CycloneDX) of the packages and of the image
	@$(NODE) deploy/supply/sbom/main.ts

.PHONY: licences
licences: deps ## Check that every production package has a permissive licence
	@$(BIN)/license-checker-rseidelsohn --production --excludePrivatePackages --summary --onlyAllow '$(LICENCES)'

.PHONY: audit
audit: deps ## Look for advisories for the locked packages
	@$(NODE) deploy/supply/audit/main.ts

.PHONY: image
image: deps ## Build the container image, with an engine and base images made present where they are missing
	@$(NODE) deploy/engine/main.ts

.PHONY: budgets
budgets: deps broker ## Spend a budget to its edge from many processes, and kill them (KILLS=n)
	@$(NODE) test/chaos/budgets/main.ts

.PHONY: poison
poison: deps broker ## Mix 10,000 malformed, oversize and poison messages with good work (POISON=n)
	@$(NODE) test/chaos/poison/main.ts

.PHONY: observability
observability: deps broker prometheus ## Prove with a real Prometheus that every panel and alert gets its data
	@$(NODE) test/observability/main.ts

.PHONY: asyncapi
asyncapi: deps ## Write and validate the AsyncAPI document
	@$(NODE) deploy/asyncapi/main.ts

.PHONY: monitoring
monitoring: deps ## Write dashboards, docs/metrics.md and docs/alerts.md from code and rules
	@$(NODE) deploy/monitoring/main.ts

.PHONY: ci-long
ci-long: deps broker ## Run the suites that take minutes
	@for suite in $(LONG_SUITES); do $(MAKE) --no-print-directory "$$suite" || exit 1; done

.PHONY: clean
clean: ## Remove everything fetched, installed or generated
	rm -rf .cache coverage node_modules

# What the targets above stand on. All of it is quick when there is nothing to do.

.PHONY: node
node:
	@sh deploy/bootstrap/node.sh

.PHONY: deps
deps: node
	@sh deploy/bootstrap/packages.sh

.PHONY: prometheus
prometheus: node
	@$(NODE) deploy/bootstrap/prometheus/main.ts

.PHONY: broker
broker: node
	@$(NODE) deploy/bootstrap/main.ts
