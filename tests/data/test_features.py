from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import ComparedFeatures, FeatureDataset, FeatureSet, restore_features


def change_manifest(folder, **changes):
    file = folder / "manifest.json"
    manifest = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in manifest.items() if value != "absent"}))


def make_synthetic(make_rows, count: int = 4) -> list[dict]:
    """Training items of a generator."""
    items = make_rows()[:count]
    return [{**item, "patient": "", "source": f"synthetic#{n}", "synthetic": {"n": n}} for n, item in enumerate(items)]


def test_rows_are_read_as_they_were_written(write_set, make_features):
    features = write_set("set")
    wanted = make_features(12).astype(np.float16)
    for row in (11, 0, 5):
        np.testing.assert_array_equal(features.read(row), wanted[row])
    np.testing.assert_array_equal(features.features, wanted)


def test_standardised_training_features_have_mean_0_and_std_1_per_channel(write_set):
    features = write_set("set")
    dataset = FeatureDataset(features)
    stacked = torch.stack([element["feature"] for element in dataset])
    assert stacked.dtype == torch.float32
    assert len(stacked) == 8
    torch.testing.assert_close(stacked.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(stacked.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_restoring_undoes_standardising_and_keeps_to_the_minimum(write_set, make_features):
    features = write_set("set", dtype="float32")
    original = torch.from_numpy(make_features(12))
    restore = partial(restore_features, mean=features.mean, std=features.std)
    torch.testing.assert_close(restore(features.standardise(original), minimum=0.0), original, atol=1e-5, rtol=0)
    assert restore(torch.full((1, 3, 4, 5), -50.0), minimum=0.0).unique().tolist() == [0]
    floor = torch.tensor(features.floor)
    torch.testing.assert_close(floor[:, None, None].expand(3, 4, 5), features.standardise(torch.zeros(3, 4, 5)))
    unbounded = write_set("unbounded", minimum=None)
    assert unbounded.floor is None
    assert restore(torch.full((1, 3, 4, 5), -50.0), minimum=None).max() < 0


def test_elements_say_class_and_patient(write_set):
    element = FeatureDataset(write_set("set"), "validation")[1]
    assert element["feature"].shape == (3, 4, 5)
    assert (element["class"], element["patient"], element["source"]) == (0, "P4", "P4.nii.gz#1")
    assert element["synthetic"] is False


def test_splits_are_apart(write_set):
    features = write_set("set")
    patients = {split: {item["patient"] for item in FeatureDataset(features, split).items} for split in ("test",)}
    assert patients == {"test": {"P5"}}
    assert len(FeatureDataset(features, ["validation", "test"])) == 4
    with pytest.raises(DatasetError, match="splits is 'train', expected one or several of training, validation, test"):
        FeatureDataset(features, "train")


def test_class_indices_follow_the_names(write_set):
    features = write_set("set")
    assert FeatureDataset(features).class_indices.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_workers_read_the_same(write_set):
    dataset = FeatureDataset(write_set("set"))
    loaded = [DataLoader(dataset, batch_size=8, num_workers=count) for count in (0, 1)]
    here, there = (next(iter(loader))["feature"] for loader in loaded)
    assert torch.equal(here, there)


def test_synthetic_features_are_standardised_as_the_real_ones(write_set, make_rows, make_features):
    real = write_set("real")
    synthetic = write_set("synthetic", make_synthetic(make_rows), seed=5)
    dataset = FeatureDataset([real, synthetic])
    assert len(dataset) == 12
    element = dataset[8]
    assert element["synthetic"] is True
    raw = torch.from_numpy(make_features(4, 5)[0].astype(np.float16))
    torch.testing.assert_close(element["feature"], real.standardise(raw))
    assert len(FeatureDataset([real, synthetic], "test")) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_sha256": "b" * 64}, f"network_sha256 is {'b' * 64}, expected {'a' * 64}"),
        ({"level": "bottleneck"}, "level is bottleneck, expected decoder_3"),
        ({"classes": ["A", "high", "low"]}, r"classes is \['A', 'high', 'low'\], expected \['high', 'low'\]"),
    ],
)
def test_sets_of_another_network_level_or_classes_are_refused(write_set, make_rows, changes, message):
    real = write_set("real")
    other = write_set("other", make_synthetic(make_rows), **changes)
    with pytest.raises(DatasetError, match=rf"other: {message}\. Extract again"):
        FeatureDataset([real, other])


def test_a_set_of_another_shape_is_refused(write_set):
    features = write_set("set")
    assert features.expect(feature_shape=[3, 4, 5], level="decoder_3") is features
    with pytest.raises(DatasetError, match=r"feature_shape is \(3, 4, 5\), expected \(3, 8, 8\)"):
        features.expect(feature_shape=(3, 8, 8))


@pytest.mark.parametrize(
    ("trained_on", "message"),
    [(["P0", "P4"], "trained on patient 'P4' of the validation split"), ([], "does not say whom its generator")],
)
def test_a_generator_that_knows_held_out_patients_is_refused(write_set, make_rows, trained_on, message):
    sets = [write_set("real"), write_set("synthetic", make_synthetic(make_rows), trained_on=trained_on)]
    with pytest.raises(DatasetError, match=message):
        FeatureDataset(sets)


def test_features_that_repeat_training_ones_are_refused_unless_they_are_named(write_set, make_rows):
    sets = [write_set("real"), write_set("synthetic", make_synthetic(make_rows))]
    sets[1].manifest["memorisation"] = {"verdict": "failed", "reason": "copies."}
    with pytest.raises(DatasetError, match="synthetic repeats training images: copies"):
        FeatureDataset(sets)
    assert len(FeatureDataset(sets, allow_memorised="synthetic")) == 12


