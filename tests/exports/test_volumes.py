from __future__ import annotations

import json
import re

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist, load_decathlon_properties

from scripts.data.contract import DatasetError, read_dataset, write_dataset
from scripts.data.layouts.nnunet_raw import read_nnunet_raw
from scripts.data.splits import select_items
from scripts.exports.export import export
from tests.exports.sets import Y, images_of, make_label, provenance, write_set


def test_monai_reads_the_images_as_they_were(masked, tmp_path):
    export(str(masked), to="decathlon", output=str(tmp_path / "out"))
    listed = load_decathlon_datalist(tmp_path / "out" / "dataset.json", True, "training")
    assert len(listed) == 3
    for item, (name, image) in zip(listed, images_of(masked).items(), strict=True):
        volume = nib.load(item["image"])
        assert str(item["image"]).endswith(f"{name}.nii.gz")
        np.testing.assert_array_equal(np.moveaxis(np.asarray(volume.dataobj)[:, :, 0], -1, 0), image)
        np.testing.assert_array_equal(np.asarray(nib.load(item["label"]).dataobj)[..., 0], make_label())
        assert volume.header["descrip"].item().decode() == "SYNTHETIC by redgan, of no patient"
        assert item["synthetic"]["source_patient"] in ("p3", "p4")
    about = load_decathlon_properties(tmp_path / "out" / "dataset.json", ["description", "numTraining"])
    assert about["description"].startswith("SYNTHETIC")
    assert about["numTraining"] == 3


def test_the_contract_reads_it_and_no_folder_of_this_machine_is_told(masked, tmp_path):
    export(str(masked), to="decathlon", output=str(tmp_path / "out"))
    dataset = read_dataset(tmp_path / "out")
    assert (dataset.trained_on, dataset.name) == (["p3", "p4", "p5"], "brains, synthetic")
    assert dataset.items[0]["synthetic"]["source"] == "p3.nii.gz#0"
    assert "/secret" not in (tmp_path / "out" / "synthetic.json").read_text()


def test_real_images_lie_beside_as_their_fold_splits_them_on_one_scale(masked, real, tmp_path):
    export(str(masked), to="decathlon", output=str(tmp_path / "out"), real=str(real), fold=0)
    dataset = read_dataset(tmp_path / "out")
    patients = {split: [item["patient"] for item in items] for split, items in dataset.splits.items()}
    assert patients["training"][:3] == ["p3", "p4", "p5"]
    assert len(patients["training"]) == 6
    assert (patients["validation"], patients["test"]) == (["p2"], ["p1"])
    assert not any(item.get("synthetic") for item in dataset.items if not item["patient"].startswith("synthetic"))
    volume = np.asarray(nib.load(dataset.splits["test"][0]["image"]).dataobj)
    assert (volume.min(), volume.max()) == (-1, 1)
    assert select_items(dataset, "test")[0]["patient"] == "p1"  # no 'fold' is left by which to split otherwise


def test_synthetic_pixels_are_as_large_as_those_the_generator_saw(masked, real, tmp_path):
    export(str(masked), to="decathlon", output=str(tmp_path / "out"), real=str(real), fold=0)
    file = tmp_path / "out" / "imagesTr" / "synthetic_000000_A.nii.gz"
    np.testing.assert_allclose(nib.load(file).header.get_zooms()[:3], (1.0, 1.2, 3.0))  # 24 pixels became 12
    assert nib.load(tmp_path / "out" / "imagesTr" / "p3_image.nii.gz").shape[1] == 2 * Y


def test_a_generator_that_knows_a_held_out_patient_is_refused(masked, real, tmp_path):
    with pytest.raises(DatasetError, match="trained on patient 'p3' and 1 more of the test split of fold 2"):
        export(str(masked), to="decathlon", output=str(tmp_path / "out"), real=str(real), fold=2)
    content = json.loads((masked / "dataset.json").read_text())
    del content["trained_on"]
    (masked / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="does not say which patients"):
        export(str(masked), to="decathlon", output=str(tmp_path / "out"), real=str(real), fold=0)
    assert not (tmp_path / "out").exists()


RAW = "nnUNet_raw/Dataset501_brains_real_and_synthetic"


def read(file):
    return json.loads(file.read_text())


def change(folder, **replaced):
    """Replaces keys of a dataset.json."""
    (folder / "dataset.json").write_text(json.dumps({**read(folder / "dataset.json"), **replaced}))


def test_the_folder_keeps_the_rules_of_the_format(masked, tmp_path):
    export(str(masked), to="nnunet", output=str(tmp_path / "out"), dataset_id=7)
    (raw,) = (tmp_path / "out" / "nnUNet_raw").iterdir()
    assert re.fullmatch(r"Dataset\d{3}_\w+", raw.name)
    assert raw.name == "Dataset007_brains_synthetic"
    about = read(raw / "dataset.json")
    assert about["channel_names"] == {"0": "FLAIR", "1": "T1"}
    assert about["labels"] == {"background": 0, "core": 1, "rim": 2}
    cases = sorted(file.name.removesuffix(about["file_ending"]) for file in (raw / "labelsTr").iterdir())
    assert len(cases) == about["numTraining"] == 3
    channels = sorted(f"{case}_{n:04d}{about['file_ending']}" for case in cases for n in range(2))
    assert sorted(file.name for file in (raw / "imagesTr").iterdir()) == channels
    assert all(case.startswith("synthetic_") for case in cases)
    assert not list((tmp_path / "out").rglob("splits_final.json"))  # there is nobody real to validate on


