# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# How often make soak checks each property: of packages without concurrency; of simulate, where a check takes 0.2 s; and of
# concurrent packages, with the race detector.
SOAK_CHECKS ?= 20000
SOAK_SIMULATIONS ?= 5000
SOAK_RACE_CHECKS ?= 5000
# How long make soak runs each fuzz target.
SOAK_FUZZ ?= 10m
# How long make soak simulates the whole system with faults: a duration, or a number of steps.
SOAK_SYSTEM ?= 30m

# The tools of the tests. A change of this value makes go test run tests again that it would not have to (see hack/testtool).
TOOLS = $(shell id -u; command -v apt-get dpkg dpkg-deb dpkg-scanpackages facter puppet run-parts dbus-daemon systemd-analyze promtool \
	git gpg ssh-keygen sshd lintian rpm chromium chromium-browser google-chrome; ls /usr/share/bash-completion/bash_completion 2>/dev/null)

# The version in the binaries is the one that Go reads from Git.
BUILD := CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the three binaries into bin/, static and stripped
	$(BUILD)

.PHONY: packages
packages: bin/nfpm ## Build .deb and .rpm packages for amd64 and arm64 into bin/packages
	rm -rf bin/packages
	hack/packages.sh bin/packages amd64 arm64

.PHONY: image
image: ## Build the OCI image of controller and CLI for amd64 and arm64 into bin/image
	rm -rf bin/image
	hack/image.sh bin/image amd64 arm64

.PHONY: demo
demo: $(if $(CONSUL),consul) ## Watch a simulated fleet upgrade; CONSUL=1: with a real Consul and separate agents
	$(BUILD)
	$(if $(CONSUL),UPGRADE_TEST_CONSUL="$$(hack/consul.sh)") bin/upgradectl demo $(if $(CONSUL),--consul)

