# `make help` lists what can be made.
PREFIX ?= /usr/local
DESTDIR ?=
SWIFT_FORMAT = swift format lint --strict --configuration .swift-format -r Sources Tests Package.swift

.DEFAULT_GOAL := help
.PHONY: help build release test check fmt bench-cpu bench-adapters gpu-bench fuzz man completions docs install clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

build: ## Build for debugging
	swift build

release: ## Build optimised, with the Swift runtime inside
	swift build -c release --static-swift-stdlib --product pbctl

test: ## Install what is missing, build and run all tests
	./scripts/test

check: ## Check formatting, imports and generated files
	$(SWIFT_FORMAT)
	./scripts/check-imports
	swift test --filter GeneratedFilesTests

fmt: ## Format all Swift files in place
	swift format -i --configuration .swift-format -r Sources Tests Package.swift

bench-cpu: ## Measure beside llama.cpp (LLAMA_BIN=its binaries)
	./scripts/bench-cpu

bench-adapters: ## Measure what many adapters cost, beside llama.cpp (LLAMA_BIN=its binaries)
	./scripts/bench-adapters

gpu-bench: ## Check and measure on an NVIDIA GPU, beside PyTorch and PEFT
	./scripts/gpu-bench

fuzz: ## Fuzz the readers of untrusted files, 60 s each
	./scripts/fuzz

docs: ## Write man pages and completion scripts anew
	swift run pbctl generate-docs --man man --completions completions

man: docs ## The same as docs

completions: docs ## The same as docs

install: release ## Install under PREFIX (/usr/local)
	install -D -m 755 "$$(swift build -c release --static-swift-stdlib --show-bin-path)/pbctl" "$(DESTDIR)$(PREFIX)/bin/pbctl"
	install -d "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -m 644 man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -D -m 644 completions/pbctl.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/pbctl"
	install -D -m 644 completions/_pbctl "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_pbctl"
	install -D -m 644 completions/pbctl.fish "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/pbctl.fish"

clean: ## Remove what was built
	rm -rf .build .build-fuzz .build-bench .build-clients
