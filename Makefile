# make demo: the main job on the embedded phantom.   make test: lint, types, tests.   All install first, into .venv.
# make bundle: dist/ for the Model Zoo.   make bundle-check SCHEMA=...: the zoo's checks on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo bundle bundle-check label-check test docs-check site lint clean

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
	@echo "== Demo: a study of an artificial data set, from the patients to the page (about seven minutes on two cores)"
	$(BIN)/python -W ignore -m scripts study scripts/experiments/demo.json

# The shipped weights are a small segmenter of the default phantom, evaluated on it, or yours: make bundle MODEL=my/model.pt DATA=my_folder
DEMO_MODEL := results/segmenter/model.pt
MODEL ?= $(DEMO_MODEL)
DATA ?= $(if $(filter $(DEMO_MODEL),$(MODEL)),data/phantom_mr)
BUNDLE := dist/lesion_gan_augmentation

$(DEMO_MODEL): | install
	@echo "== A segmenter of the phantom (about two minutes on two cores)"
	OMP_NUM_THREADS=2 $(BIN)/python -W ignore -m monai.bundle run --config_file configs/train.json --fold 0 \
	    --output_dir results/segmenter --model_file $@ --max_epochs 14 --samples_per_epoch 512 --batch_size 8 --learning_rate 0.004 \
	    --learning_rate_drop_epochs "[11]" --validation_interval_epochs 2 --minimum_lesion_pixels 10 \
	    --encoder_widths "[16,32,64,128]" --decoder_widths "[64,32,16,16,8]"

bundle: install $(MODEL)
	@echo "== The bundle for the Model Zoo"
	$(BIN)/python -W ignore -m scripts bundle $(MODEL) $(if $(DATA),--dataset_dir $(DATA)) $(if $(FOLD),--fold $(FOLD)) \
	    $(if $(WEIGHTS_URL),--weights_url $(WEIGHTS_URL))

bundle-check: install
	$(BIN)/python -W ignore -m scripts check_bundle $(BUNDLE) $(if $(SCHEMA),--schema $(SCHEMA))

# In an environment of its own. Another bundle with trained weights: make label-check BUNDLE=my_folder
label-check: $(if $(filter file,$(origin BUNDLE)),bundle)
	PYTHON=$(PYTHON) scripts/distribution/label_environment.sh .venv-label
	@echo "== Round trips through MONAI Label (about ten minutes on two cores)"
	.venv-label/bin/python -W ignore -m scripts.distribution.label_check $(BUNDLE)

lint: install
	$(BIN)/ruff format --check scripts tests
	$(BIN)/ruff check scripts tests
	$(BIN)/mypy

test: lint
	@echo "== Tests (about twenty minutes on two slow cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term:skip-covered \
	    --cov-fail-under=85 -m "not documentation" $(PYTEST_OPTIONS)

docs-check: install
	@echo "== The commands of the documentation's pages (about ten minutes on two cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m documentation tests/docs

site: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "== Site: $(CURDIR)/site/index.html (with search: $(BIN)/mkdocs serve)"

clean:
	rm -rf site results runs cache data predictions dist .snakemake .coverage
