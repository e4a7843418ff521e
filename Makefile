# What a person does with this project. `make` alone lists it.

# Everything is built in one profile, so that the demo and the tests share what is compiled.
target := $(or $(CARGO_TARGET_DIR),target)
guildhall := $(target)/debug/guildhall
sandbox := $(target)/debug/guildhall-sandbox
venv := .guildhall/venv
node_modules := $(abspath .guildhall/node/node_modules)

skip_kafka := $(filter 1,$(SKIP_KAFKA))

.PHONY: help demo test torture chaos check bench schemathesis books eventstoredb-clients topics webhooks docs clean-data
.DEFAULT_GOAL := help

help: ## List what can be done.
	@echo 'usage: make TARGET'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p; s/^# \( .*\)/  |\1/p' $(MAKEFILE_LIST) \
	    | awk -F'|' '{ printf "%-21s %s\n", $$1, $$2 }'

demo: ## Build, start everything on this machine, tell a story through the API, and stay up.
#   KAFKA=1        carry the events over a real Kafka
#   CIVICRM=DIR    import the associations found in DIR as well
#   DATABASE_URL   use this Postgres instead of a private one
#   ARGS='…'       further arguments; ARGS=--help lists them
	@scripts/ensure-tools $(if $(DATABASE_URL),--no-postgres) $(if $(KAFKA),$(if $(KAFKA_BROKERS),,--kafka))
	@cargo build --workspace --bins
	@exec $(guildhall) demo $(if $(KAFKA),--kafka) $(if $(CIVICRM),--civicrm '$(CIVICRM)') $(ARGS)

test: ## Run every test, with a Postgres and a Kafka of its own.
#   SKIP_KAFKA=1   without Kafka; what was not run is listed at the end
	@scripts/ensure-tools --guides --verifier --webhooks $(if $(skip_kafka),,--kafka)
	@cargo test --workspace --no-run
	@exec $(sandbox) run $(if $(skip_kafka),,--kafka) -- cargo test --workspace $(ARGS)

# Where a long form says what it came to.
torture_results := $(abspath $(target)/torture/results.md)
tortured := GUILDHALL_TORTURE=1 GUILDHALL_TORTURE_RESULTS='$(torture_results)' $(sandbox) run -- cargo test

torture: ## Try for minutes instead of seconds to break the promises; writes target/torture/results.md.
	@scripts/ensure-tools --verifier
	@cargo test --package guildhall-event-store --package guildhall-commands --package guildhall-projections --package guildhall-server --package guildhall-sandbox --no-run
	@mkdir -p $(dir $(torture_results))
	@printf '%s, commit %s, %s cores\n\n| What was tried | What came of it |\n|---|---|\n' \
	    "$$(date -u +%F)" "$$(git rev-parse --short HEAD)" "$$(nproc)" >$(torture_results)
	@$(tortured) --package guildhall-event-store --test store -- --test-threads=1 cuts:: delays:: mishaps::
	@$(tortured) --package guildhall-commands --test write_side -- --test-threads=1 stopped::
	@$(tortured) --package guildhall-projections --test projections -- parked::one_poison
	@$(tortured) --package guildhall-server --test whole -- --test-threads=1 torture:: integrity::attack
	@cat $(torture_results)

chaos_results := $(abspath $(target)/chaos/results.md)

chaos: ## Break an installation of real processes again and again, and see that nothing is lost; writes target/chaos/results.md.
#   MINUTES=30     how long something breaks every few seconds
#   SEED=N         break the same things again
	@scripts/ensure-tools --kafka
	@cargo test --package guildhall-server --package guildhall-sandbox --no-run
	@mkdir -p $(dir $(chaos_results))
	@printf '%s, commit %s, %s cores\n\n' "$$(date -u +%F)" "$$(git rev-parse --short HEAD)" "$$(nproc)" >$(chaos_results)
	@GUILDHALL_CHAOS=1 GUILDHALL_CHAOS_RESULTS='$(chaos_results)' MINUTES='$(MINUTES)' SEED='$(SEED)' GUILDHALL_TEST_KAFKA=its-own \
	    $(sandbox) run -- cargo test --package guildhall-server --test whole -- --nocapture chaos::
	@cat $(chaos_results)

