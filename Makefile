# `make` prints this help; every target sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help up down reset doctor check format test test-unit test-long bench reference locks images images/refresh clean

help: ## show this help
	@echo "Madang (마당): notebooks with accelerators for everybody"
	@echo
	@grep -hE '^[a-z][a-z/%-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18 | sed 's/^/  make /'
	@echo
	@echo "  ONLY=name,name make bench   measure only these"

up: ## set up and start Madang; prints address and sign-in
	@scripts/madang up
down: ## stop everything, keep data
	@scripts/madang down
reset: ## delete all data, after asking
	@scripts/madang reset
doctor: ## say what is missing or wrong on this machine
	@scripts/madang doctor

images: .venv ## build every image that is stale and check each (CUDA variants: build/torch-cuda)
	@scripts/madang images --all
	@scripts/test-images
images/refresh: .venv ## renew the locks and say in plain words what that changes (MARKDOWN=1: for the changelog)
	@PATH="$(CURDIR)/build/env/tool/bin:$$PATH" scripts/locks --upgrade
	@.venv/bin/python -m madang_hub.shelf.refresh $(if $(MARKDOWN),--markdown)
build/%: ## build one image and its parents, e.g. build/lab
	@scripts/madang images $*
test/%: .venv ## check one image in a container, e.g. test/energy
	@scripts/test-images $*

.venv: locks/dev.txt extensions/madang-hub/pyproject.toml scripts/setup
	@scripts/setup --dev

check: .venv ## lint and types (under two minutes)
	@scripts/check
format: .venv ## format and sort imports
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .
test: ## everything: lint, types, unit, contracts, integration, security, images, browser
	@scripts/test
test-unit: .venv ## only what needs no engine and no browser
	@.venv/bin/python -m pytest tests/unit tests/contracts
test-long: ## soak tests
	@scripts/test -m long
bench: ## measure against the plain upstream parts; writes build/bench.json
	@scripts/bench $(if $(ONLY),--only $(ONLY))
reference: .venv ## write the reference pages anew from the code
	@.venv/bin/python -m madang_hub.reference
locks: .venv ## bring the locks in line with their inputs
	@PATH="$(CURDIR)/build/env/tool/bin:$$PATH" scripts/locks
clean: ## remove what was built in this folder (not Madang's data)
	rm -rf build .venv
