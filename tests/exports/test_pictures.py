from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import yaml
from monai.transforms import Compose
from PIL import Image
from pycocotools.coco import COCO

from scripts.data.contract import DatasetError
from scripts.data.layouts.table import read_table
from scripts.data.layouts.yolo import read_yolo
from scripts.exports.export import export
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd
from tests.exports.sets import BOXES, images_of, make_label


def read(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_rows_lead_to_the_values_and_labels(masked, tmp_path):
    export(str(masked), to="png", output=str(tmp_path / "out"))
    rows = read(tmp_path / "out" / "images.csv")
    for row, image in zip(rows, images_of(masked).values(), strict=True):
        for n in range(2):
            stored = np.asarray(Image.open(tmp_path / "out" / row[f"image_{n}"]))
            assert (stored.dtype, stored.min(), stored.max()) == (np.uint16, 0, 65535)
            np.testing.assert_allclose(stored.T / 32767.5 - 1, image[n], atol=0.5 / 32767.5 + 1e-6)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / row["label"])).T, make_label())
        assert (row["synthetic"], row["system"], row["class"], row["seed"]) == ("yes", "redgan", "A", "3")
    assert [row["source_patient"] for row in rows] == ["p3", "p4", "p3"]


def test_boxes_have_a_table_of_their_own(boxed, tmp_path):
    export(str(boxed), to="png", output=str(tmp_path / "out"))
    rows = read(tmp_path / "out" / "boxes.csv")
    assert [[int(row[key]) for key in ("x0", "y0", "x1", "y1")] for row in rows] == BOXES
    assert {row["image"] for row in rows} == {"images/synthetic_000000_A.png"}
    assert [row["label"] for row in read(tmp_path / "out" / "images.csv")] == ["", ""]


def test_the_layout_table_of_prepare_reads_it(masked, tmp_path):
    export(str(masked), to="png", output=str(tmp_path / "out"))
    dataset = read_table(tmp_path / "out" / "images.csv", labels="background,core,rim")
    assert [item["patient"] for item in dataset.items] == [f"synthetic-{n:06d}_A" for n in range(3)]
    load = Compose([LoadItemd("image", channel_count=2, foreground_count=2), ToSignedRanged("image", [0, 65535])])
    for item, image in zip(dataset.items, images_of(masked).values(), strict=True):
        np.testing.assert_allclose(load(item)["image"], image, atol=0.5 / 32767.5 + 1e-6)


def read_annotations(folder):
    return COCO(str(folder / "annotations" / "instances_train.json"))


def test_pycocotools_finds_the_lesions_and_their_pixels(masked, tmp_path):
    export(str(masked), to="coco", output=str(tmp_path / "out"), channels=0)
    coco = read_annotations(tmp_path / "out")
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
    coco = read_annotations(tmp_path / "out")
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


def parse(folder, name):
    """Classes and corners in pixels of an image's text file, by the format's definition."""
    width, height = Image.open(folder / "images" / "train" / f"{name}.png").size
    boxes = []
    for line in (folder / "labels" / "train" / f"{name}.txt").read_text().splitlines():
        kind, x, y, w, h = line.split()
        middle, size = np.array([float(x), float(y)]), np.array([float(w), float(h)])
        corners = np.concatenate([middle - size / 2, middle + size / 2]) * [width, height, width, height]
        boxes.append((int(kind), corners))
    return boxes


def test_lines_give_the_boxes_back(boxed, tmp_path):
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    found = parse(tmp_path / "out", "synthetic_000000_A")
    assert [kind for kind, _ in found] == [0, 1]
    np.testing.assert_allclose([corners for _, corners in found], BOXES, atol=1e-6)
    assert parse(tmp_path / "out", "synthetic_000001_A") == []  # looked at, nothing found


def test_an_image_without_boxes_needs_no_classes_of_them(boxed, tmp_path):
    file = boxed / "dataset.json"
    content = json.loads(file.read_text())
    del content["training"][1]["box_classes"]
    file.write_text(json.dumps(content))
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    assert parse(tmp_path / "out", "synthetic_000001_A") == []


def test_lesions_of_a_label_map_get_boxes(masked, tmp_path):
    export(str(masked), to="yolo", output=str(tmp_path / "out"), channels=0)
    for name in images_of(masked):
        (core, first), (rim, second) = parse(tmp_path / "out", name)
        assert (core, first.round().tolist()) == (0, [1, 2, 5, 4])
        assert (rim, second.round().tolist()) == (1, [8, 5, 11, 8])


def test_the_description_names_classes_and_leaves_validation_to_real_images(boxed, tmp_path):
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    text = (tmp_path / "out" / "data.yaml").read_text()
    assert yaml.safe_load(text) == {"train": "images/train", "val": None, "names": {0: "core", 1: "rim"}}
    assert text.startswith("# SYNTHETIC")


def test_the_layout_of_prepare_reads_it(boxed, tmp_path):
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    items = read_yolo(tmp_path / "out").splits["training"]
    assert [item["boxes"] for item in items] == [BOXES, []]


def test_pictures_of_yolo_hold_the_values_within_half_a_step(boxed, tmp_path):
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    for name, image in images_of(boxed).items():
        picture = np.asarray(Image.open(tmp_path / "out" / "images" / "train" / f"{name}.png"))
        np.testing.assert_allclose(picture.T / 127.5 - 1, image[0], atol=0.5 / 127.5 + 1e-6)


def test_a_class_name_of_yaml_signs_is_read_back(boxed, tmp_path):
    file = boxed / "dataset.json"
    file.write_text(file.read_text().replace('"core"', "\"core: #1 'a'\""))
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    assert yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["names"][0] == "core: #1 'a'"
