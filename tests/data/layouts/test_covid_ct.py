"""COVID-19 CT slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.covid_ct import read_covid_ct
from scripts.transforms.loading import LoadItemd


def make_slices(root: Path) -> Path:
    for folder, names in (("train", ("10", "9")), ("test", ("11", "12"))):
        for kind, suffix in (("images", "jpg"), ("labels", "png")):
            (root / folder / kind).mkdir(parents=True)
            for name in names:
                (root / folder / kind / f"{name}.{suffix}").touch()
    return root


def test_folders_stay_the_split_and_each_slice_is_a_patient(tmp_path: Path) -> None:
    splits = read_covid_ct(make_slices(tmp_path)).splits
    assert [item["patient"] for item in splits["training"]] == ["slice_9", "slice_10"]
    assert splits["test"][0]["label"] == str(tmp_path / "test" / "labels" / "11.png")


@pytest.mark.parametrize("file", ["train/labels/9.png", "test/images/11.jpg"])
def test_an_image_without_label_and_the_reverse_are_named(tmp_path: Path, file: str) -> None:
    (make_slices(tmp_path) / file).unlink()
    with pytest.raises(DatasetError, match=rf"1 names are only .* first .*/{Path(file).stem}\."):
        read_covid_ct(tmp_path)


def test_a_name_in_both_folders_is_refused(tmp_path: Path) -> None:
    make_slices(tmp_path)
    for file in ("images/9.jpg", "labels/9.png"):
        (tmp_path / "test" / file).touch()
    with pytest.raises(DatasetError, match="slice_9 is a name in both"):
        read_covid_ct(tmp_path)


@pytest.mark.realdata
def test_the_shared_slices(real_data: Path) -> None:
    dataset = read_covid_ct(real_data / "covid_ct")
    assert [len(dataset.splits[split]) for split in ("training", "test")] == [50, 48]
    load = LoadItemd(["image", "label"], channel_count=1, foreground_count=2)
    loaded = [load(item) for item in dataset.items]  # each passes the checks: one channel, labels 0 to 2, same size
    assert sum(bool((item["label"] == 1).any()) for item in loaded) == 96
    assert sum(bool((item["label"] == 2).any()) for item in loaded) == 77
    assert min(int(np.asarray(item["image"]).min()) for item in loaded) >= 0
    assert max(int(np.asarray(item["image"]).max()) for item in loaded) <= 255
