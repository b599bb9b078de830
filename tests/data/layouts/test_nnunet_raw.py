"""nnU-Net raw folders of both versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.nnunet_raw import read_nnunet_raw


def make_raw(root: Path, cases: tuple[str, ...] = ("la_003", "la_004"), part: str = "Tr", **changes: Any) -> Path:
    content = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "core": 2, "oedema": 1},
        "file_ending": ".nii.gz",
    } | changes
    (root / "dataset.json").write_text(json.dumps(content))
    for folder in (f"images{part}", f"labels{part}"):
        (root / folder).mkdir()
    for case in cases:
        (root / f"labels{part}" / f"{case}{content['file_ending']}").touch()
        for n in range(2):
            (root / f"images{part}" / f"{case}_{n:04d}{content['file_ending']}").touch()
    return root


def test_channels_and_labels_are_paired(tmp_path: Path) -> None:
    dataset = read_nnunet_raw(make_raw(tmp_path))
    first, second = dataset.splits["training"]
    assert [Path(file).name for file in first["image"]] == ["la_003_0000.nii.gz", "la_003_0001.nii.gz"]
    assert Path(second["label"]).name == "la_004.nii.gz"
    assert (second["case"], dataset.labels) == ("la_004", ["background", "oedema", "core"])


def test_the_first_version_names_things_the_other_way(tmp_path: Path) -> None:
    make_raw(tmp_path, channel_names=None, modality={"0": "T1", "1": "T2"}, labels={"0": "background", "1": "x"})
    dataset = read_nnunet_raw(tmp_path)
    assert (dataset.modality, dataset.labels) == (["T1", "T2"], ["background", "x"])


def test_the_test_folder_is_the_test_list(tmp_path: Path) -> None:
    make_raw(tmp_path)
    make_raw(tmp_path, ("la_001", "la_002"), "Ts")
    (tmp_path / "labelsTs" / "la_001.nii.gz").unlink()
    first, second = read_nnunet_raw(tmp_path).splits["test"]
    assert first["label"] is None
    assert Path(second["label"]).parent.name == "labelsTs"


def test_a_picture_may_hold_all_channels(tmp_path: Path) -> None:
    make_raw(tmp_path, file_ending=".png")
    for case in ("la_003", "la_004"):
        (tmp_path / "imagesTr" / f"{case}_0001.png").unlink()
    assert read_nnunet_raw(tmp_path).splits["training"][0]["image"] == str(tmp_path / "imagesTr" / "la_003_0000.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0, "whole": [1, 2]}}, "has regions"),
        ({"labels": {"background": 0, "ignore": 1}}, "an 'ignore' label is not supported"),
        ({"labels": {"background": 0, "x": 2}}, "expected the integers 0, 1, 2"),
        ({"channel_names": 3}, "expected the objects"),
        ({"channel_names": {"0": "a", "1": "b", "2": "c"}}, "case la_003 has 2 of 3 channels"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_nnunet_raw(make_raw(tmp_path, **changes))


def test_unpaired_and_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="another layout"):
        read_nnunet_raw(tmp_path)
    make_raw(tmp_path)
    (tmp_path / "labelsTr" / "la_004.nii.gz").unlink()
    with pytest.raises(DatasetError, match="1 cases lack image or label, first 'la_004'"):
        read_nnunet_raw(tmp_path)


def test_a_list_of_files_stands_for_the_folders(tmp_path: Path) -> None:
    listed = {"c1": {"images": ["x/t1.nii.gz", "x/t2.nii.gz"], "label": "x/seg.nii.gz"}}
    make_raw(tmp_path, dataset=listed)
    with pytest.raises(DatasetError, match=r"case c1: no file .*t1\.nii\.gz"):
        read_nnunet_raw(tmp_path)
    (tmp_path / "x").mkdir()
    for name in ("t1", "t2", "seg"):
        (tmp_path / "x" / f"{name}.nii.gz").touch()
    (item,) = read_nnunet_raw(tmp_path).items
    assert ([Path(file).name for file in item["image"]], item["case"]) == (["t1.nii.gz", "t2.nii.gz"], "c1")
    assert item["label"] == str(tmp_path / "x" / "seg.nii.gz")


def test_numbers_may_be_texts_and_the_ending_lack_its_dot(tmp_path: Path) -> None:
    make_raw(tmp_path, labels={"background": "0", "core": "1"})
    content = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "file_ending": "nii.gz"}))
    (tmp_path / "imagesTr" / "._la_003_0000.nii.gz").write_bytes(b"\0\5")
    dataset = read_nnunet_raw(tmp_path)
    assert (len(dataset.items), dataset.labels) == (2, ["background", "core"])
