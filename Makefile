# make demo: the main job on the embedded phantom.   make test: lint, types, tests.   All install first, into .venv.
# make models: what lies in models/, where a file is missing.   make bundle: dist/ for the Model Zoo.   make bundle-check SCHEMA=...: the zoo's checks on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo models bundle bundle-check label-check test docs-check site lint clean

install: $(VENV)/.installed

# Torch comes first and by its exact pin: any other way pip may take a multi-gigabyte CUDA build.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "== Installing into $(VENV) (pinned by constraints.txt; two minutes on a fast network)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dicom,export,study]'
	@touch $@

demo: install
	@echo "== Demo: a study of an artificial data set, from the patients to the page (about seven minutes on two cores)"
	$(BIN)/python -W ignore -m scripts study scripts/experiments/demo.json

# The shipped weights, all of the phantom and small: delete one to train it again.
GENERATORS := $(patsubst %,models/%_generator.pt,redgan lcgan cpggan pggan_ensemble feature_acgan)
TRAIN := OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),2) $(BIN)/python -W ignore -m monai.bundle run --config_file configs
# In half precision on the disk; networks compute in single all the same.
HALVE = $(BIN)/python -c "import sys, torch; weights = torch.load(sys.argv[1]); torch.save({name: value.half() \
    if value.is_floating_point() else value for name, value in weights.items()}, sys.argv[1])" $@
GROWTH := --images_per_phase 960 --total_images 9600 --batch_size_at_4_8_16_pixels "[16,16,16,16,16]" --iterations_per_epoch 60 \
    --feature_base 512 --feature_max 64 --latent_dim 64

models: install models/model.pt $(GENERATORS)

models/model.pt:
	@echo "== The segmenter"
	$(TRAIN)/train.json --output_dir results/models/segmenter --model_file $@ --max_epochs 14 --samples_per_epoch 512 \
	    --batch_size 8 --learning_rate 0.004 --learning_rate_drop_epochs "[11]" --validation_interval_epochs 2 \
	    --minimum_lesion_pixels 10 --encoder_widths "[16,32,64,128]" --decoder_widths "[64,32,16,16,8]"
	$(HALVE)

models/redgan_generator.pt: | models/model.pt
	@echo "== Red-GAN's generator"
	$(TRAIN)/redgan_train.json --output_dir results/models/redgan --generator_file $@ --max_epochs 16 --samples_per_epoch 128 \
	    --generator_learning_rate 0.0004 --discriminator_learning_rate 0.0008 --generator_width 8 --embedding_dim 64 \
	    --discriminator_width 8 
	$(HALVE)

models/lcgan_generator.pt:
	@echo "== LcGAN's generator"
	$(TRAIN)/lcgan_train.json --output_dir results/models/lcgan --generator_file $@ --candidate_epochs "[60]" --samples_per_epoch 128 \
	    --batch_size 8 --generator_width 12 --discriminator_width 12 
	$(HALVE)

models/cpggan_generator.pt:
	@echo "== CPGGAN's generator"
	$(TRAIN)/cpggan_train.json --output_dir results/models/cpggan --generator_file $@ --mismatch_weight 0.5 $(GROWTH)
	$(HALVE)

models/pggan_ensemble_generator.pt:
	@echo "== A PGGAN"
	$(TRAIN)/pggan_ensemble_train.json --output_dir results/models/pggan_ensemble --generator_file $@ $(GROWTH)
	$(HALVE)

models/feature_acgan_generator.pt:
	@echo "== A U-Net, the features of its bottleneck, and the AC-GAN of these"
	$(TRAIN)/feature_acgan_unet_train.json --output_dir results/models/unet --model_file results/models/unet/model.pt \
	    --max_epochs 8 --unet_widths "[8,16,32,64,64]"
	$(TRAIN)/feature_acgan_features.json --model_file results/models/unet/model.pt --output_dir results/models/features \
	    --class_key grade
	$(TRAIN)/feature_acgan_train.json --features_dir results/models/features \
	    --output_dir results/models/feature_acgan --generator_file $@ --discriminator_file models/feature_acgan_discriminator.pt \
	    --width 64 --generator_learning_rate 0.0002 --discriminator_learning_rate 0.0002
	$(HALVE)

# The bundle of the shipped weights, evaluated on the phantom, or of yours: make bundle MODEL=my/model.pt DATA=my_folder
MODEL ?= models/model.pt
DATA ?= $(if $(filter models/model.pt,$(MODEL)),data/phantom_mr)
BUNDLE := dist/lesion_gan_augmentation

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