def test_label_0_has_the_name_that_nnunet_asks_for(masked, tmp_path):
    change(masked, labels={"0": "Normal tissue", "1": "core", "2": "rim"})
    export(str(masked), to="nnunet", output=str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / "nnUNet_raw").glob("*/dataset.json")
    assert read(file)["labels"] == {"background": 0, "core": 1, "rim": 2}


def test_channels_and_labels_share_a_grid_and_keep_their_values(masked, tmp_path):
    export(str(masked), to="nnunet", output=str(tmp_path / "out"))
    raw = tmp_path / "out" / "nnUNet_raw" / "Dataset501_brains_synthetic"
    for name, image in images_of(masked).items():
        label = nib.load(raw / "labelsTr" / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(label.dataobj)[..., 0], make_label())
        for n in range(2):
            volume = nib.load(raw / "imagesTr" / f"{name}_{n:04d}.nii.gz")
            np.testing.assert_array_equal(np.asarray(volume.dataobj)[..., 0], image[n])
            np.testing.assert_array_equal(volume.affine, label.affine)
    assert len(read_nnunet_raw(raw).splits["training"]) == 3


def test_synthetic_cases_train_only_the_fold_whose_held_out_patients_nobody_knew(masked, real, tmp_path):
    export(str(masked), to="nnunet", output=str(tmp_path / "out"), real=str(real))
    splits = read(tmp_path / "out" / RAW / "splits_final.json")
    assert splits == read(tmp_path / "out" / RAW.replace("raw", "preprocessed") / "splits_final.json")
    assert [fold["val"] for fold in splits] == [[f"p{n}_image"] for n in range(1, 6)]
    made = [[case for case in fold["train"] if case.startswith("synthetic_")] for fold in splits]
    assert [len(cases) for cases in made] == [3, 0, 0, 0, 0]
    for fold in splits:
        assert len(set(fold["train"]) - set(made[0])) == 4
        assert not set(fold["train"]) & set(fold["val"])


def test_a_set_per_fold_fills_every_fold(masked, real, tmp_path):
    second = [{"class": "A", "synthetic": provenance(0, "p1")}]
    write_set(tmp_path / "second", second, trained_on=["p1", "p4", "p5"], channels=2)  # a generator of fold 1
    export(str(masked), str(tmp_path / "second"), to="nnunet", output=str(tmp_path / "out"), real=str(real))
    splits = read(tmp_path / "out" / RAW / "splits_final.json")
    made = [[case for case in fold["train"] if case.startswith("synthetic_")] for fold in splits]
    assert made == [[f"synthetic_0_{n:06d}_A" for n in range(3)], ["synthetic_1_000000_A"], [], [], []]


def test_a_generator_of_all_patients_fits_no_fold(masked, real, tmp_path):
    change(masked, trained_on=[f"p{n}" for n in range(1, 6)])
    with pytest.raises(DatasetError, match=r"every fold .* holds out.*Train a generator with --fold"):
        export(str(masked), to="nnunet", output=str(tmp_path / "out"), real=str(real))
    change(masked, trained_on=[])
    with pytest.raises(DatasetError, match="does not say which patients"):
        export(str(masked), to="nnunet", output=str(tmp_path / "out"), real=str(real))


def test_a_generator_that_knows_a_test_patient_is_refused(masked, real, tmp_path):
    dataset = read_dataset(real)
    for item in dataset.items:
        if item["patient"] == "p4":
            del item["fold"]
    write_dataset(real, dataset)
    with pytest.raises(DatasetError, match="'p4' has no fold and would be tested on"):
        export(str(masked), to="nnunet", output=str(tmp_path / "out"), real=str(real))


def test_without_folds_the_lists_of_the_file_are_the_one_fold(masked, real, tmp_path):
    dataset = read_dataset(real)
    for item in dataset.items:
        item.pop("fold", None)
    write_dataset(real, dataset)
    export(str(masked), to="nnunet", output=str(tmp_path / "out"), real=str(real))
    (fold,) = read(tmp_path / "out" / RAW / "splits_final.json")
    assert fold["val"] == ["p2_image"]
    assert [case for case in fold["train"] if case[0] == "p"] == ["p3_image", "p4_image", "p5_image"]
    assert sorted(file.name for file in (tmp_path / "out" / RAW / "labelsTs").iterdir()) == ["p1_image.nii.gz"]
    assert read(tmp_path / "out" / RAW / "dataset.json")["numTraining"] == 7


def test_boxes_are_refused_with_the_formats_that_take_them(boxed, tmp_path):
    with pytest.raises(DatasetError, match=r"nnunet cannot take\. Export it to coco, yolo, dicom or png"):
        export(str(boxed), to="nnunet", output=str(tmp_path / "out"))