check: ## Check format, lints, documentation and the rules of the house.
	@scripts/ensure-tools --no-postgres
	cargo fmt --all --check
	cargo fmt --check --manifest-path bench/Cargo.toml
	cargo fmt --check --manifest-path tools/eventstoredb-clients/Cargo.toml
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	cargo test --package guildhall-server --test house_rules

bench: ## Measure against the baseline, on a private Postgres; writes target/bench/results.json.
#   ARGS='…'       only some rows, a quick look, growth; ARGS=--help lists them
	@scripts/ensure-tools --load
	@cargo build --release --target-dir bench/target --bin guildhall
	@cargo run --release --manifest-path bench/Cargo.toml -- $(ARGS)

schemathesis: ## Try the API of a demo against its own description.
#   EXAMPLES=N     how many generated requests for each operation
	@scripts/ensure-tools --venv
	@test -x $(venv)/bin/schemathesis || (python3 -m venv $(venv) && $(venv)/bin/pip install --quiet schemathesis)
	@cargo build --workspace --bins
	@PATH="$(abspath $(venv))/bin:$$PATH" scripts/with-demo -- scripts/schemathesis $(ARGS)

books: ## Have hledger and beancount check the journals of a demo.
#   CIVICRM=DIR    and of the associations found in DIR
	@scripts/ensure-tools --venv --books
	@test -x $(venv)/bin/bean-check || (python3 -m venv $(venv) && $(venv)/bin/pip install --quiet beancount)
	@cargo build --workspace --bins
	@PATH="$(abspath $(venv))/bin:$$PATH" scripts/with-demo $(if $(CIVICRM),--civicrm '$(CIVICRM)') -- \
		scripts/check-books lakeside $(if $(CIVICRM),$$(cd '$(CIVICRM)' && ls -d */ | tr -d / | tr '[:upper:].' '[:lower:]-'))

eventstoredb-clients: ## Have EventStoreDB's clients for Rust and Python read a demo's history.
	@scripts/ensure-tools --venv --guides
	@test -d $(venv)/lib/python*/site-packages/kurrentdbclient || \
		(python3 -m venv $(venv) && $(venv)/bin/pip install --quiet kurrentdbclient==1.3.5)
	@cargo build --workspace --bins
	@cargo build --manifest-path tools/eventstoredb-clients/Cargo.toml
	@PATH="$(abspath $(venv))/bin:$$PATH" scripts/eventstoredb-clients

webhooks: ## Have a Standard Webhooks library check what a demo sends.
	@scripts/ensure-tools --webhooks
	@cargo build --workspace --bins
	@scripts/check-webhooks

topics: ## Read a demo's topics with a client that has docs/asyncapi.json only, and check every record.
#   CIVICRM=DIR    with the associations found in DIR imported as well
	@scripts/ensure-tools --venv --kafka --node
	@test -d $(venv)/lib/python*/site-packages/confluent_kafka || \
		(python3 -m venv $(venv) && $(venv)/bin/pip install --quiet confluent-kafka 'jsonschema[format-nongpl]')
	@test -d $(node_modules)/@asyncapi/parser || \
		npm install --silent --ignore-scripts --prefix $(dir $(node_modules)) @asyncapi/parser@3
	@NODE_PATH=$(node_modules) scripts/check-asyncapi docs/asyncapi.json
	@cargo build --workspace --bins
	@PATH="$(abspath $(venv))/bin:$$PATH" scripts/with-demo --kafka $(if $(CIVICRM),--civicrm '$(CIVICRM)') -- \
		scripts/check-topics

docs: ## Write docs/openapi.json, docs/asyncapi.json and docs/schemas anew from the code.
	@cargo build --workspace --bins
	@$(guildhall) schemas docs/schemas
	@$(guildhall) asyncapi >$(target)/asyncapi.json && mv $(target)/asyncapi.json docs/asyncapi.json
	@$(guildhall) openapi >$(target)/openapi.json && mv $(target)/openapi.json docs/openapi.json

clean-data: ## Forget the demo's data; what was downloaded and built stays.
	@scripts/clean-data