.PHONY: deps
deps: ## Download modules; as root on Debian, install the tools that tests need
	go mod download
	missing=()
	command -v systemd-analyze >/dev/null || missing+=(systemd)
	command -v lintian >/dev/null || missing+=(lintian)
	command -v rpm >/dev/null || missing+=(rpm)
	command -v promtool >/dev/null || missing+=(prometheus)
	command -v puppet >/dev/null || missing+=(puppet-agent)
	command -v dpkg-scanpackages >/dev/null || missing+=(dpkg-dev)
	command -v dbus-daemon >/dev/null || missing+=(dbus-daemon)
	command -v gpg >/dev/null || missing+=(gnupg)
	command -v ssh-keygen >/dev/null || missing+=(openssh-client)
	command -v sshd >/dev/null || missing+=(openssh-server)
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
	command -v npm >/dev/null || missing+=(npm)
	[[ -e /usr/share/bash-completion/bash_completion ]] || missing+=(bash-completion)
	if (($${#missing[@]})) && command -v apt-get >/dev/null && [[ $$(id -u) == 0 ]]; then
	  apt-get update -q && apt-get install -qy --no-install-recommends "$${missing[@]}"
	fi
	# Images of containers have an empty machine id.
	if [[ $$(id -u) == 0 && ! -s /etc/machine-id ]] && command -v systemd-machine-id-setup >/dev/null; then systemd-machine-id-setup; fi
	if command -v npm >/dev/null; then npm --prefix hack/axe ci --ignore-scripts --no-audit --no-fund; fi

.PHONY: consul
consul: ## Find a Consul for tests on the PATH, or build one into bin/
	@hack/consul.sh >/dev/null

# With the race detector, tests take their short form: the run before has run all of them in full.
.PHONY: test
test: consul bin/govulncheck ## Run all tests, with a real Consul, and concurrent code with the race detector
	export UPGRADE_TEST_CONSUL="$$(hack/consul.sh)" UPGRADE_PICTURES="$${UPGRADE_PICTURES:-$(CURDIR)/bin/pictures}"
	export UPGRADE_TEST_TOOLS="$(TOOLS)"
	{
	  go test -json ./...
	  go -C hack/examples test -json ./...
	  if command -v gcc >/dev/null || command -v clang >/dev/null; then
	    go test -json -race -short $$(go list ./controllers/... ./cmd/... | grep -v /controllers/core)
	  else
	    echo "no C compiler: the race detector is left out"
	    [[ $${CI:-} != true ]]
	  fi
	} | go run ./hack/testsummary

.PHONY: verify
verify: bin/controller-gen bin/golangci-lint bin/govulncheck ## Check format, vet, modules, generated files, imports, links, cited tests, prose, licenses, lint and vulnerabilities
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'))
	if [[ -n $$unformatted ]]; then printf 'gofmt would change:\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./...
	go mod tidy -diff
	go -C hack/tools mod tidy -diff
	go -C hack/packages mod tidy -diff
	go -C hack/vulncheck mod tidy -diff
	go -C hack/examples mod tidy -diff
	hack/generate.sh --check
	go test -count=1 -skip '^(TestPages|TestPackages|TestImage)$$' ./hack
	bin/golangci-lint run
	hack/vulncheck.sh

.PHONY: vulncheck
vulncheck: bin/govulncheck ## Scan the programs for known vulnerabilities; needs vuln.go.dev
	hack/vulncheck.sh

.PHONY: lint
lint: bin/golangci-lint ## Run golangci-lint
	bin/golangci-lint run

.PHONY: prose
prose: ## List all words that we do not use; IN=docs: only below docs
	go test -count=1 ./hack -run '^TestProse$$' -prose '$(or $(IN),.)'

.PHONY: bench
bench: consul ## Run benchmarks with a real Consul, one package at a time
	UPGRADE_TEST_CONSUL="$$(hack/consul.sh)" go test -p 1 -run '^$$' -bench . -benchmem -timeout 60m ./...

.PHONY: soak
soak: consul ## Check properties thousands of times, 24 rounds of chaos, each fuzz target for SOAK_FUZZ (10m), the system for SOAK_SYSTEM (30m)
	export UPGRADE_TEST_CONSUL="$$(hack/consul.sh)" UPGRADE_CHAOS_ROUNDS=24
	simulate=$$(go list ./controllers/core/simulate)
	RAPID_CHECKS=$(SOAK_CHECKS) go test -count=1 -timeout 2h $$(go list ./apis/... ./controllers/core/... | grep -vFx "$$simulate")
	RAPID_CHECKS=$(SOAK_SIMULATIONS) go test -count=1 -timeout 2h "$$simulate"
	RAPID_CHECKS=$(SOAK_RACE_CHECKS) go test -race -count=1 -timeout 2h $$(go list ./controllers/... ./cmd/... | grep -v /controllers/core)
	hack/fuzz.sh $(SOAK_FUZZ)
	UPGRADE_DST_CALIBRATE=1 go test -count=1 -timeout 2h -v ./controllers/internal/dst -run '^TestSimulation_FindsRevertedFixes$$' # 3 to 8 minutes
	UPGRADE_DST_STEPS=$(SOAK_SYSTEM) go test -count=1 -timeout 0 -v ./controllers/internal/dst -run '^TestSimulation$$'

.PHONY: generate
generate: bin/controller-gen ## Write deepcopy functions, the CRD and the reference of commands
	hack/generate.sh

.PHONY: pictures
pictures: build ## Take the pictures of the README; needs chromium
	hack/screenshots.sh

# The plus lets make run the script with --dry-run too, which it passes on.
.PHONY: release
release: ## Build the files of VERSION into bin/release; with --dry-run also without a tag
	+hack/release.sh "$(VERSION)" $(if $(findstring n,$(firstword -$(MAKEFLAGS))),--dry-run)

.PHONY: clean
clean: ## Remove built files, except bin/consul, which takes long to build
	find bin -mindepth 1 ! -name consul -delete 2>/dev/null || true

bin/controller-gen: hack/tools/go.mod
	go -C hack/tools build -o $(CURDIR)/$@ sigs.k8s.io/controller-tools/cmd/controller-gen
	@touch $@

bin/nfpm: hack/packages/go.mod
	go -C hack/packages build -trimpath -o $(CURDIR)/$@ github.com/goreleaser/nfpm/v2/cmd/nfpm
	@touch $@

bin/cyclonedx-gomod: hack/packages/go.mod
	go -C hack/packages build -trimpath -o $(CURDIR)/$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	@touch $@

bin/govulncheck: hack/vulncheck/go.mod
	go -C hack/vulncheck build -trimpath -o $(CURDIR)/$@ golang.org/x/vuln/cmd/govulncheck
	@touch $@

bin/golangci-lint: hack/tools/go.mod
	@echo "building golangci-lint from source, which takes a few minutes the first time" >&2
	go -C hack/tools build -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
