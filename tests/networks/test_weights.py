from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scripts.data.contract import Dataset, DatasetError
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.weights import Weights, common_setting, load_networks, open_all_weights, open_weights
from tests.known_weights import write_known

UNET = "scripts.networks.feature_unet.FeatureUNet"
WIDTHS = (2, 3, 4, 5, 6)
MR = {"modality": ["T1"], "labels": ["background", "tumour"]}


def data(folder: Path, **names: list[str]) -> Dataset:
    """One patient in each split, of the split's name; in fold 0 that of test is trained on."""
    folds = {"training": 0, "validation": 1, "test": 2}
    splits = {split: [{"patient": split, "label": "x", "fold": fold}] for split, fold in folds.items()}
    return Dataset(folder, "d", **{**MR, **names}, splits=splits)


def write(file: Path, *patients: str, **known: Any) -> Weights:
    known = {"settings": {"image_size_pixels": 32}, "images": data(file.parent), **known}
    return write_known(file, patients, network=FeatureUNet(1, features=WIDTHS), **known)


def reopen(weights: Weights, purpose: str = "prediction", **options: Any) -> Weights:
    opened = open_weights(weights.file, **{"network": UNET, "purpose": purpose, **options})
    assert opened is not None
    return opened


@pytest.fixture
def bare(tmp_path: Path) -> Weights:
    """Weights that nothing describes."""
    weights = write(tmp_path / "bare.pt")
    weights.file.with_suffix(".json").unlink()
    return weights


def test_no_file_gives_no_weights_and_a_missing_one_is_named(tmp_path: Path) -> None:
    assert open_weights(None, network=UNET, purpose="augmentation") is None
    with pytest.raises(CheckpointError, match=r"No checkpoint .*absent\.pt\. Train that network first, or correct"):
        open_weights(tmp_path / "absent.pt", network=UNET, purpose="prediction")
    with pytest.raises(ValueError, match="purpose is 'fun', expected one of prediction, evaluation, augmentation"):
        open_weights(None, network=UNET, purpose="fun")


def test_a_setting_that_was_not_noted_must_be_given(tmp_path: Path) -> None:
    weights = write(tmp_path / "old.pt")
    asked = {"image_size_pixels": None, "flip_probability": None}
    with pytest.raises(CheckpointError, match=r"old\.pt does not say its flip_probability.*Pass --flip_probability"):
        reopen(weights, settings=asked)
    settings = reopen(weights, settings={**asked, "flip_probability": [0.5, 0.0]}).settings
    assert settings == {"image_size_pixels": 32, "flip_probability": [0.5, 0.0]}


