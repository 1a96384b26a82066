# The same targets for people and for CI. `make` without a target lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE   := auth client observability schemas service
ARGS   ?=
# One worker a core, each with servers and databases of its own, and no more of those than fit.
PYTEST := -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# Keep compiled modules: else each of the many processes of the tests compiles them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Potoo needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamp files: pip runs only when a lock file changed.
$(VENV)/.served: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Potoo into $(VENV) (once, about a minute) ..."
	$(PIP) install --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.tested: requirements-dev.txt $(VENV)/.served
	@echo "Installing the test tools ..."
	@# The lock is complete, but for what it leaves out on purpose.
	$(PIP) install --require-hashes --no-deps -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.served ## create the virtual environment and install the locked requirements

serve: $(VENV)/.served ## start the server on 127.0.0.1:8000 (ARGS="--port 9000" for more)
	@# Ctrl-C (status 130) is how it is meant to end: make would report it as an error.
	@trap : INT; $(BIN)/potoo serve $(ARGS) || test $$? -eq 130

# What the markers mean: pyproject.toml. How long each takes: tests/durations.md.
unit: $(VENV)/.tested ## unit and contract tests that start no process (ARGS="-k batching" for some)
	$(BIN)/python $(PYTEST) -m "not process and not slow" $(ARGS) tests/unit tests/contract

test: lint type arch ## lint, types, architecture, and every test that a change may well break
	$(BIN)/python $(PYTEST) -m "not slow" $(ARGS)

test-all: lint type arch ## the same, and the slow tests: all tests
	$(BIN)/python $(PYTEST) $(ARGS)

coverage: $(VENV)/.tested ## all tests with coverage (takes 1.5 times as long)
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
proto: $(VENV)/.tested ## generate the gRPC code from the .proto files
	$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. $(PROTOS)

bench: $(VENV)/.tested ## throughput of the server relative to plain inference (needs wrk)
	$(BIN)/python -m benchmarks.http $(ARGS)

bench-built-in: $(VENV)/.tested ## start time, memory and latency of each built-in model (needs wrk)
	$(BIN)/python -m benchmarks.built_in $(ARGS)

bench-engines: $(VENV)/.tested ## CPU time of a run with ONNX Runtime and with OpenVINO
	$(BIN)/python -m benchmarks.engines $(ARGS)

bench-event-loop: $(VENV)/.tested ## CPU time of the event loop a request (ARGS="--against REV", needs wrk)
	$(BIN)/python -m benchmarks.event_loop $(ARGS)

bench-failures: $(VENV)/.tested ## errors that clients see when a replica or a store fails
	$(BIN)/python -m benchmarks.failures $(ARGS)

bench-autoscaling: $(VENV)/.tested ## simulate autoscaling policies on load traces
	$(BIN)/python -m tools.autoscaling $(ARGS)

bench-image-sizes: $(VENV)/.tested ## the cost and the answer of a photo by its size
	$(BIN)/python -m benchmarks.image_sizes $(ARGS)

bench-overload: $(VENV)/.tested ## goodput as a function of offered load, beyond capacity
	$(BIN)/python -m benchmarks.overload $(ARGS)

bench-peers: $(VENV)/.tested ## compare with other servers, each in its own environment
	$(BIN)/python -m benchmarks.peers $(ARGS)

bench-soak: $(VENV)/.tested ## memory growth over a day's number of requests
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-start: $(VENV)/.tested ## start time, memory and modules of the server (ARGS="--against REV")
	$(BIN)/python -m benchmarks.start $(ARGS)

bench-streams: $(VENV)/.tested ## one WebSocket beside HTTP, the age of frames, the cost of cameras (needs wrk)
	$(BIN)/python -m benchmarks.streams $(ARGS)

bench-text: $(VENV)/.tested ## tokens a second over HTTP relative to the library (needs wrk)
	$(BIN)/python -m benchmarks.text $(ARGS)

bench-swap: $(VENV)/.tested ## tail latency while models are swapped
	$(BIN)/python -m benchmarks.swap $(ARGS)

thresholds: $(VENV)/.tested ## generate Prometheus rules and Kubernetes manifests from deploy/autoscaling.yaml
	$(BIN)/python -m tools.prometheus.thresholds
	$(BIN)/python -m tools.thresholds deploy/autoscaling.yaml $(ARGS)
	$(BIN)/python -m tools.prometheus.prometheus_rule

VERSION  = $(shell $(PYTHON) -c 'import tomllib; print(tomllib.load(open("pyproject.toml","rb"))["project"]["version"])')
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude '*')
IMAGE   ?= potoo:$(VERSION)
# Attestations go into ARGS, since not every Docker can keep them: docs/operating/supply-chain.md.
image: ## build the container image (ARGS="--build-arg EXTRAS=mqtt,video" for extras)
	docker build --tag $(IMAGE) $(shell sed -n 's/^PYTHON_IMAGE=/--build-arg &/p' deploy/images.lock) \
	  --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	  --build-arg CREATED=$$(date -u +%FT%TZ) $(ARGS) .

