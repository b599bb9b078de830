"""The file of a study, checked before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from scripts.experiments.study import Study, find_systems, open_study, open_workflow, read_study
from scripts.nearest_name import OptionError

FILES = sorted((Path(__file__).parents[2] / "scripts" / "experiments").glob("*.json"))
Content = dict[str, Any]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_study_of_the_bundle_can_be_opened(file: Path, tmp_path: Path) -> None:
    content = read_study([file])
    content.pop("dataset_dir", None)
    if "target_class" in content["systems"].get("redgan", {}):
        content["systems"]["redgan"]["target_class"] = "D"  # of the phantom
    folds = max(fold or 0 for fold in content["folds"]) + 1
    size = {"patients": 5 * folds, "image_size": 32, "slices": 2}
    assert isinstance(open_study({**content, "phantom": {"folder": str(tmp_path), **size}}), Study)


def test_a_target_class_that_the_data_has_not_is_refused(content: Content) -> None:
    content["systems"]["redgan"]["target_class"] = "F"
    with pytest.raises(OptionError, match=r"no class 'F' of systems.redgan.target_class in the data"):
        open_study(content)


def test_the_five_published_systems_are_found_by_listing() -> None:
    assert set(find_systems()) == {"redgan", "cpggan", "feature_acgan", "pggan_ensemble", "lcgan"}


def change(path: str, value: Any) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        *sections, key = path.split("/")
        for section in sections:
            content = content[section]
        content[key] = value

    return apply


def drop(path: str) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        *sections, key = path.split("/")
        for section in sections:
            content = content[section]
        del content[key]

    return apply


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (change("tittle", "x"), "no key tittle; did you mean title?"),
        (drop("title"), "no title. Add it"),
        (drop("phantom"), "no dataset_dir. Add it"),
        (change("patience_epochs", 0), "patience_epochs is 0, expected 1 or more epochs, or null for none"),
        (
            change("synthetic_ratio", "each"),
            "synthetic_ratio is 'each', expected a positive number, such as 1, or 'all'",
        ),
        (change("synthetic_ratio", 0), "synthetic_ratio is 0, expected a positive number"),
        (change("tasks/segmentation/arms", ["real", "real+pretraining"]), "expected real+<system>+pretraining"),
        (change("seeds", "0"), "seeds is '0', expected a list with a whole number for each"),
        (change("image_size_pixels", 32.5), "image_size_pixels is 32.5, expected a whole number"),
        (change("shown_channel", 4), "shown_channel is 4, expected 0..3"),
        (change("folds", [7]), "folds has 7, expected folds of the data set (0, 1, 2, 3, 4)"),
        (change("fractions", [0.0]), "fractions has 0.0, expected shares"),
        (change("tasks/segmentation/network", "vnet"), "network is 'vnet', expected one of unet, fcn8s, nnunet"),
        (change("tasks/segmentation/arms", ["real+classical"]), "and real among them"),
        (change("tasks/segmentation/arms", ["real", "real+redgan:single"]), "no systems.redgan.target_class"),
        (change("tasks/segmentation/arms", ["real", "real+lcgan"]), "no systems.lcgan, which arm 'real+lcgan' needs"),
        (change("tasks/segmentation/arms", ["real", "real+cpggan"]), "no system cpggan"),
        (
            change("tasks/detection/trainig", {}),
            "no key tasks.detection.trainig; did you mean tasks.detection.training?",
        ),
        (drop("tasks/detection/training"), "no tasks.detection.training. Add it"),
        (change("systems/redgan/generator", {"max_epoch": 1}), "did you mean systems.redgan.generator.max_epochs?"),
        (change("systems/redgan/generator", {"max_epochs": "two"}), "systems.redgan.generator.max_epochs is two"),
        (change("systems/cpggan/filter", "nothing"), "systems.cpggan.filter is 'nothing'"),
        (change("segmenters", {"unett": {}}), "did you mean segmenters.unet?"),
        (change("phantom/patient", 3), "did you mean phantom.patients?"),
        (change("published", [{"task": "segmentation", "value": 0.5}]), "published[0] has no metric. Add it"),
    ],
)
def test_a_fault_is_one_error_that_names_value_and_remedy(
    fault: Callable[[Content], None], said: str, content: Content
) -> None:
    fault(content)
    with pytest.raises(OptionError) as error:
        open_study(content)
    assert said in str(error.value)


@pytest.mark.parametrize(("labels", "fits"), [(["background", "tumour"], False), (["background", "a", "b"], True)])
def test_oversampling_needs_something_rare(labels: list[str], fits: bool, content: Content, tmp_path: Path) -> None:
    item = {"image": "image.png", "label": "label.png", "patient": "p", "fold": 2}
    described = {"modality": ["MR"], "labels": labels, "training": [item]}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    content["tasks"] = {"detection": {"training": {}, "arms": ["real", "real+oversampling"]}}
    del content["phantom"]
    if fits:
        open_study({**content, "dataset_dir": str(tmp_path)})
        content["boxes"] = {"merge_box_classes": True}
    with pytest.raises(OptionError, match=r"arm 'real\+oversampling': .* has one class and one label to learn"):
        open_study({**content, "dataset_dir": str(tmp_path)})


def test_a_workflow_ends_with_one_line(content: Content, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        open_workflow({**content, "tittle": "x"}, ["my.json"])
    assert capsys.readouterr().err == "error: my.json: no key tittle; did you mean title?\n"


def test_numbers_behind_config_come_as_texts(content: Content) -> None:
    given = {**content, "seeds": ["0", "1"], "folds": ["2"], "fractions": ["0.5", "1.0"]}
    study = open_workflow(given, [])
    assert (study.seeds, study.folds, study.fractions) == ([0, 1], [2], [0.5, 1.0])
    assert given["seeds"] == [0, 1]


def test_a_later_file_changes_single_keys(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({"segmenters": {"unet": {"max_epochs": 9, "batch_size": 4}}, "seeds": [0, 1]}))
    second.write_text(json.dumps({"segmenters": {"unet": {"max_epochs": 1}}, "seeds": [0]}))
    assert read_study([first, second]) == {"segmenters": {"unet": {"max_epochs": 1, "batch_size": 4}}, "seeds": [0]}


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    keys = [line.split(": ")[0] for line in page.split("## All keys")[1].split("## ")[0].splitlines() if "- `" in line]
    assert set(re.findall(r"`(\w+)`", " ".join(keys))) == {each.name for each in fields(Study)}


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_a_file_that_is_no_study_is_named(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=str(file)):
        read_study([file])