def test_a_round_trip_builds_the_same_network_with_the_same_weights(tmp_path: Path) -> None:
    network = FeatureUNet(1, features=WIDTHS).eval()
    loaded = reopen(write_known(tmp_path / "model.pt", network=network)).load().eval()
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(loaded(image), network(image))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt is a FeatureUNet, expected a FCN8s\. Name the weights of a"):
        reopen(weights, network="scripts.networks.fcn.FCN8s")
    assert reopen(weights, network=["scripts.networks.fcn.FCN8s", UNET]).recipe == weights.recipe


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"arguments": {"in_channels": 4}},
            r"model\.pt was trained with in_channels 1, here it is 4\. Leave that",
        ),
        ({"arguments": {"features": (9, 9)}}, r"with features \[2, 3, 4, 5, 6\], here it is \[9, 9\]"),
        ({"settings": {"image_size_pixels": 64}}, r"with image_size_pixels 32, here it is 64\. Leave that option out"),
    ],
)
def test_another_argument_or_setting_is_refused_with_both_values(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        reopen(write(tmp_path / "model.pt"), **given)


def test_what_is_not_given_comes_from_the_description(tmp_path: Path) -> None:
    nothing = {"arguments": {"in_channels": None, "features": WIDTHS}, "settings": {"image_size_pixels": None}}
    opened = reopen(write(tmp_path / "model.pt"), **nothing)
    assert (opened.arguments["in_channels"], opened.settings) == (1, {"image_size_pixels": 32})


@pytest.mark.parametrize("patient", ["validation", "test"])
def test_what_others_learn_from_must_not_know_a_held_out_patient(tmp_path: Path, patient: str) -> None:
    weights = write(tmp_path / "model.pt", "training", patient)
    message = rf"model\.pt was trained on patient '{patient}' of the {patient} split of .*the same --fold"
    with pytest.raises(DatasetError, match=message):
        reopen(weights, "augmentation", dataset=data(tmp_path))
    assert reopen(weights, "prediction", dataset=data(tmp_path)).trained_on == sorted(["training", patient])


def test_patients_of_training_or_of_elsewhere_may_be_known(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.pt", "training", "elsewhere", validated_on=["validation"])
    assert reopen(weights, "augmentation", dataset=data(tmp_path)).trained_on == ["elsewhere", "training"]


def test_the_fold_says_who_is_held_out(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.pt", "training")
    reopen(weights, "augmentation", dataset=data(tmp_path))
    with pytest.raises(DatasetError, match="of the test split of fold 0 of"):
        reopen(weights, "augmentation", dataset=data(tmp_path), fold=0)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nobody_is_judged_on_known_patients(tmp_path: Path, split: str) -> None:
    weights = write(tmp_path / "model.pt", split)
    with pytest.raises(DatasetError, match=rf"was trained on patient '{split}' of the {split} split of"):
        reopen(weights, "evaluation", dataset=data(tmp_path), split=split)
    other = {"validation": "test", "test": "validation"}[split]
    assert reopen(weights, "evaluation", dataset=data(tmp_path), split=other).seen == {}


def test_an_evaluation_of_the_training_split_is_allowed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = write(tmp_path / "model.pt", "training")
    opened = reopen(weights, "evaluation", dataset=data(tmp_path), split="training")
    assert opened.seen == {"training": "training"}
    assert "1 of the 1 patients to be evaluated on, such as 'training', were in the training of" in caplog.text


def test_an_evaluation_on_whom_it_was_validated_on_is_allowed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = write(tmp_path / "model.pt", "training", validated_on=["validation"])
    assert reopen(weights, "evaluation", dataset=data(tmp_path)).seen == {}
    assert not caplog.records
    opened = reopen(weights, "evaluation", dataset=data(tmp_path), split="validation")
    assert opened.seen == {"validation": "validation"}
    assert "such as 'validation', were in the validation of these weights: their scores flatter them" in caplog.text


@pytest.mark.parametrize("purpose", ["evaluation", "augmentation"])
def test_weights_of_which_nothing_is_known_need_trust(
    bare: Weights, tmp_path: Path, purpose: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"dataset": data(tmp_path), "arguments": {"in_channels": 1, "features": WIDTHS}}
    with pytest.raises(CheckpointError, match=r"Nothing beside .*bare\.pt says whom .*or pass --trust_weights True"):
        reopen(bare, purpose, **options)
    opened = reopen(bare, purpose, trust=True, **options)
    assert (opened.knowledge, opened.trained_on) == (None, [])
    assert "nothing is known of its patients, and the options are trusted" in caplog.text
    assert isinstance(opened.load(), FeatureUNet)


def test_weights_of_which_nothing_is_known_predict_by_the_options(bare: Weights) -> None:
    options = {"arguments": {"in_channels": 1, "features": WIDTHS}, "settings": {"image_size_pixels": None}}
    with pytest.raises(CheckpointError, match=r"image_size_pixels is not given\. Copy .*pass --image_size_pixels"):
        reopen(bare, **options)
    assert reopen(bare, **{**options, "settings": {"image_size_pixels": 48}}).settings == {"image_size_pixels": 48}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path: Path, value: float) -> None:
    weights = write(tmp_path / "model.pt")
    content = torch.load(weights.file)
    name = next(iter(content))
    torch.save({**content, name: torch.full_like(content[name], value)}, weights.file)
    with pytest.raises(CheckpointError, match=rf"model\.pt: '{name}' holds NaN or infinity, so its training"):
        weights.load()


def test_other_names_are_refused_where_others_learn_else_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights, other = write(tmp_path / "model.pt"), data(tmp_path, labels=["background", "stroke"])
    with pytest.raises(CheckpointError, match=r"for labels \['background', 'tumour'\], .*\['background', 'stroke'\]"):
        reopen(weights, "augmentation", dataset=other)
    reopen(weights, "evaluation", dataset=other)
    assert "make sure that they mean the same, in this order" in caplog.text
    more = data(tmp_path, modality=["T1", "T2"])
    with pytest.raises(CheckpointError, match=r"was trained for modality \['T1'\], .* has \['T1', 'T2'\]"):
        reopen(weights, dataset=more)
    assert reopen(weights, "augmentation", dataset=more, same_names=()).file == weights.file


def test_intensities_of_another_meaning_are_refused(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"for intensity_range None, .* has \[0\.0, 80\.0\]"):
        reopen(weights, "evaluation", dataset=data(tmp_path, intensity_range=[0.0, 80.0]))


def test_the_images_are_described_with_their_label_values(tmp_path: Path) -> None:
    trained = Dataset(tmp_path, "CT", ["CT"], ["background", "a", "b"], ["x"], {255: 2}, [0.0, 80.0])
    images = write(tmp_path / "model.pt", images=trained).images(intensity_range=(0, 80))
    assert (images.label_values, images.foreground_count, images.intensity_range) == ({255: 2}, 2, [0.0, 80.0])
    with pytest.raises(CheckpointError, match=r"with intensity_range \[0\.0, 80\.0\], here it is \[0\.0, 100\.0\]"):
        write(tmp_path / "model.pt", images=trained).images(intensity_range=(0, 100))


def test_images_of_undescribed_weights_come_from_the_options(bare: Weights) -> None:
    opened = reopen(bare)
    with pytest.raises(CheckpointError, match="or pass --image_channels and --label_count"):
        opened.images(channel_count=2)
    images = opened.images(channel_count=2, label_count=1)
    assert (images.channel_count, images.foreground_count) == (2, 1)


def test_members_of_an_ensemble_must_be_alike(tmp_path: Path) -> None:
    sizes = {"a": 32, "b": 32, "c": 64}
    files = [write(tmp_path / f"{n}.pt", settings={"image_size_pixels": size}).file for n, size in sizes.items()]
    options = {"network": UNET, "purpose": "prediction", "settings": {"image_size_pixels": None}}
    assert [len(load_networks(open_all_weights(files[:n], **options), "cpu")) for n in (0, 2)] == [0, 2]
    with pytest.raises(CheckpointError, match=r"c\.pt was trained with other options than .*a\.pt"):
        open_all_weights(files, **options)
    with pytest.raises(CheckpointError, match="is no list of files of weights, expected one such as"):
        open_all_weights(str(files[0]), **options)


def test_a_common_setting_is_described_or_given_and_one(tmp_path: Path) -> None:
    small, large = (write(tmp_path / f"{size}.pt", settings={"size": size}) for size in (32, 64))
    assert common_setting("size", [None, small], None) == common_setting("size", [small], 32) == 32
    assert common_setting("size", [None], None, 48) == 48
    with pytest.raises(CheckpointError, match=r"64\.pt was trained with size 64, here it is 32"):
        common_setting("size", [small, large], None)
    with pytest.raises(CheckpointError, match=r"size is not known, expected networks that say it\. Pass --size"):
        common_setting("size", [None], None)


def test_a_network_that_is_given_takes_the_weights(tmp_path: Path) -> None:
    weights = write_known(tmp_path / "model.pt", network=build_feature_classifier("linear", [2, 1, 1], 2))
    given = build_feature_classifier("linear", [2, 1, 1], 2)
    assert weights.load(network=given) is given
    with pytest.raises(CheckpointError, match="is of another configuration: 'bias' is absent there"):
        weights.load(network=nn.Linear(2, 2))


def test_one_name_is_a_list_of_one(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.pt", settings={"image_channel_names": ["T1"]})
    assert reopen(weights, settings={"image_channel_names": "T1"}).file == weights.file
    with pytest.raises(CheckpointError, match=r"image_channel_names \['T1'\], here it is T2"):
        reopen(weights, settings={"image_channel_names": "T2"})
