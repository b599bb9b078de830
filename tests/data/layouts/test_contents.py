"""What is found in the files where nobody has said it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.contents import complete_description, find_labels, find_modality, read_values


def make_labels(folder: Path, *rows: list[int]) -> list[Item]:
    items: list[Item] = []
    for n, row in enumerate(rows):
        Image.fromarray(np.array([row], np.uint8)).save(folder / f"{n}.png")
        items.append({"image": str(folder / f"{n}.png"), "label": str(folder / f"{n}.png")})
    return items


def test_values_are_numbered_in_their_order(tmp_path: Path) -> None:
    items = make_labels(tmp_path, [0, 255, 0], [0, 128, 1])
    assert find_labels(items) == (["background", "label_1", "label_2", "label_3"], {128: 2, 255: 3})


def test_consecutive_values_need_no_mapping(tmp_path: Path) -> None:
    assert find_labels(make_labels(tmp_path, [0, 2, 1])) == (["background", "label_1", "label_2"], {})


def test_a_given_mapping_decides_how_many_labels_there_are(tmp_path: Path) -> None:
    items = make_labels(tmp_path, [0, 2, 255])
    names, values = find_labels(items, label_values={255: 1})
    assert (names, values) == (["background", "label_1", "label_2"], {255: 1})


def test_a_picture_is_no_label_map(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected at most 32"):
        find_labels(make_labels(tmp_path, list(range(64))))


def test_a_mapping_to_a_label_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"maps to \[2\], expected labels 0..1"):
        complete_description(make_labels(tmp_path, [0, 1]), labels="a,b", label_values="255:2", modality="CT")


def test_channels_of_a_grey_picture_and_of_several_files(tmp_path: Path) -> None:
    items = make_labels(tmp_path, [0, 1], [1, 0])
    assert find_modality(items[0]) == ["image"]
    assert find_modality({"image": [item["image"] for item in items]}) == ["channel_0", "channel_1"]


def test_masks_of_0_and_1_and_of_0_and_255_are_one_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_labels(make_labels(tmp_path, [0, 1], [0, 255])) == (["background", "label_1"], {255: 1})
    assert "Some masks hold 0 and 1, others 0 and 255" in caplog.text
    both = make_labels(tmp_path, [0, 1, 255], [0, 255, 0])
    assert find_labels(both)[1] == {255: 2}  # in one file they differ


def test_masks_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="None of the 2 label maps has a lesion"):
        find_labels(make_labels(tmp_path, [0, 0], [0, 0]))


def test_grey_edges_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected at most 8"):
        find_labels(make_labels(tmp_path, list(range(0, 255, 20))))


def test_a_lossy_mask_is_refused_or_cleaned(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[7:21, 9:22] = 255
    file = str(tmp_path / "m.jpg")
    Image.fromarray(mask).save(file, quality=90)
    items: list[Item] = [{"image": file, "label": file}]
    with pytest.raises(DatasetError, match=r"m\.jpg is a label map stored with loss \(JPEG\).*--threshold_masks"):
        find_labels(items)
    assert find_labels(items, threshold_masks=True) == (["background", "label_1"], {255: 1})
    np.testing.assert_array_equal(np.asarray(read_values(file, threshold_masks=True))[0].T, mask)


def test_one_name_is_enough_for_a_colour_picture(tmp_path: Path) -> None:
    file = str(tmp_path / "c.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file)
    item: Item = {"image": file, "label": None}
    found = complete_description([item], labels="a,b", label_values=None, modality="photo")
    assert (found["modality"], found["intensity_range"]) == (["red", "green", "blue"], [0.0, 255.0])
    with pytest.raises(DatasetError, match=r"has 3 channels, but 2 are named: a, b"):
        complete_description([item], labels="a,b", label_values=None, modality="a,b")


def test_three_channels_of_a_volume_are_no_colours(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 2, 3), np.float32), np.eye(4)), tmp_path / "v.nii.gz")
    assert find_modality({"image": str(tmp_path / "v.nii.gz")}) == ["channel_0", "channel_1", "channel_2"]
