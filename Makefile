# The same verbs for people and for CI. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE   := auth observability schemas service
ARGS   ?=
# One worker a core, each with servers and databases of its own, and no more of those than fit.
PYTEST := -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Potoo needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps make a second start quick: pip runs only when a lock changed.
$(VENV)/.served: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Potoo into $(VENV) (once, about a minute) ..."
	$(PIP) install --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.tested: requirements-dev.txt $(VENV)/.served
	@echo "Installing the test tools ..."
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.served ## make the virtual environment and install the locked requirements

serve: $(VENV)/.served ## start the server on 127.0.0.1:8000 (ARGS="--port 9000" for more)
	@exec $(BIN)/potoo serve $(ARGS)

# What the markers mean: pyproject.toml. How long each takes: tests/durations.md.
unit: $(VENV)/.tested ## unit and contract tests that start no process (ARGS="-k batching" for some)
	$(BIN)/python $(PYTEST) -m "not process and not slow" $(ARGS) tests/unit tests/contract

test: lint type arch ## lint, types, architecture, and every test that a change may well break
	$(BIN)/python $(PYTEST) -m "not slow" $(ARGS)

test-all: lint type arch ## the same with the slow tests: every one that there is
	$(BIN)/python $(PYTEST) $(ARGS)

coverage: $(VENV)/.tested ## all tests with coverage, which takes half as long again as without
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

fmt: $(VENV)/.tested ## format the code
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lint: $(VENV)/.tested ## ruff, all rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

type: $(VENV)/.tested ## mypy --strict
	$(BIN)/mypy

arch: $(VENV)/.tested ## imports flow down, never up (import-linter)
	$(BIN)/lint-imports --no-cache

PROTOS := schemas/pb/open_inference.proto schemas/pb/potoo.proto
proto: $(VENV)/.tested ## make the code for gRPC from the .proto files
	$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. $(PROTOS)

bench: $(VENV)/.tested ## ratios against the bare loop, all in one run (needs wrk)
	$(BIN)/python -m benchmarks $(ARGS)

bench-built-in: $(VENV)/.tested ## what each built-in model costs: a start, memory, a photo (needs wrk)
	$(BIN)/python -m benchmarks.built_in $(ARGS)

bench-failures: $(VENV)/.tested ## what clients notice when a replica or a store is lost
	$(BIN)/python -m benchmarks.failures $(ARGS)

bench-autoscaling: $(VENV)/.tested ## load traces through autoscaling policies, simulated
	$(BIN)/python -m tools.autoscaling $(ARGS)

bench-overload: $(VENV)/.tested ## goodput when more is asked than can be done, as a curve
	$(BIN)/python -m benchmarks.overload $(ARGS)

bench-peers: $(VENV)/.tested ## the same against other servers, each in an environment of its own
	$(BIN)/python -m benchmarks.peers $(ARGS)

bench-soak: $(VENV)/.tested ## a day's worth of requests in minutes; does memory grow?
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-swap: $(VENV)/.tested ## the slowest answers while models are swapped
	$(BIN)/python -m benchmarks.swap $(ARGS)

thresholds: $(VENV)/.tested ## what potoo calibrate wrote, as rules for Prometheus and manifests for Kubernetes
	$(BIN)/python -m tools.prometheus.thresholds
	$(BIN)/python -m tools.thresholds deploy/autoscaling.yaml $(ARGS)
	$(BIN)/python -m tools.prometheus.prometheus_rule

VERSION  = $(shell $(PYTHON) -c 'import tomllib; print(tomllib.load(open("pyproject.toml","rb"))["project"]["version"])')
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude '*')
IMAGE   ?= potoo:$(VERSION)
# Attestations go into ARGS, since not every Docker can keep them: docs/supply-chain.md.
image: ## build the container image
	docker build --tag $(IMAGE) $(shell sed -n 's/^PYTHON_IMAGE=/--build-arg &/p' deploy/images.lock) \
	  --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	  --build-arg CREATED=$$(date -u +%FT%TZ) $(ARGS) .

prepare: ## passwords and choices for compose (ARGS="--site cam.example.org")
	@$(PYTHON) -m tools.prepare $(ARGS)

