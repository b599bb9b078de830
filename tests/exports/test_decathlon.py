from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist, load_decathlon_properties

from scripts.data.contract import DatasetError, read_dataset
from scripts.data.splits import select_items
from scripts.exports.export import export
from tests.exports.sets import Y, images_of, make_label


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
