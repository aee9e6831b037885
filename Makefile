# Everything here needs Go and make only, except lint, test-race and bench,
# which name what they lack. `.ci/setup` installs it.

GO       ?= go
FUZZTIME ?= 10000x
BENCH    ?=

export CGO_ENABLED = 0

# Plugins are compiled as PLUGINS in docs/write-a-plugin.md says.
WASM   = GOOS=wasip1 GOARCH=wasm $(GO) build -ldflags='-s -w' -buildmode=c-shared
STD    = host/builtin/files/std.wasm
TENANT = examples/quickstart/tenant.wasm
SDK    := $(shell find sdk/go -name '*.go' ! -name '*_test.go') sdk/go/go.mod
SDKZIP = cmd/headgate/internal/scaffold/files/sdk.zip
SDKS   = go c rust as
SDKSRC := $(shell find $(addprefix sdk/,$(SDKS)) -type f ! -name '*_test.go' ! -name '*.wasm' ! -path '*/target/*' ! -path '*/node_modules/*')
FIRST  := $(shell find plugins -name '*.go' ! -name '*_test.go') plugins/go.mod

.PHONY: all run build plugins test test-race test-full bench bench-peers bench-policies lint fmt reference clean

all: build

## run: build, and start the quickstart with its demo backends on loopback
run: build
	@sh examples/run.sh quickstart

## build: bin/headgate with the built-in filters in it
build: plugins
	$(GO) build -trimpath -ldflags='-s -w' -o bin/headgate ./cmd/headgate

## plugins: what is compiled to WebAssembly, if its sources changed
plugins: $(STD) $(TENANT) $(SDKZIP)

$(STD): $(FIRST) $(SDK)
	cd plugins && $(WASM) -o ../$(STD) ./std

$(TENANT): $(SDK)
	cd sdk/go && $(WASM) -o ../../$(TENANT) ./examples/tenant

# What headgate plugin new puts into projects.
$(SDKZIP): $(SDKSRC) cmd/headgate/internal/scaffold/pack/main.go
	$(GO) run ./cmd/headgate/internal/scaffold/pack $(SDKZIP) sdk $(SDKS)

## test: the tests of all three modules
test: plugins
	$(GO) test ./...
	cd sdk/go && $(GO) test ./...
	cd plugins && $(GO) test ./...

## test-race: the same under the race detector, which needs a C compiler
test-race: plugins
	@command -v gcc >/dev/null || command -v cc >/dev/null || { echo "test-race needs a C compiler"; exit 1; }
	CGO_ENABLED=1 $(GO) test -race ./...
	cd sdk/go && CGO_ENABLED=1 $(GO) test -race ./...
	cd plugins && CGO_ENABLED=1 $(GO) test -race ./...

## test-full: test, test-race, the slow suites, and every fuzz target for FUZZTIME
test-full: test test-race
	HEADGATE_FULL=1 $(GO) test -timeout 30m ./...
	cd test/conformance && HEADGATE_FULL=1 $(GO) test -timeout 15m ./...
	@sh test/fuzz.sh $(FUZZTIME)

## bench: CPU, throughput, latency and memory beside the peers that are there
bench: build
	$(GO) run ./bench $(BENCH)

## bench-peers: the peers that Debian does not have, into bench/out/peers
bench-peers:
	@sh bench/peers.sh

## bench-policies: decisions evaluated and remembered, beside OPA's own library and
## an OPA server on loopback
bench-policies:
	GOBIN=$(CURDIR)/bench/out/peers $(GO) install github.com/open-policy-agent/opa@$$($(GO) list -m -f '{{.Version}}' github.com/open-policy-agent/opa)
	HEADGATE_OPA=$(CURDIR)/bench/out/peers/opa $(GO) test -run '^$$' -bench 'Policies|OPAServer' ./policies

## reference: docs/reference, from what the gateway reads configurations with
reference: build
	bin/headgate schema -reference docs/reference

## lint: formatting, vet, and staticcheck and govulncheck where installed
lint:
	@sh test/lint.sh

## fmt: lay Go and configuration files out
fmt: build
	gofmt -w cmd runtime host policies plugins sdk bench test
	bin/headgate fmt examples

clean:
	rm -rf bin $(STD) $(TENANT) $(SDKZIP)
