"""The BraTS 2015 sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.brats import read_brats2015_sample


def make_case(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass", "brainmask"):
        (folder / f"{name}.nii.gz").touch()
    return folder


def test_folders_stay_the_split(tmp_path: Path) -> None:
    make_case(tmp_path / "train" / "brats_2013_pat0005_1")
    make_case(tmp_path / "validation" / "brats_2013_pat0003_1")
    splits = read_brats2015_sample(tmp_path).splits
    assert [item["patient"] for item in splits["training"]] == ["brats_2013_pat0005_1"]
    assert [item["patient"] for item in splits["validation"]] == ["brats_2013_pat0003_1"]
    assert [Path(file).name[:3] for file in splits["training"][0]["image"]] == ["Fla", "T1c"]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no cases"):
        read_brats2015_sample(tmp_path)
    case = make_case(tmp_path / "train" / "brats_2013_pat0005_1")
    (case / "OTMultiClass.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"has no OTMultiClass\.nii\.gz"):
        read_brats2015_sample(tmp_path)


@pytest.mark.realdata
def test_the_shared_sample(real_data: Path) -> None:
    dataset = read_brats2015_sample(real_data / "brats2015_sample")
    assert [len(dataset.splits[split]) for split in ("training", "validation")] == [2, 2]
