# make demo: the main job on the embedded phantom.   make test: lint, types, tests.   Both install first, into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test lint clean

install: $(VENV)/.installed

# Torch comes first and by its exact pin: any other way pip may take a multi-gigabyte CUDA build.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "== Installing into $(VENV) (pinned by constraints.txt; two minutes on a fast network)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,export]'
	@touch $@

demo: install
	@echo "== Demo: phantom data, segmenter, Red-GAN, synthesis, retraining, report (about five minutes on two cores)"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake -s scripts/experiments/redgan.smk \
	    --configfile scripts/experiments/redgan_demo.json --cores all --rerun-incomplete --quiet rules
	@echo "== Report: $(CURDIR)/results/demo/report.html"

lint: install
	$(BIN)/ruff format --check scripts tests
	$(BIN)/ruff check scripts tests
	$(BIN)/mypy

test: lint
	@echo "== Tests (about seven minutes on two cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term:skip-covered \
	    --cov-fail-under=85 $(PYTEST_OPTIONS)

clean:
	rm -rf results runs cache data predictions .snakemake .coverage
