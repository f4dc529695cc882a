# make demo: the whole pipeline on an embedded cohort.   make test: the tests.   Both set everything up first.
SHELL := bash
VENV := .venv/bin
export PATH := $(CURDIR)/$(VENV):$(PATH)
VERSION = $(shell sed -nE 's/__version__ = "(.*)"/\1/p' src/counterwarp/__init__.py)
ENGINE ?= podman
DEVICE ?= cuda
LABEL := org.opencontainers.image

.PHONY: setup demo test test-hpc science lint lock container clean

setup:          ## virtual environment and Nextflow runtime
	@tools/setup.sh

demo: setup     ## simulate a cohort with a planted atrophy and explain it
	@tools/demo.sh

test: setup     ## unit, pipeline and small science tests
	@pytest -q

test-hpc: setup ## the pipeline on a private Slurm with fake GPUs: bare, with podman, with Charliecloud (Debian, root)
	@tests/hpc/install.sh
	@pytest -m hpc

science: setup  ## the method against planted truth: science/science.md (SHORT=1: minutes; REAL="COHORT RESULTS LABELS": real heads too)
	@python benchmarks/science.py all $(if $(SHORT),--short --seeds 1) $(if $(REAL),--real $(REAL))

lint: setup     ## style, types, Nextflow syntax
	@ruff check . && ruff format --check . && mypy && nextflow lint main.nf nextflow.config modules

lock:           ## refresh the hashed pins after a change of pyproject.toml (needs uv)
	@uv lock --quiet && uv export --quiet --locked --no-emit-project --no-annotate --no-header -o requirements.lock

container:      ## the image counterwarp:VERSION; DEVICE=cpu: the smaller counterwarp:VERSION-cpu (podman, or ENGINE=docker)
	@$(ENGINE) build --file containers/Containerfile --tag counterwarp:$(VERSION)$(if $(filter cpu,$(DEVICE)),-cpu) \
	  --build-arg DEVICE=$(DEVICE) --label $(LABEL).version=$(VERSION) --label $(LABEL).revision=$$(git rev-parse HEAD) \
	  $(if $(BASE_IMAGE),--pull=never --build-arg BASE_IMAGE=$(BASE_IMAGE)) .

clean:          ## what demo and tests leave, not the environment
	@rm -rf demo results work .nextflow .nextflow.log*
