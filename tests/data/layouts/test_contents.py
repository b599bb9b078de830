"""What is found in the files where nobody has said it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.contents import complete_description, find_labels, find_modality


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
