# What a person does with this project. `make` alone lists it.

# Everything is built in one profile, so that the demo and the tests share what is compiled.
target := $(or $(CARGO_TARGET_DIR),target)
guildhall := $(target)/debug/guildhall
sandbox := $(target)/debug/guildhall-sandbox
venv := .guildhall/venv

skip_kafka := $(filter 1,$(SKIP_KAFKA))

.PHONY: help demo test check bench schemathesis docs clean-data
.DEFAULT_GOAL := help

help: ## List what can be done.
	@echo 'usage: make TARGET'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p; s/^# \( .*\)/  |\1/p' $(MAKEFILE_LIST) \
	    | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

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
	@scripts/ensure-tools $(if $(skip_kafka),,--kafka)
	@cargo test --workspace --no-run
	@exec $(sandbox) run $(if $(skip_kafka),,--kafka) -- cargo test --workspace $(ARGS)

check: ## Check format, lints, documentation and the rules of the house.
	@scripts/ensure-tools --no-postgres
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	cargo test --package guildhall-server --test house_rules

bench: ## Measure against the baseline, on a private Postgres; writes target/bench/results.json.
	@scripts/ensure-tools
	@cargo run --release --manifest-path bench/Cargo.toml -- $(ARGS)

schemathesis: $(venv)/bin/schemathesis ## Try the running server's API against its own description.
	@scripts/ensure-tools
	@cargo build --workspace --bins
	@PATH="$(abspath $(venv))/bin:$$PATH" scripts/schemathesis $(ARGS)

$(venv)/bin/schemathesis:
	@scripts/ensure-tools --no-postgres --venv
	python3 -m venv $(venv)
	$(venv)/bin/pip install --quiet schemathesis

docs: ## Write docs/openapi.json anew from the code.
	@cargo build --workspace --bins
	@$(guildhall) openapi >$(target)/openapi.json && mv $(target)/openapi.json docs/openapi.json

clean-data: ## Forget the demo's data; what was downloaded and built stays.
	@scripts/clean-data