prepare: ## write secrets and settings for compose (ARGS="--site cam.example.org")
	@$(PYTHON) -m tools.prepare $(ARGS)

compose: ## docker compose on deploy/compose.yaml (ARGS="up --detach --wait")
	@test -f deploy/.env || { echo 'First: make prepare ARGS="--site cam.example.org"'; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo "make compose needs Docker with compose 2.24 or newer"; exit 2; }
	@cd deploy && docker compose --env-file images.lock --env-file .env $(ARGS)

# Supply chain tools have their own environment: none of them is part of the server.
$(VENV)-supply/.installed: requirements-supply.txt
	$(PYTHON) -m venv $(VENV)-supply
	$(VENV)-supply/bin/python -m pip --quiet install --require-hashes -r requirements-supply.txt
	@touch $@

supply: $(VENV)-supply/.installed ## install the tools that sbom and audit use

pin-images: ## write the current digests of base images into deploy/images.lock
	@$(PYTHON) -m tools.pin_images

sbom: $(VENV)-supply/.installed ## write the SBOM (CycloneDX) into dist/
	@mkdir -p dist
	$(VENV)-supply/bin/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --output-file dist/potoo-$(VERSION).cdx.json

audit: $(VENV)-supply/.installed ## check locked packages for known vulnerabilities (asks PyPI)
	@$(VENV)-supply/bin/python -m tools.audit $(ARGS)

scan: ## check the image for known vulnerabilities (needs trivy or grype)
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

dashboards: $(VENV)/.tested ## generate the Grafana dashboards
	$(BIN)/python -m tools.grafana

pictures: $(VENV)/.tested ## draw the dashboards for the docs (needs prometheus; two minutes)
	$(BIN)/python -m tools.grafana.pictures

# Needs uv. The lock files name no package index, so that a mirror can be used.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate
lock: ## update the hash-checked lock files from pyproject.toml (needs uv)
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) --group build --output-file requirements-build.txt
	$(COMPILE) pyproject.toml --group dev --group build -c requirements.txt \
	  -c requirements-build.txt --no-emit-package openvino-telemetry \
	  --output-file requirements-dev.txt
	for extra in mqtt text video; do \
	  $(COMPILE) --group $$extra -c requirements-dev.txt --output-file requirements-$$extra.txt || exit; done
	$(COMPILE) --group training --output-file requirements-training.txt
	$(COMPILE) --group clients --output-file requirements-clients.txt
	$(COMPILE) --group supply --output-file requirements-supply.txt

bench-locks: ## update the lock files of bench-peers to the newest servers (needs uv)
	for peer in benchmarks/peers/*.in; do \
	  $(COMPILE) --upgrade $$peer -c requirements.txt --output-file $${peer%.in}.txt || exit; done

# Training has its own environment. PyTorch is pinned by version, not by hash, because its builds
# for CPU and GPU are different files.
$(VENV)-training/.trained: requirements-training.txt
	$(PYTHON) -m venv $(VENV)-training
	$(VENV)-training/bin/python -m pip --quiet install torch==2.13.0
	$(VENV)-training/bin/python -m pip --quiet install --require-hashes -r requirements-training.txt
	@touch $@

# Third-party clients need older packages than Potoo, so they have their own environment.
$(VENV)-clients/.installed: requirements-clients.txt
	$(PYTHON) -m venv $(VENV)-clients
	$(VENV)-clients/bin/python -m pip --quiet install --require-hashes -r requirements-clients.txt
	@touch $@

clients: $(VENV)-clients/.installed ## install tritonclient and kserve for the tests that use them

turbofan: $(VENV)/.tested ## train the model turbofan again (ARGS="--data DIR")
	$(BIN)/python -m training.recipes.turbofan $(ARGS)

language: $(VENV)/.tested ## train the model language again (ARGS="--data DIR")
	$(BIN)/python -m training.recipes.language $(ARGS)

everyday: $(VENV)-training/.trained ## train the model everyday again (ARGS="--data DIR --teacher FILE")
	$(VENV)-training/bin/python -m training.recipes.everyday $(ARGS)

imagenet-card: $(VENV)/.tested ## measure the default model and write its card (ARGS="--data DIR")
	$(BIN)/python -m tools.imagenet $(ARGS)

clean: ## remove everything that the other targets created
	rm -rf $(VENV) $(VENV)-training $(VENV)-peers $(VENV)-clients $(VENV)-supply dist .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
