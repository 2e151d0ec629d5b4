# minewatch: every target works in a fresh clone; .venv is the environment of all of them.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
USABLE := $(VENV)/.usable
READY := $(VENV)/.ready
PIP := $(RUN) pip install --disable-pip-version-check
EXTRAS := evidence pdf video parquet notebook planetary-computer s3
IMAGE := evidence pdf s3
LOCK := uv pip compile --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml
GALLERY ?= ../shared/data/mine-gallery/gallery.npz
PYTEST := $(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=25

.PHONY: help install setup demo test check lint types warm reference bench bench-report bench-accuracy bench-pipelines likeness pictures docs package drill year lock system-packages clean

help:             ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(USABLE)  ## make the environment .venv with what minewatch needs to run

setup: $(READY)   ## add to it the extras and what tests and checks need

$(USABLE): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	$(PIP) --no-deps -e .
	touch $(USABLE)

$(READY): $(USABLE) requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	touch $(READY)

demo: install     ## simulate an area with mines, scan it, show the alerts
	$(RUN) minewatch demo demo

test: setup       ## run the tests that need no server, in random order
	$(PYTEST) -m "not server"

lint: setup       ## check style, dependencies and import order
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) deptry .
	$(VENV)/bin/lint-imports

types: setup      ## check types
	$(RUN) mypy

warm: setup       ## compile what scans use, so that tests need not
	$(RUN) minewatch doctor --warm

check: setup      ## everything that must be green, tests with servers too
	$(MAKE) -j 3 lint types warm
	$(PYTEST)

reference: setup  ## write docs/api.md, docs/cli.md and docs/settings.md from the program
	$(RUN) tools.reference

bench: setup      ## measure how fast it is; writes docs/speed.md (first run: about an hour, 14 GB of scenes)
	$(RUN) benchmarks.speed

drill: setup      ## kill, fill and spoil a workspace at every stage, fifty times each; writes docs/drills.md (long)
	$(RUN) drills

year: setup       ## run a year of nights in fast motion; writes docs/endurance.md
	$(RUN) benchmarks.year

docs: setup       ## write the docs site to site/, with the notebooks run
	$(RUN) tools.site

package: setup    ## build wheel and sdist into dist/, with the list of their parts and their hashes
	rm -rf dist
	$(RUN) hatchling build -d dist
	$(RUN) twine check --strict dist/*
	$(RUN) cyclonedx_py requirements requirements.lock --output-reproducible -o dist/sbom.json
	cd dist && sha256sum * > SHA256SUMS

pictures: setup  ## take the pictures of the docs anew (needs Chromium)
	$(RUN) benchmarks.pictures

bench-report: setup  ## measure how long a report of twenty alerts takes; writes to the screen
	$(RUN) benchmarks.report

bench-accuracy: setup  ## measure how good the alerts are; writes docs/accuracy.md (first run: half an hour)
	$(RUN) benchmarks.accuracy

bench-pipelines: setup  ## measure the built-in pipelines; writes the heads of minewatch/settings/pipelines
	$(RUN) benchmarks.pipelines

likeness: setup   ## train the networks of the mine-likeness; writes the weights, their card and docs/likeness.md (hours)
	$(PIP) -e ".[train]"
	@code=3; while [ $$code = 3 ]; do $(RUN) training $(GALLERY); code=$$?; done; exit $$code
	$(RUN) training.report $(GALLERY)

system-packages:  ## install the servers, browser and QGIS that the full test suite uses (Debian, Ubuntu; as root)
	apt-get update
	apt-get install -y --no-install-recommends postgresql-15-postgis-3 nginx-light python3-qgis qgis-providers \
	  chromium poppler-utils libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
	$(PYTHON) -m venv .venv-stac
	.venv-stac/bin/python -m pip install --quiet --disable-pip-version-check -r tests/stac-server.lock

lock:             ## resolve the dependencies anew, for use and for development, with the same versions (needs uv)
	$(LOCK) $(addprefix --extra ,$(EXTRAS)) --group dev -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock -o requirements.lock
	$(LOCK) -c requirements-dev.lock $(addprefix --extra ,$(IMAGE)) -o requirements-image.lock

clean:            ## delete the environment and what the demo wrote
	rm -rf $(VENV) .venv-stac demo
