# make run     open the chat (ARGS="--username Bob" passes flags)
# make test    everything that a change must pass: vet, unit tests, end-to-end tests
# make help    all targets

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.1.4
FUZZTIME    ?= 10s
ARGS        ?=
BENCHARGS   ?=
RACE         = CGO_ENABLED=1 $(GO) test -race -vet=off
# Compilers and checkers that collect garbage less often have a sixth less to do, and take 3 GB at the most.
READ         = GOGC=300
UNITS        = $(shell $(GO) list ./... | grep -v '/e2e')

# What starts no goroutine has no races, and takes the detector five to ten times as long: it is tested without, and so at its full
# length. These are the packages that are pure, and test files of others that say !race (cmd/deps_test.go holds both to it).
PURE         = ./media/mediatest ./peer/cbor ./peer/election ./peer/gossip ./peer/negotiate ./peer/overlay ./peer/presence ./peer/sim \
               ./peer/sim/chat ./peer/sim/member ./peer/wire
ALONE        = $(shell grep -lrx '//go:build !race' --include='*_test.go' --exclude='norace_test.go' cmd media peer signaling tui)
ALONE_TESTS  = $(shell sed -nE 's/^func ((Test|Fuzz)[A-Za-z0-9_]*).*/\1/p' $(ALONE) | paste -sd '|')

# As the binary is built, so is all that is looked at and tested but what the race detector is in, which needs C: nothing is compiled a third time.
lint others test unit unraced e2e fuzz build: export CGO_ENABLED = 0

.DEFAULT_GOAL := build
.PHONY: run build fmt lint others test unit raced unraced model netns e2e fuzz bench vuln clean deps help

run: ## open the chat; it hosts its own tracker if there is none
	$(GO) run ./cmd/peerchat join $(ARGS)

build: ## bin/peerchat, one static binary
	$(GO) build -trimpath -o bin/peerchat ./cmd/peerchat

fmt: ## format the code
	gofmt -w cmd configs media peer signaling tui

lint: ## what is not formatted, vetted or checked
	@test -z "$$(gofmt -l cmd configs media peer signaling tui)" || { echo "not formatted, run make fmt:"; gofmt -l cmd configs media peer signaling tui; exit 1; }
	$(READ) $(GO) vet ./...
	$(READ) $(GO) vet -tags netns ./signaling
	$(READ) CGO_ENABLED=1 $(GO) vet ./media/device
	$(READ) $(GO) run $(STATICCHECK) ./...

others: ## vet for the systems that nothing here runs on, and of the modules that peerchat is measured beside; not part of lint, because without a cache it takes minutes
	$(GO) vet -C cmd/bench/raft ./...
	$(GO) vet -C cmd/bench/gossipsub ./...
	GOOS=windows $(GO) vet ./...
	GOOS=windows $(GO) vet -C cmd/bench/gossipsub ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=darwin $(GO) vet -C cmd/bench/gossipsub ./...

test: deps ## vet, unit tests, the model of the election, end-to-end tests
	$(READ) $(GO) vet ./...
	$(READ) $(GO) vet -tags netns ./signaling
	$(READ) CGO_ENABLED=1 $(GO) vet ./media/device
	$(GO) build -o /dev/null ./cmd/peerchat
	$(MAKE) --no-print-directory unit
	$(MAKE) --no-print-directory model
	$(MAKE) --no-print-directory netns
	$(MAKE) --no-print-directory e2e

# go vet ./... sees more than go test does, once for all: hence -vet=off, without which all is looked at three times.
unit: raced unraced ## unit tests: with -race all that have goroutines, and without it all that have none

raced:
	$(RACE) -timeout 10m ./peer $(filter-out peerchat/peer $(PURE:./%=peerchat/%),$(UNITS))

unraced:
	$(GO) test -vet=off -timeout 10m $(PURE)
	$(GO) test -vet=off -timeout 10m -run '^($(ALONE_TESTS))$$' $(sort $(dir $(ALONE:%=./%)))

model: deps ## the model of the election, every state of it, with spin
	docs/election/check.sh

netns: deps ## discovery on a LAN of network namespaces, as root
	$(RACE) -tags netns -run InNamespaces -timeout 2m ./signaling

e2e: deps ## real processes in network namespaces
	$(GO) test -vet=off -count=1 -timeout 15m ./cmd/peerchat/e2e/...

fuzz: ## each fuzz target for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: deps ## measure the figures of docs/performance.md (BENCHARGS="-rounds 3 -only paced")
	$(GO) run ./cmd/bench $(BENCHARGS)

vuln: ## known holes in what is used; needs the vulnerability database
	$(GO) run $(GOVULNCHECK) ./...

deps: ## install what the tests need (as root with apt-get), or say what is missing
	@./.ci/deps

clean: ## remove what was built
	rm -rf bin dist
	$(GO) clean -testcache

help:
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
