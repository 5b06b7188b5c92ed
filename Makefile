# The commands one types. `make help` lists them; each brings along what it needs.
#
#   PG_CONFIG=…            the server to build for; by default the one that is installed
#   CARGO_TARGET_DIR=…     where Rust builds; honoured everywhere
#   NOTARY_TMP=…           where private servers live, a short path that everyone may read (/tmp)

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
export PG_CONFIG

# How long `make soak` works at random.
SOAK_SECONDS ?= 3600

# How long `make fuzz` works.
FUZZ_SECONDS ?= 600

# Which server, which features, where the private copy is.
ENV := . tests/env.sh

# The files of expected output that a run is about: all, or those of one name.
GOLDEN := --test regress --test isolation
ifdef NOTARY_ONLY
export NOTARY_ONLY
GOLDEN := $(if $(wildcard tests/pg_regress/sql/$(NOTARY_ONLY).sql),--test regress) \
    $(if $(wildcard tests/isolation/specs/$(NOTARY_ONLY).spec),--test isolation)
endif

.NOTPARALLEL:
.PHONY: help demo test install setup setup-build setup-bench stage fmt lint core-test server-test regress \
    regress-accept bench bench-quick bench-profile bench-seals bench-search soak fuzz clean

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-build stage ## See it at work on a throw-away server, in about a minute
	@$(ENV); tests/demo.sh

test: setup ## Everything that CI runs: formatting, lints, documentation, all tests
	@$(MAKE) lint
	@$(MAKE) core-test
	@$(MAKE) server-test
	@echo "make test: all passed"

install: setup-build ## Build and install into a server that exists: make install PG_CONFIG=…
	@tests/install.sh

setup: ## Install what is missing for building and testing
	@tests/setup.sh test

setup-build: ## Install what is missing for building alone
	@tests/setup.sh build

setup-bench:
	@tests/setup.sh bench

stage: ## Build, and put the result into a private copy of the server
	@tests/stage.sh

fmt: ## Format the sources
	cargo fmt --all

lint: ## Formatting, clippy and documentation, warnings denied
	cargo fmt --all --check
	$(ENV); cargo clippy --workspace --all-targets $$PG_FEATURES -- -D warnings
	$(ENV); RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps $$PG_FEATURES

core-test: ## Tests of the pure core and of what the extension has of such, without a server
	cargo test -p notary-core
	$(ENV); cargo test -p pg_notary --lib $$PG_FEATURES

server-test: stage ## Tests against a server; TEST=name runs one file of tests/tests
	$(if $(filter-out random_tampering,$(TEST)),,@tests/stage.sh omitting)
	$(ENV); cargo test --no-fail-fast -p notary-tests $(if $(TEST),--test $(TEST))

regress: stage ## What psql and isolationtester show, against the expected files; NOTARY_ONLY=name runs one
	$(ENV); cargo test -p notary-tests $(GOLDEN)

regress-accept: stage ## Write down what they show now as expected; look at the diff before you commit it
	$(ENV); NOTARY_ACCEPT=1 cargo test -p notary-tests $(GOLDEN)

bench: setup-bench stage ## Every figure in the README, side by side with what it is held to: less than 15 minutes, 8 GB
	$(ENV); cargo run --quiet -p notary-tests --bin bench -- full --write

bench-quick: setup-bench stage ## The same with smaller sizes, in some 2 minutes; changes no page
	$(ENV); cargo run --quiet -p notary-tests --bin bench -- quick

bench-profile: setup-build stage ## Where the time of a protected INSERT goes, step by step; needs perf
	@$(ENV); tests/bench_profile.sh

bench-seals: setup-build stage ## What seals, proofs and exports cost, in some minutes and 5 GB
	@$(ENV); tests/bench_seals.sh

bench-search: setup-build stage ## How long a page of notary.search takes among ten million events, in half an hour and 12 GB
	@$(ENV); tests/bench_search.sh

soak: setup stage ## Random work, random tampering and seals under load, each for SOAK_SECONDS=3600
	@tests/stage.sh omitting
	$(ENV); NOTARY_SOAK_SECONDS=$(SOAK_SECONDS) cargo test --release -p notary-tests --test random_work --test random_tampering -- --nocapture
	$(ENV); NOTARY_SOAK_SECONDS=$(SOAK_SECONDS) cargo test --release -p notary-tests --test seals -- --nocapture load

fuzz: ## Mutated texts into every parser of the core for FUZZ_SECONDS=600; `make test` does so for seconds
	NOTARY_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --profile fuzz -p notary-core --test fuzz -- --nocapture

clean: ## Remove what was built, and this checkout's private servers
	cargo clean
	$(ENV); rm -rf "$$NOTARY_STAGE"
