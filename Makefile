# `make` alone explains what there is. Continuous integration runs `make check`
# and `make test` (.ci/run).

.DEFAULT_GOAL := help
SHELL := /bin/sh

GO        ?= go
FUZZTIME  ?= 10s
PHASE     ?= 5s
# Empty outside of a clone; the program then says what Go recorded.
VERSION   ?= $(shell git describe --always --dirty 2>/dev/null)
# Files that make generate writes.
GENERATED = $(shell find . -name '*_templ.go' -not -path '*/node_modules/*') \
            docs/config.md docs/cli.md config/testdata/example.yaml
# Programs that tests start, as program:package of Debian.
NEEDS     = redis-server:redis-server chromium:chromium gcc:build-essential npm:npm \
            curl:curl openssl:openssl python3:python3
# make, within a recipe that make -n must not run.
AGAIN     = $(MAKE) --no-print-directory
# An example that is a module of its own, as an outside team's would be.
EXAMPLE   = examples/purchasing
# Folders of npm packages that tests use.
NPM_DIRS  = $(patsubst %/package-lock.json,%,$(wildcard internal/e2e/*/package-lock.json passcode/sms/*/package-lock.json))

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## provider, application and inbox on this machine, nothing kept
	$(GO) run ./cmd/handset demo

.PHONY: purchasing
purchasing: ## the demo, and a company with a REST and a gRPC API that takes its tokens
	$(GO) -C $(EXAMPLE) run .

.PHONY: build
build: ## bin/handset, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.buildVersion=$(VERSION)' -o bin/handset ./cmd/handset

# CI=true makes a missing program a failure; without it the tests that need it
# are skipped. Fuzzing comes first: what it finds is a failing test of the run
# that follows, whose summary is the last that is said.
.PHONY: test
test: prepare ## install what the tests need, fuzz for a moment, and run them all
	@status=0; \
	$(AGAIN) fuzz-brief || status=1; \
	CI=true $(GO) -C $(EXAMPLE) test -race -shuffle=on -timeout 20m ./... || status=1; \
	CI=true $(GO) test -race -shuffle=on -timeout 60m ./... || status=1; \
	exit $$status

.PHONY: prepare
prepare:
	@missing=""; \
	for need in $(NEEDS); do \
		command -v "$${need%%:*}" >/dev/null 2>&1 || missing="$$missing $${need#*:}"; \
	done; \
	if command -v apt-get >/dev/null 2>&1 && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then \
		missing="$$missing ca-certificates"; \
	fi; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		as_root=""; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
		{ $$as_root apt-get update -qq && \
		  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } || \
		{ echo "can't install$$missing; install it yourself and run make again"; exit 1; }; \
	fi
	@for dir in $(NPM_DIRS); do \
		[ -f "$$dir/package-lock.json" ] || continue; \
		cmp -s "$$dir/package-lock.json" "$$dir/node_modules/.installed" && continue; \
		echo "npm ci in $$dir"; \
		(cd "$$dir" && npm ci --silent --no-audit --no-fund && cp package-lock.json node_modules/.installed) || exit 1; \
	done
	@# What internal/docscheck builds in its tests, with their settings: else an
	@# empty build cache would use up their deadlines.
	@bin=$$(mktemp -d); trap 'rm -rf "$$bin"' EXIT; \
	GOFLAGS=-trimpath CGO_ENABLED=0 $(GO) build -o "$$bin/" ./cmd/handset ./examples/...

.PHONY: check
check: check-format check-vet check-static check-architecture check-generated ## all that a machine can say without running the product

.PHONY: check-format
check-format:
	@found=$$(gofmt -l $$(find . -name '*.go' -not -path '*/node_modules/*')); \
	[ -z "$$found" ] || { echo "not formatted; run gofmt -w on:"; echo "$$found"; exit 1; }

.PHONY: check-vet
check-vet:
	@$(GO) vet ./... && $(GO) vet -tags soak ./internal/e2e && $(GO) -C $(EXAMPLE) vet ./...

.PHONY: check-static
check-static:
	@$(GO) tool staticcheck ./...
	@# The tool is one of this module; the example has none.
	@tool=$$($(GO) tool -n staticcheck) && cd $(EXAMPLE) && $$tool ./...

.PHONY: check-architecture
check-architecture:
	@$(GO) test -count=1 ./internal/archtest

# Generates in place and compares with what was there before.
.PHONY: check-generated
check-generated:
	@before=$$(cat $(GENERATED) | cksum); \
	$(MAKE) --no-print-directory -s generate >/dev/null || exit 1; \
	after=$$(cat $(GENERATED) | cksum); \
	[ "$$before" = "$$after" ] || { echo "generated files were not current; make generate has written them:"; git status --short -- $(GENERATED); exit 1; }

.PHONY: generate
generate: ## write the generated files: pages, docs/config.md, docs/cli.md
	$(GO) tool templ generate -log-level error -path views
	$(GO) test -count=1 ./config -run '^TestManual$$' -update
	$(GO) test -count=1 ./cmd/handset -run '^TestCommandManual$$' -update

# One target at a time is what go test can do; what it finds lands in testdata/
# and is a test from then on. A target that found nothing may still end with
# "context deadline exceeded": a race of go test itself (golang/go#75804).
.PHONY: fuzz
fuzz: ## fuzz every parser for FUZZTIME (10s) each
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v node_modules | xargs -n1 dirname | sort -u); do \
		for name in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$package/*_test.go | cut -c6-); do \
			$(GO) test $$package -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) >"$$log" 2>&1; status=$$?; \
			echo "$$package $$name: $$(grep '^fuzz: ' "$$log" | tail -n 1)"; \
			[ $$status = 0 ] && continue; \
			grep -q '^ *context deadline exceeded' "$$log" && ! grep -q 'Failing input' "$$log" && continue; \
			cat "$$log"; exit 1; \
		done; \
	done

# Every target with its kept corpus and a few hundred inputs more, the same number
# on every machine.
.PHONY: fuzz-brief
fuzz-brief:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=200x

.PHONY: soak
soak: prepare ## 10,000 codes through two senders, one of which fails half the time
	@CI=true $(GO) test -tags soak -count=1 -timeout 30m -run '^TestSoak$$' -v ./internal/e2e

.PHONY: test-all
test-all: check test fuzz soak test-sdks ## check, test, fuzz, soak, and every version of the SDKs

.PHONY: test-sdks
test-sdks: prepare
	@CI=true HANDSET_TEST_EVERY_SDK=true $(GO) test -count=1 -timeout 30m -run '^TestAuth0' ./internal/e2e

.PHONY: bench
bench: prepare ## whole logins against a running server: what one costs
	$(GO) run ./bench -phase $(PHASE)

.PHONY: profile
profile: prepare build ## bench, with a CPU profile of the server in bin/server.prof
	$(GO) run ./bench -phase $(PHASE) -profile bin/server.prof
	$(GO) tool pprof -top -nodecount 30 bin/handset bin/server.prof