def test_the_real_set_comes_first(write_set, make_rows):
    sets = [write_set("synthetic", make_synthetic(make_rows)), write_set("real")]
    with pytest.raises(DatasetError, match=r"holds synthetic features. Name the set of real ones first"):
        FeatureDataset(sets)


def test_a_class_without_training_rows_is_refused_for_every_split(write_set, make_rows):
    features = write_set("set", [row for row in make_rows() if row["class"] == "high" or row["split"] != "training"])
    for split in ("training", "test"):
        with pytest.raises(DatasetError, match=r"no training row has class 'low'; there are \['high'\]"):
            FeatureDataset(features, split)


@pytest.mark.parametrize("name", [None, "medium"])
def test_a_patient_without_class_is_refused(write_set, make_rows, name):
    rows = [{**row, "class": name} if row["patient"] == "P5" else row for row in make_rows()]
    with pytest.raises(DatasetError, match=rf"Patient 'P5' has class {name!r}, expected one of \['high', 'low'\]"):
        FeatureDataset(write_set("set", rows), "test")


def test_a_split_without_rows_is_refused(write_set, make_rows):
    features = write_set("set", [row for row in make_rows() if row["split"] == "training"])
    with pytest.raises(DatasetError, match="has no row of test"):
        FeatureDataset(features, "test")


def test_no_set_and_one_that_is_not_whole_yet(tmp_path):
    with pytest.raises(DatasetError, match=r"No .*manifest.json. There are no features. Run configs/feature_acgan"):
        FeatureSet(tmp_path / "set")
    (tmp_path / ".set.making").mkdir()
    with pytest.raises(DatasetError, match="Its extraction was begun and not finished"):
        FeatureSet(tmp_path / "set")


def test_a_file_that_was_cut_is_refused(write_set):
    features = write_set("set")
    with open(features.file, "r+b") as stream:
        stream.truncate(features.file.stat().st_size - 1)
    with pytest.raises(DatasetError, match=r"Cannot read .*features.npy .*: it was cut or changed"):
        FeatureSet(features.folder)


def test_a_file_that_is_cut_while_it_is_open_is_refused(write_set):
    features = write_set("set")
    with open(features.file, "r+b") as stream:
        stream.truncate(features.file.stat().st_size - 1)
    with pytest.raises(DatasetError, match="it was cut or changed"):
        features.read(11)


def test_numbers_that_the_manifest_does_not_describe_are_refused(write_set):
    features = write_set("set")
    change_manifest(features.folder, items=features.items[:3])
    with pytest.raises(DatasetError, match=r"holds \(12, 3, 4, 5\) float16, its manifest says \(3, 3, 4, 5\) float16"):
        FeatureSet(features.folder)
    features.file.write_bytes(b"no array")
    with pytest.raises(DatasetError, match=r"Cannot read .*features.npy"):
        FeatureSet(features.folder)


@pytest.mark.parametrize("key", ["level", "mean", "items", "trained_on"])
def test_a_manifest_that_lacks_a_key_is_refused(write_set, key):
    features = write_set("set")
    change_manifest(features.folder, **{key: "absent"})
    with pytest.raises(DatasetError, match=f"{key}.*(is missing|Input should be)"):
        FeatureSet(features.folder)


def test_a_manifest_that_is_no_json_is_refused(write_set):
    features = write_set("set")
    (features.folder / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match=r"manifest.json, line 1, column 2: .* Correct it"):
        FeatureSet(features.folder)


DESCRIPTION = FeatureDescription(
    "bottleneck", (2, 3, 3), "abc", "model.pt", ["a"], "set", ["low", "high"], 48, ["FLAIR"]
)


def write(folder: Path, splits: list[str], *, synthetic: bool = False) -> Path:
    description = replace(DESCRIPTION, dtype="float32")
    rng = np.random.default_rng(len(splits))
    with FeatureWriter(folder, description, len(splits)) as writer:
        items = [
            {
                "source": f"{folder.name}_{n}",
                "patient": None if synthetic else split[0],
                "class": DESCRIPTION.classes[n % 2],
                "split": split,
                "synthetic": {"generator": "g"} if synthetic else None,
            }
            for n, split in enumerate(splits)
        ]
        writer.append(rng.normal(3, 2, (len(splits), 2, 3, 3)).astype(np.float32), items)
        writer.finish()
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    real = write(tmp_path / "real", ["training"] * 6 + ["validation"] * 3 + ["test"] * 2)
    return real, write(tmp_path / "synthetic", ["training"] * 5, synthetic=True)


def test_parts_are_told_apart_and_the_test_split_stays_out(folders: tuple[Path, Path]) -> None:
    compared = ComparedFeatures(*folders, most_features=None)
    parts = [compared[n]["part"] for n in range(len(compared))]
    assert {part: parts.count(part) for part in parts} == {"training": 6, "held_out": 3, "synthetic": 5}
    training = np.stack([np.asarray(compared[n]["image"]) for n in range(6)])
    np.testing.assert_allclose(training.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(training.std(axis=(0, 2, 3)), 1, rtol=1e-4)
    assert compared[0]["class_index"] == 0
    assert compared[13]["source"].startswith("synthetic_")


def test_parts_are_drawn_without_replacement(folders: tuple[Path, Path]) -> None:
    compared = ComparedFeatures(*folders, most_features=4)
    sources = [compared[n]["source"] for n in range(len(compared))]
    assert len(set(sources)) == len(sources) == 4 + 3 + 4
    with pytest.raises(DatasetError, match="most_features is 0, expected 1 or more"):
        ComparedFeatures(*folders, most_features=0)
