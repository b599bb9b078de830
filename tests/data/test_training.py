from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.data.training import evaluation_items, images_to_label, real_items, training_items
from scripts.transforms.intensity import ToSignedRanged

CLASSES = {"p0": "A", "p1": "A", "p2": "B", "p3": "A", "p4": "B"}


def write(folder: Path, items: dict[str, list[dict[str, Any]]], **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    content = {"modality": {"0": "MR"}, "labels": {"0": "background", "1": "tumour"}, "classes": ["A", "B"], **items}
    (folder / "dataset.json").write_text(json.dumps({**content, **changes}))
    return folder


def item(patient: str, **more: Any) -> dict[str, Any]:
    return {"image": f"{patient}.png", "label": f"{patient}_mask.png", "patient": patient, **more}


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Training p0, p1, p2, validation p3, test p4; as folds 2, 3, 4, 1, 0."""
    folds = {"p0": 2, "p1": 3, "p2": 4, "p3": 1, "p4": 0}
    items = {p: item(p, fold=folds[p], **{"class": CLASSES[p]}) for p in folds}
    return write(
        tmp_path / "real",
        {"training": [items["p0"], items["p1"], items["p2"]], "validation": [items["p3"]], "test": [items["p4"]]},
    )


def synthetic(
    tmp_path: Path, source: str | None = "p0", *, trained_on: tuple[str, ...] = ("p1",), **changes: Any
) -> Path:
    """One image, from a mask of `source` or from none, by a generator that knows `trained_on`."""
    provenance = {"system": "redgan"} if source is None else {"system": "redgan", "source_patient": source}
    made = item("made", synthetic=provenance, **{"class": "A"})
    return write(tmp_path / "synthetic", {"training": [made]}, **{"trained_on": trained_on, **changes})


def patients(items: list[dict[str, Any]]) -> list[str]:
    return [one["patient"] for one in items]


def test_real_items_of_the_file_and_of_a_fold(real):
    assert patients(training_items(real)) == ["p0", "p1", "p2"]
    assert sorted(patients(training_items(real, fold=2))) == ["p2", "p3", "p4"]


def test_synthetic_items_join_the_real_ones_or_replace_them(real, tmp_path):
    made = synthetic(tmp_path)
    assert patients(training_items(real, synthetic_dir=made)) == ["p0", "p1", "p2", "made"]
    alone = training_items(real, synthetic_dir=made, use_real=False)
    assert patients(alone) == ["made"]
    assert alone[0]["synthetic"]["source_patient"] == "p0"
    assert alone[0]["class_index"] == 0


def test_several_synthetic_sets_are_each_checked(real, tmp_path):
    first = synthetic(tmp_path)
    other = item("more", synthetic={"system": "redgan", "source_patient": "p2"}, **{"class": "B"})
    second = write(tmp_path / "second", {"training": [other]}, trained_on=["p2"])
    both = [str(first), second]
    assert patients(training_items(real, synthetic_dir=both)) == ["p0", "p1", "p2", "made", "more"]
    assert patients(training_items(real, synthetic_dir=both, use_real=False)) == ["made", "more"]
    leaking = write(tmp_path / "leaking", {"training": [other]}, trained_on=["p4"])
    with pytest.raises(DatasetError, match="leaking was trained on patient 'p4' of the test split"):
        training_items(real, synthetic_dir=[first, leaking])
    with pytest.raises(DatasetError, match="use_real is False and no synthetic_dir"):
        training_items(real, use_real=False, synthetic_dir=[])


def test_one_class(real):
    assert patients(training_items(real, only_class="A")) == ["p0", "p1"]
    with pytest.raises(DatasetError, match=r"only_class is 'C', expected one of \['A', 'B'\]"):
        training_items(real, only_class="C")
    with pytest.raises(DatasetError, match="Class 'B' has no training image here"):
        training_items(real, fold=4, only_class="B")  # p2 is tested on, and p4 validated


@pytest.mark.parametrize(("source", "split"), [("p3", "validation"), ("p4", "test")])
def test_synthetic_items_of_held_out_patients_are_refused(real, tmp_path, source, split):
    with pytest.raises(DatasetError, match=rf"made\.png: made from patient '{source}' of the {split} split\. Synth"):
        training_items(real, synthetic_dir=synthetic(tmp_path, source))


def test_what_is_held_out_follows_the_fold(real, tmp_path):
    made = synthetic(tmp_path, "p0", trained_on=("p0",))  # fold 2: tested on in fold 2, validated in fold 1
    for fold, split in ((2, "test"), (1, "validation")):
        with pytest.raises(DatasetError, match=rf"patient 'p0' of the {split} split of fold {fold}"):
            training_items(real, synthetic_dir=made, fold=fold)
    assert "made" in patients(training_items(real, synthetic_dir=made, fold=3))


def test_items_without_provenance_are_refused(real, tmp_path):
    bare = write(tmp_path / "bare", {"training": [item("made", **{"class": "A"})]}, trained_on=["p0"])
    with pytest.raises(DatasetError, match="no 'synthetic' provenance"):
        training_items(real, synthetic_dir=bare)


def test_a_generator_of_unknown_or_held_out_patients_is_refused(real, tmp_path):
    assert len(training_items(real, synthetic_dir=synthetic(tmp_path, None))) == 4  # without masks: its patients count
    with pytest.raises(DatasetError, match="does not say which patients its generator was trained on"):
        training_items(real, synthetic_dir=synthetic(tmp_path, trained_on=()))
    with pytest.raises(DatasetError, match="was trained on patient 'p4' of the test split"):
        training_items(real, synthetic_dir=synthetic(tmp_path, trained_on=("p0", "p4")))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"0": "background", "1": "tumour", "2": "oedema"}},
        {"classes": ["B", "A"]},
        {"modality": {"0": "T2"}},
    ],
)
def test_a_synthetic_set_of_another_kind_is_refused(real, tmp_path, change):
    name = next(iter(change))
    with pytest.raises(DatasetError, match=rf"synthetic: {name} .* differ from .*real\. Synthesise again"):
        training_items(real, synthetic_dir=synthetic(tmp_path, **change))


def test_nothing_to_train_on(real):
    with pytest.raises(DatasetError, match="use_real is False and no synthetic_dir"):
        training_items(real, use_real=False)


def test_items_to_evaluate_and_to_label(real, tmp_path):
    assert evaluation_items(real, "test") == [
        {"image": str(real / "p4.png"), "label": str(real / "p4_mask.png"), "patient": "p4", "class": "B"}
    ]
    assert real_items(real, "validation")[0]["fold"] == 1
    assert images_to_label(real, "validation") == [{"image": str(real / "p3.png"), "name": "p3", "synthetic": False}]


def test_images_without_label_can_be_labelled_but_not_evaluated(tmp_path):
    folder = write(tmp_path / "plain", {"training": [item("p0")], "test": ["new.png"]}, classes=[])
    (image,) = images_to_label(folder, "test")
    assert (image["image"], image["name"]) == (str(folder / "new.png"), "new")
    with pytest.raises(DatasetError, match=r"test split of .* has no item with a label"):
        evaluation_items(folder, "test")
    assert evaluation_items(folder, "training")[0]["class"] == ""


def test_synthetic_images_to_label_keep_their_values(tmp_path):
    (image,) = images_to_label(synthetic(tmp_path), "training")
    written = torch.linspace(-0.5, 0.25, 16).reshape(1, 4, 4)
    prepared = ToSignedRanged("image")({**image, "image": written})["image"]
    assert torch.equal(prepared, written)  # else its minimum and maximum would become -1 and 1


def test_images_of_one_name_in_different_folders_get_names_of_their_own(tmp_path):
    items = [{"image": f"case{n}/flair.nii.gz", "patient": f"p{n}"} for n in (1, 2)] + [{"image": "other.png"}]
    dataset = {"modality": {"0": "a"}, "labels": {"0": "background"}, "training": [], "test": items}
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    assert [item["name"] for item in images_to_label(tmp_path, "test")] == ["case1/flair", "case2/flair", "other"]


def test_a_fraction_takes_some_patients_and_synthetic_images_from_these_only(real, tmp_path):
    (chosen,) = patients(training_items(real, patient_fraction=0.34))
    others = sorted({"p0", "p1", "p2"} - {chosen})
    own = synthetic(tmp_path, chosen, trained_on=(chosen,))
    assert patients(training_items(real, patient_fraction=0.34, synthetic_dir=own)) == [chosen, "made"]
    for source, known in ((others[0], chosen), (chosen, others[0])):
        other = synthetic(tmp_path, source, trained_on=(known,))
        assert len(training_items(real, synthetic_dir=other)) == 4
        with pytest.raises(
            DatasetError, match=f"made with patient '{others[0]}', who is not in the 0.34 of the patients"
        ):
            training_items(real, patient_fraction=0.34, synthetic_dir=other)


def test_items_with_boxes_and_no_label_map_are_for_networks_that_work_on_boxes(real, tmp_path):
    content = json.loads((real / "dataset.json").read_text())
    content["training"][0] |= {"label": None, "boxes": [[0, 0, 2, 2]], "box_classes": [0]}
    (real / "dataset.json").write_text(json.dumps(content))
    assert patients(training_items(real)) == patients(real_items(real, "training")) == ["p1", "p2"]
    assert patients(training_items(real, boxed=True)) == ["p0", "p1", "p2"]
    assert patients(real_items(real, "training", boxed=True)) == ["p0", "p1", "p2"]


def test_a_synthetic_set_with_boxes_is_refused_where_label_maps_are_needed(real, tmp_path):
    provenance = {"system": "cpggan", "source_patient": "p0"}
    made = {**item("made", synthetic=provenance), "label": None, "boxes": [[0, 0, 2, 2]], "box_classes": [0]}
    folder = write(tmp_path / "synthetic", {"training": [made]}, trained_on=("p1",))
    with pytest.raises(DatasetError, match=r"has boxes in place of label maps\. Train a detector on it"):
        training_items(real, synthetic_dir=folder)
    assert patients(training_items(real, synthetic_dir=folder, boxed=True)) == ["p0", "p1", "p2", "made"]


def test_two_predictions_of_one_name_are_refused(tmp_path):
    items = [{"image": name, "patient": name} for name in ("a/0.png", "a/0.jpg", "b/0.png")]
    dataset = {"modality": {"0": "a"}, "labels": {"0": "background"}, "training": [], "test": items}
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(DatasetError, match=r"a/0\.png and .*a/0\.jpg would both be written as a/0\. Rename one"):
        images_to_label(tmp_path, "test")
