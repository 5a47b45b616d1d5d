# Two commands for everyone: `make demo` and `make test`. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
# `make demo SEED=1` trains with another seed, into its own folder; a folder that is there already is gone on with.
SEED ?= 0
RUN ?= runs/demo$(if $(filter-out 0,$(SEED)),-seed-$(SEED))
RUN_DETECTION ?= runs/demo-detection$(if $(filter-out 0,$(SEED)),-seed-$(SEED))
export OMP_WAIT_POLICY ?= PASSIVE
SOAK ?= ten-minutes
# Processes that share the suite, file by file. The tests of training start processes of their own: 2 is for 2 cores, 4 for 8.
JOBS ?= 2
.PHONY: demo demo-detection test test-slow test-faults test-soak bench check docs clean

demo: .venv/.ready            ## train the demo network on real scanned digits; prints where the results are
	$(BIN)/lambdanets train digits --out $(RUN) --set seed=$(SEED) --resume

demo-detection: .venv/.ready  ## train a small Mask R-CNN on scenes of digits; ends with its AP and a page of pictures
	$(BIN)/lambdanets train digit_scenes --out $(RUN_DETECTION) --set seed=$(SEED) --resume

test: .venv/.ready            ## the whole suite, without what is marked slow; then the shapes in signatures, checked
	$(BIN)/python -m pytest -n $(JOBS) --jaxtyping-packages=lambdanets,beartype.beartype tests/ops/test_ops_agreement.py
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-slow: .venv/.ready       ## what takes minutes
	$(BIN)/python -m pytest -m slow --timeout=3600

test-faults: .venv/.ready     ## every fault at every place, as often as docs/faults.md says; half an hour
	$(BIN)/python -m pytest -m faults --timeout=3600 -rP

test-soak: .venv/.ready       ## a long training that must neither leak nor slow down; SOAK=four-hours is the long form
	$(BIN)/python -m pytest -m soak -k $(SOAK) --timeout=18000 -rP

check: .venv/.ready .venv/.docs-ready   ## lint, types, arrows, docs
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/zensical build --clean --strict

bench: .venv/.ready           ## ours against the public layers, one thread; a dated report in benchmarks/reports
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.layers

clean:
	rm -rf .venv build dist site runs .pytest_cache .ruff_cache src/*.egg-info

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv/.docs-ready: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@