compose: ## docker compose on deploy/compose.yaml (ARGS="up --detach --wait")
	@test -f deploy/.env || { echo 'First: make prepare ARGS="--site cam.example.org"'; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo "make compose needs Docker with compose 2.24 or newer"; exit 2; }
	@cd deploy && docker compose --env-file images.lock --env-file .env $(ARGS)

# What looks at the supply chain has an environment of its own: none of it is part of what runs.
$(VENV)-supply/.installed: requirements-supply.txt
	$(PYTHON) -m venv $(VENV)-supply
	$(VENV)-supply/bin/python -m pip --quiet install --require-hashes -r requirements-supply.txt
	@touch $@

supply: $(VENV)-supply/.installed ## install the tools that sbom and audit use

pin-images: ## write the digests of today's images into deploy/images.lock
	@$(PYTHON) -m tools.pin_images

sbom: $(VENV)-supply/.installed ## list what Potoo is made of (CycloneDX) in dist/
	@mkdir -p dist
	$(VENV)-supply/bin/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --output-file dist/potoo-$(VERSION).cdx.json

audit: $(VENV)-supply/.installed ## are there known holes in what is locked? (asks PyPI)
	@$(VENV)-supply/bin/python -m tools.audit $(ARGS)

scan: ## are there known holes in the image? (needs trivy or grype)
	@if command -v trivy >/dev/null; then \
	  trivy image --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 $(ARGS) $(IMAGE); \
	elif command -v grype >/dev/null; then \
	  grype --only-fixed --fail-on high $(ARGS) $(IMAGE); \
	else echo "make scan needs trivy or grype, and neither is installed"; exit 2; fi

release: $(VENV)/.tested $(VENV)-supply/.installed ## wheel, sdist, SBOM and notes in dist/, signed (ARGS="--key ~/.ssh/id_ed25519")
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(MAKE) sbom
	$(BIN)/python -m tools.release notes --version $(VERSION)
	$(BIN)/python -m tools.release sign $(ARGS)

dashboards: $(VENV)/.tested ## make Grafana's dashboards from the code
	$(BIN)/python -m tools.grafana

pictures: $(VENV)/.tested ## draw the dashboards for the docs (two minutes of load; needs prometheus)
	$(BIN)/python -m tools.grafana.pictures

# Needs uv; the locks name no index host, so that a mirror works.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate
lock: ## remake the hash-checked locks from pyproject.toml
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) --group build --output-file requirements-build.txt
	$(COMPILE) pyproject.toml --group dev --group build -c requirements.txt \
	  -c requirements-build.txt --output-file requirements-dev.txt
	$(COMPILE) --group training --output-file requirements-training.txt
	$(COMPILE) --group clients --output-file requirements-clients.txt
	$(COMPILE) --group supply --output-file requirements-supply.txt

bench-locks: ## remake the locks of bench-peers, with the newest servers
	for peer in benchmarks/peers/*.in; do \
	  $(COMPILE) --upgrade $$peer -c requirements.txt --output-file $${peer%.in}.txt || exit; done

# Training has an environment of its own: PyTorch is pinned by version, not by hash, because its
# builds for CPU and GPU come from different files.
$(VENV)-training/.trained: requirements-training.txt
	$(PYTHON) -m venv $(VENV)-training
	$(VENV)-training/bin/python -m pip --quiet install torch==2.13.0
	$(VENV)-training/bin/python -m pip --quiet install --require-hashes -r requirements-training.txt
	@touch $@

# Other people's clients need older packages than we do, so they have an environment of their own.
$(VENV)-clients/.installed: requirements-clients.txt
	$(PYTHON) -m venv $(VENV)-clients
	$(VENV)-clients/bin/python -m pip --quiet install --require-hashes -r requirements-clients.txt
	@touch $@

clients: $(VENV)-clients/.installed ## install tritonclient and kserve, for the tests that use them

everyday: $(VENV)-training/.trained ## train the model everyday again (ARGS="--data DIR --teacher FILE")
	$(VENV)-training/bin/python -m training.recipes.everyday $(ARGS)

imagenet-card: $(VENV)/.tested ## measure the default model and write its card (ARGS="--data DIR")
	$(BIN)/python -m tools.imagenet $(ARGS)

clean: ## remove what the other verbs made
	rm -rf $(VENV) $(VENV)-training $(VENV)-peers $(VENV)-clients $(VENV)-supply dist .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
