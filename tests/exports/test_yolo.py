from __future__ import annotations

import json

import numpy as np
import yaml
from PIL import Image

from scripts.data.layouts.yolo import read_yolo
from scripts.exports.export import export
from tests.exports.sets import BOXES, images_of


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


def test_pictures_hold_the_values_within_half_a_step(boxed, tmp_path):
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    for name, image in images_of(boxed).items():
        picture = np.asarray(Image.open(tmp_path / "out" / "images" / "train" / f"{name}.png"))
        np.testing.assert_allclose(picture.T / 127.5 - 1, image[0], atol=0.5 / 127.5 + 1e-6)


def test_a_class_name_of_yaml_signs_is_read_back(boxed, tmp_path):
    file = boxed / "dataset.json"
    file.write_text(file.read_text().replace('"core"', "\"core: #1 'a'\""))
    export(str(boxed), to="yolo", output=str(tmp_path / "out"))
    assert yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["names"][0] == "core: #1 'a'"
