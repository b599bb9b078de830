"""Every config, and every documented combination, read without running it."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from scripts.config_options import (
    RUNNER_KEYS,
    check_options,
    find_base,
    find_references,
    find_target,
    find_unused,
    walk,
)

FOLDER = Path(__file__).parents[2] / "configs"
REDGAN = ("redgan_train", "redgan_inference", "redgan_evaluate")
LCGAN = (
    "lcgan_train",
    "lcgan_inference",
    "lcgan_evaluate",
    "lcgan_segmenter_train",
    "lcgan_segmenter_evaluate",
    "lcgan_classifier_train",
)
PGGAN_ENSEMBLE = tuple(
    f"pggan_ensemble_{name}" for name in ("train", "inference", "evaluate", "segmenter_train", "segmenter_evaluate")
)
CPGGAN = (
    "cpggan_train",
    "cpggan_inference",
    "cpggan_evaluate",
    "cpggan_detector_train",
    "cpggan_detector_inference",
    "cpggan_detector_evaluate",
)
FEATURE_ACGAN = (
    "feature_acgan_unet_train",
    "feature_acgan_features",
    "feature_acgan_train",
    "feature_acgan_inference",
    "feature_acgan_evaluate",
    "feature_acgan_classifier_train",
    "feature_acgan_classifier_evaluate",
)
WORKFLOWS = ("train", "inference", "evaluate", *REDGAN, *LCGAN, *PGGAN_ENSEMBLE, *CPGGAN, *FEATURE_ACGAN)
# overlay -> the workflows it is for; together they know all its keys
OVERLAYS = {
    "smoke": WORKFLOWS,
    "multi_gpu_train": (
        "train",
        "redgan_train",
        "lcgan_train",
        "lcgan_segmenter_train",
        "lcgan_classifier_train",
        "feature_acgan_unet_train",
        "feature_acgan_train",
    ),
    "redgan_spade": REDGAN,
    "redgan_no_class": REDGAN,
    "redgan_authors": ("train", "redgan_train"),
    "redgan_corrected": ("redgan_train",),
    "yolov3_authors": ("cpggan_detector_train",),
    "feature_acgan_wgan_gp": ("feature_acgan_train",),
    "feature_acgan_mlp": ("feature_acgan_train",),
}
COMBINATIONS = [
    *((workflow,) for workflow in WORKFLOWS),
    *((workflow, overlay) for overlay, workflows in OVERLAYS.items() for workflow in workflows),
    *((workflow, "smoke", "multi_gpu_train") for workflow in OVERLAYS["multi_gpu_train"]),
    ("redgan_train", "redgan_authors", "smoke"),
]
MAX_EXPRESSION = 80


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def parse(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> ConfigParser:
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")
    parser = ConfigParser()
    parser.read_config([str(FOLDER / f"{name}.json") for name in names])
    parser.parse()
    return parser


def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"a key stands twice among {keys}"
    return dict(pairs)


def test_every_config_file_is_tested_here() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {*WORKFLOWS, *OVERLAYS, "metadata"}


@pytest.mark.parametrize("name", [*WORKFLOWS, *OVERLAYS, "metadata"])
def test_no_key_stands_twice(name: str) -> None:
    json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"), object_pairs_hook=refuse_duplicates)


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_references_resolve(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parse(names, monkeypatch)
    assert [found for found in find_references(parser.get()) if found not in parser] == []


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_targets_exist_and_get_what_they_need(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parse(names, monkeypatch)
    for place, node in walk(parser.get()):
        if not isinstance(node, dict) or "_target_" not in node:
            continue
        target = find_target(node, parser.locator)
        assert callable(target), f"{place}: {node['_target_']} doesn't exist"
        if node.get("_mode_") != "callable":
            kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
            parameters = inspect.signature(target).parameters.values()
            required = {p.name for p in parameters if p.default is p.empty and p.kind in kinds}
            assert required <= set(node), f"{place}: {node['_target_']} lacks {required - set(node)}"


@pytest.mark.parametrize("name", [*WORKFLOWS, *OVERLAYS])
def test_expressions_are_short_and_without_lambda(name: str) -> None:
    for place, text in walk(read(name)):
        if isinstance(text, str) and text.startswith("$"):
            assert len(text) < MAX_EXPRESSION, f"{place}: {text}"
            source = re.sub(r"@\w+([#:]+\w+)*", "x", text[1:])
            nodes = list(ast.walk(ast.parse(source)))
            assert not any(isinstance(node, (ast.Lambda, ast.NamedExpr)) for node in nodes), f"{place}: {text}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_key_is_dead(name: str) -> None:
    assert set(find_unused(read(name), RUNNER_KEYS)) <= {"train::inferer"}  # a property that MONAI itself looks up


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_nothing_is_unused_or_surplus(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parse(names, monkeypatch)
    assert find_base(parser.get())[0] == f"{names[0]}.json"
    check_options(parser)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_name_keys_that_exist(overlay: str) -> None:
    keys = [set(read(workflow)) for workflow in OVERLAYS[overlay]]
    overlaid = set(read(overlay)) - RUNNER_KEYS
    assert overlaid <= set.union(*keys)
    assert all(overlaid & known for known in keys), "an overlay changes nothing in a workflow it is for"


@pytest.mark.parametrize("overlay", sorted(set(OVERLAYS) - {"multi_gpu_train"}))
def test_overlays_hold_knobs_only(overlay: str) -> None:
    assert [key for key, value in read(overlay).items() if isinstance(value, dict)] == []


def test_overlays_change_something() -> None:
    base = read("redgan_train")
    for overlay in ("redgan_spade", "redgan_no_class", "redgan_authors", "redgan_corrected"):
        assert any(base.get(key, value) != value for key, value in read(overlay).items()), overlay
    base = read("cpggan_detector_train")
    assert all(base[key] != value for key, value in read("yolov3_authors").items())


def test_shared_knobs_and_networks_agree() -> None:
    common = "cache_dir image_size_pixels device"
    redgan = (
        "dataset_dir encoder_widths decoder_widths outline_class outline_threshold "
        "use_class output_scale output_shift generator_width embedding_dim"
    )
    lcgan = (
        "dataset_dir patient_fraction fraction_seed candidates_dir outline_class generator_width "
        "fcn_width fcn_fc_width fcn_batch_norm classifier_width_multiplier"
    )
    pggan = "dataset_dir annotation_coding annotation_levels latent_dim feature_base feature_max filters"
    cpggan = (
        "dataset_dir only_class only_box_class merge_box_classes most_boxes minimum_lesion_pixels strip_skull "
        "latent_distribution latent_dim feature_base feature_max width_multiplier "
        "spatial_pyramid"
    )
    segmenter = ("train", "inference", "evaluate")
    systems = {common: WORKFLOWS, redgan: (*segmenter, *REDGAN), lcgan: LCGAN, pggan: PGGAN_ENSEMBLE, cpggan: CPGGAN}
    systems["features_dir classifier classifier_widths hidden_dim"] = FEATURE_ACGAN
    systems["encoder_widths decoder_widths"] = (*segmenter, "cpggan_evaluate")
    systems["description"] = [
        name for name in WORKFLOWS if name not in ("train", "inference")
    ]  # these serve MONAI Label
    for keys, names in systems.items():
        for key in keys.split():
            values = [value for name in names if (value := read(name).get(key)) is not None]
            assert all(value == values[0] for value in values), key
    assert read("pggan_ensemble_evaluate")["rule"] == read("pggan_ensemble_train")["train"]["dataset"]["rule"]
    standardise = read("pggan_ensemble_evaluate")["standardise"]["transforms"]
    assert standardise[-1] == read("pggan_ensemble_segmenter_train")["standardise"]


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if name.endswith("train")])
def test_a_training_resumes_with_all_of_its_data_and_patients_alone(name: str) -> None:
    config = read(name)
    kinds = ("scripts.handlers.training_state.TrainingState",)
    (state,) = (node for _, node in walk(config) if isinstance(node, dict) and node.get("_target_") in kinds)
    assert state["data"] == [f"@{part}#dataset" for part in ("train", "validate") if "dataset" in config.get(part, {})]
    assert state["knowledge"] == "@knowledge"
    written = [node["knowledge"] for _, node in walk(config) if isinstance(node, dict) and "knowledge" in node]
    assert {*map(str, written)} - {str(config["knowledge"])} == {"@knowledge"}


def test_what_loads_weights_names_the_network_that_training_defines() -> None:
    trained = {
        node["_target_"]
        for name in WORKFLOWS
        for key, node in read(name).items()
        if name.endswith("train") and key.endswith("_def")
    }
    opened = [
        node["network"]
        for name in WORKFLOWS
        for _, node in walk(read(name))
        if isinstance(node, dict) and str(node.get("_target_")).startswith("scripts.networks.weights.open_")
    ]
    assert len(opened) > 15
    assert set(opened) <= trained


def test_preprocessing_is_the_shared_one() -> None:
    for name in {*WORKFLOWS} - {"inference"}:
        steps = read(name).get("preprocessing", {"_target_": "scripts.transforms.preprocessing.slice_preprocessing"})
        assert steps["_target_"] == "scripts.transforms.preprocessing.slice_preprocessing", name


def test_boxes_are_flipped_along_the_axes_that_the_gan_trained_with() -> None:
    axes = read("cpggan_inference")["dataset"]["changes"]["flip_axes"]
    for chances, expected in (([0.5, 0.5], [0, 1]), ([0.5, 0.0], [0]), ([0, 0.1], [1]), ([0, 0], [])):
        parser = ConfigParser({"settings": {"flip_probability": chances}, "axes": axes})
        assert parser.get_parsed_content("axes") == expected
    assert read("cpggan_train")["knowledge"]["settings"]["flip_probability"] == "@flip_probability"


@pytest.mark.parametrize(
    ("label_count", "outline_class", "binary_mask", "channels"),
    [(3, True, True, 5), (1, False, True, 1), (1, False, False, 2), (1, True, True, 3)],  # BraTS, ISIC as published
)
def test_a_mask_has_as_many_channels_as_the_authors_have(
    label_count: int, outline_class: bool, binary_mask: bool, channels: int
) -> None:
    expressions = {key: read("redgan_train")[key] for key in ("mask_labels", "mask_channels")}
    given = {"label_count": label_count, "outline_class": outline_class, "binary_mask": binary_mask}
    assert ConfigParser({**expressions, **given}).get_parsed_content("mask_channels") == channels
