from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from scripts.data.contract import DatasetError
from scripts.exports.export import export
from tests.exports.sets import BOXES, images_of, make_label


def read(folder):
    return COCO(str(folder / "annotations" / "instances_train.json"))


def test_pycocotools_finds_the_lesions_and_their_pixels(masked, tmp_path):
    export(str(masked), to="coco", output=str(tmp_path / "out"), channels=0)
    coco = read(tmp_path / "out")
    assert {category["id"]: category["name"] for category in coco.cats.values()} == {1: "core", 2: "rim"}
    for number in coco.getImgIds():
        first, second = coco.loadAnns(coco.getAnnIds(imgIds=number))
        assert (first["bbox"], first["category_id"], first["area"]) == ([1, 2, 4, 2], 1, 8)
        assert (second["bbox"], second["category_id"], second["area"]) == ([8, 5, 3, 3], 2, 3)
        masks = coco.annToMask(first) + coco.annToMask(second)  # (Y, X)
        np.testing.assert_array_equal(masks, make_label().T > 0)


def test_pictures_hold_the_values_within_half_a_step(masked, tmp_path):
    export(str(masked), to="coco", output=str(tmp_path / "out"), channels="1")
    for name, image in images_of(masked).items():
        picture = Image.open(tmp_path / "out" / "images" / f"{name}.png")
        assert (picture.mode, picture.size) == ("L", (12, 10))
        assert picture.text["Title"] == "SYNTHETIC by redgan, of no patient"
        np.testing.assert_allclose(np.asarray(picture).T / 127.5 - 1, image[1], atol=0.5 / 127.5 + 1e-6)


def test_three_channels_become_red_green_and_blue(masked, tmp_path):
    export(str(masked), to="coco", output=str(tmp_path / "out"), channels=(1, 0, 0))
    name, image = next(iter(images_of(masked).items()))
    picture = np.asarray(Image.open(tmp_path / "out" / "images" / f"{name}.png"))  # (Y, X, 3)
    np.testing.assert_allclose(picture.transpose(2, 1, 0) / 127.5 - 1, image[[1, 0, 0]], atol=0.004)


def test_boxes_stay_boxes_and_images_say_where_they_come_from(boxed, tmp_path):
    export(str(boxed), to="coco", output=str(tmp_path / "out"))
    coco = read(tmp_path / "out")
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in coco.anns.values())]
    assert boxes == BOXES
    assert [a["category_id"] for a in coco.anns.values()] == [1, 2]
    assert "segmentation" not in coco.anns[1]
    assert coco.getAnnIds(imgIds=2) == []
    assert coco.imgs[1]["synthetic"]["source_patient"] == "p3"
    assert coco.dataset["info"]["trained_on"] == ["p3"]
    assert "SYNTHETIC" in coco.dataset["info"]["description"]


def test_two_channels_are_no_picture(masked, tmp_path):
    with pytest.raises(DatasetError, match=r"channels \[0, 1\], expected one .* of 0: FLAIR, 1: T1. Pass --channels 0"):
        export(str(masked), to="coco", output=str(tmp_path / "out"))
    with pytest.raises(DatasetError, match=r"channels \[2\]"):
        export(str(masked), to="yolo", output=str(tmp_path / "out"), channels=2)
