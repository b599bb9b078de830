"""A wrong experiment's file ends its workflow in one line, before any job and before the phantom is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.data.phantom import write_phantom
from scripts.experiments.experiment_file import KEYS, open_experiment

ROOT = Path(__file__).parents[2]
SMALLEST: dict[str, dict[str, Any]] = {
    "redgan": {"arms": ["real", "gan"], "segmenter": {}, "gan": {}},
    "lcgan": {
        "arms": ["original"],
        "fractions": [0.5],
        "segmenter": {},
        "gan": {"candidate_epochs": [1]},
        "classifier": {},
    },
    "pggan_ensemble": {"arms": ["real"], "members": 1, "image_count": 4, "gan": {}, "segmenter": {}},
    "cpggan": {"arms": ["real"], "image_count": 4, "filter": "contrast", "gan": {}, "detector": {}},
    "feature_acgan": {"arms": ["real"], "unet": {"unet_widths": [4]}, "features": {}, "classifier": {}},
}
REMOVED = "removed"
# Workflow, a key (section.key in a section), its value, and what the line must say.
REFUSED: list[tuple[str, str, Any, str]] = [
    ("redgan", "fold", [0], "no key fold; did you mean folds?"),
    ("redgan", "limit_per_clas", 5, "no key limit_per_clas; did you mean limit_per_class?"),
    ("redgan", "gan.max_epoch", 3, "no key gan.max_epoch; did you mean gan.max_epochs?"),
    ("redgan", "gan.max_epochs", "ten", "gan.max_epochs is ten, expected a whole number"),
    ("redgan", "segmenter.use_clas", True, "no key segmenter.use_clas"),
    ("redgan", "segmenter.augment", "yes", "segmenter.augment is yes, expected True or False"),
    ("redgan", "phantom.patient", 5, "no key phantom.patient; did you mean phantom.patients?"),
    ("redgan", "phantom.patients", "five", "phantom.patients is 'five', expected a whole number"),
    ("redgan", "phantom.folder", REMOVED, "no phantom.folder"),
    ("redgan", "folds", [7], "folds has 7, expected folds of the data set (0, 1, 2, 3, 4)"),
    ("redgan", "folds", 0, "folds is 0, expected a list with a whole number for each"),
    ("redgan", "seeds", [], "seeds is [], expected a list"),
    ("redgan", "seeds", ["a"], "seeds is ['a'], expected a list"),
    ("redgan", "arms", ["real", "gann"], "no arm gann; did you mean gan?"),
    ("redgan", "dataset_dir", "/nope", "dataset_dir: No /nope/dataset.json"),
    ("redgan", "title", REMOVED, "no title. Add it"),
    ("redgan", "gan", REMOVED, "no gan. Add it"),
    ("redgan", "gan", 3, "gan is 3, expected options and their values"),
    ("redgan", "image_size_pixels", "64", "image_size_pixels is '64', expected a whole number"),
    ("redgan", "detector", {}, "no key detector"),
    ("lcgan", "fraction", [0.5], "no key fraction; did you mean fractions?"),
    ("lcgan", "fractions", ["half"], "fractions is ['half'], expected a list with a number"),
    ("lcgan", "gan.candidate_epochs", REMOVED, "no gan.candidate_epochs"),
    ("lcgan", "classifier.fcn_width", 2, "expected an option of configs/lcgan_classifier_train.json"),
    ("pggan_ensemble", "member", 2, "no key member; did you mean members?"),
    ("pggan_ensemble", "arms", ["real", "real_members_2"], "needs 2 generators, but members is 1"),
    ("pggan_ensemble", "slice_rule.bright_shar", 0.1, "did you mean slice_rule.bright_share?"),
    ("cpggan", "filtre", "contrast", "no key filtre; did you mean filter?"),
    ("cpggan", "boxes.cache_dir", "x", "no key boxes.cache_dir"),
    ("cpggan", "turing.per_clas", 2, "no key turing.per_clas; did you mean turing.per_class?"),
    ("cpggan", "arms", ["gan_1"], "expected real among them"),
    ("feature_acgan", "unet.unet_widths", REMOVED, "no unet.unet_widths"),
    ("feature_acgan", "pretraining", {}, "no pretraining.dataset_dir"),
    ("feature_acgan", "feature", {}, "no key feature; did you mean features?"),
    ("feature_acgan", "arms", ["real", "images_4"], "no images_gan, which one of the arms needs"),
]


def write_config(folder: Path, system: str, key: str = "threads", value: Any = 1) -> Path:
    """The smallest file of a workflow with one key set, or removed."""
    config: dict[str, Any] = {
        "title": "Tiny",
        "results_dir": str(folder / "results"),
        "phantom": {"folder": str(folder / "phantom")},
        "cache_dir": str(folder / "cache"),
        "image_size_pixels": 32,
        "folds": [0],
        "seeds": [0],
        **json.loads(json.dumps(SMALLEST[system])),
    }
    *section, name = key.split(".")
    holder = config.setdefault(section[0], {}) if section else config
    if value is REMOVED:
        del holder[name]
    else:
        holder[name] = value
    (folder / "mine.json").write_text(json.dumps(config))
    return folder / "mine.json"


@pytest.mark.parametrize(("system", "key", "value", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_wrong_key_is_named_with_its_file(
    system: str, key: str, value: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path, system, key, value)
    with pytest.raises(SystemExit) as end:
        open_experiment(system, json.loads(file.read_text()), [str(file)])
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert printed.err.startswith(f"error: {file}: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("system", KEYS)
def test_the_smallest_file_passes_and_gets_the_folds_of_its_data(system: str, tmp_path: Path) -> None:
    write_phantom(tmp_path / "other", patients=3, image_size=16, slices=1)
    file = write_config(tmp_path, system, "dataset_dir", str(tmp_path / "other"))
    open_experiment(system, json.loads(file.read_text()), [str(file)])
    with pytest.raises(SystemExit):
        open_experiment(system, {**json.loads(file.read_text()), "folds": [4]}, [str(file)])


@pytest.mark.parametrize("file", sorted((ROOT / "scripts" / "experiments").glob("*.json")), ids=lambda file: file.stem)
def test_the_shipped_files_have_known_keys(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    system = next(name for name in KEYS if file.stem.startswith(name))
    config = json.loads(file.read_text(encoding="utf-8"))
    folder = write_phantom(tmp_path / "data", patients=5, image_size=16, slices=1)
    open_experiment(system, {**config, "dataset_dir": str(folder)}, [str(file)])


def test_a_dry_run_stops_with_the_line(tmp_path: Path) -> None:
    file = write_config(tmp_path, "redgan", "gan.max_epoch", 3)
    command = [sys.executable, "-m", "snakemake", "-s", "scripts/experiments/redgan.smk", "--configfile", str(file)]
    done = subprocess.run([*command, "-n", "--nolock"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {file}: no key gan.max_epoch; did you mean gan.max_epochs?\n"
    assert list(tmp_path.iterdir()) == [file]
