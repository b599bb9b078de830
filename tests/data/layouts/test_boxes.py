"""The same boxes in YOLO, Pascal VOC and COCO form are the same data set; what they share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.layouts.boxes import make_boxed_dataset, make_item, parse_types, to_pixels
from scripts.data.layouts.coco import read_coco
from scripts.data.layouts.voc import read_voc
from scripts.data.layouts.yolo import read_yolo
from scripts.data.prepare import prepare

SIZE = (40, 24)
TYPES = ["cyst", "metastasis"]
BOXES = {"p1_1": [([0, 0, 40, 24], 1), ([3, 5, 4, 6], 0)], "p1_2": [([10, 7, 23, 20], 1)], "p2_1": []}


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in BOXES:
        Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(folder / f"{name}.png")


def write_yolo(root: Path) -> None:
    write_images(root / "images")
    (root / "labels").mkdir()
    (root / "classes.txt").write_text("\n".join(TYPES))
    for name, boxes in BOXES.items():
        lines = []
        for (x0, y0, x1, y1), kind in boxes:
            numbers = ((x0 + x1) / 2 / SIZE[0], (y0 + y1) / 2 / SIZE[1], (x1 - x0) / SIZE[0], (y1 - y0) / SIZE[1])
            lines.append(" ".join([str(kind), *(f"{number:.6f}" for number in numbers)]))
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines))


def write_voc(root: Path) -> None:
    write_images(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for name, boxes in BOXES.items():
        objects = [
            f"<object><name>{TYPES[kind]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for (x0, y0, x1, y1), kind in boxes
        ]
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>")


def write_coco(root: Path) -> None:
    write_images(root / "images")
    numbers = {name: n for n, name in enumerate(BOXES, start=7)}
    annotations = [
        {"id": 1, "image_id": numbers[name], "category_id": [3, 8][kind], "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for name, boxes in BOXES.items()
        for (x0, y0, x1, y1), kind in boxes
    ]
    images = [{"id": n, "file_name": f"{name}.png", "width": 40, "height": 24} for name, n in numbers.items()]
    categories = [{"id": 8, "name": "metastasis"}, {"id": 3, "name": "cyst"}]
    (root / "boxes.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )


FORMATS = [(write_yolo, read_yolo), (write_voc, read_voc), (write_coco, read_coco)]


@pytest.mark.parametrize(("write", "read"), FORMATS)
def test_boxes_come_back_as_they_were_written(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[..., Dataset]
) -> None:
    write(tmp_path)
    dataset = read(tmp_path)
    items = dataset.splits["training"]
    found = {Path(item["image"]).stem: list(zip(item["boxes"], item["box_classes"], strict=True)) for item in items}
    assert found == BOXES
    assert (dataset.labels, dataset.modality) == (["background", *TYPES], ["image"])
    assert all(item["label"] is None for item in items)


@pytest.mark.parametrize(("write", "layout"), [(write_yolo, "yolo"), (write_voc, "voc"), (write_coco, "coco")])
def test_prepare_writes_a_data_set(tmp_path: Path, write: Callable[[Path], None], layout: str) -> None:
    write(tmp_path)
    prepare(layout, str(tmp_path), patient_pattern="^(p[0-9])_", modality="T1c")
    dataset = read_dataset(tmp_path)
    assert [len(dataset.splits[split]) for split in ("training", "validation", "test")] == [2, 1, 0]
    assert [item["patient"] for item in dataset.items] == ["p1", "p1", "p2"]
    assert dataset.splits["training"][0]["boxes"] == [[0, 0, 40, 24], [3, 5, 4, 6]]
    assert dataset.modality == ["T1c"]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.4, 1.5, 3.6, 2.6), [0, 2, 4, 3]),
        ((2.1, 3.2, 2.3, 3.4), [2, 3, 3, 4]),  # thinner than a pixel
        ((39.7, 0, 40.0000004, 24.0000002), [39, 0, 40, 24]),
        ((39.9, 0, 40, 1), [39, 0, 40, 1]),
    ],
)
def test_boxes_get_whole_pixels(box: tuple[float, ...], expected: list[int]) -> None:
    assert to_pixels(box, SIZE, "file, line 1") == expected


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((3, 3, 3, 5), r"line 1: the box \(3, 3, 3, 5\) has no size"),
        ((3, 5, 4, 2), "has no size"),
        ((0, 0, float("nan"), 2), "has no size"),
        ((0, 0, 40.6, 2), r"\(0, 0, 40\.6, 2\) \(x0, y0, x1, y1\) lies outside the image of 40x24"),
        ((-0.6, 0, 4, 2), "lies outside"),
    ],
)
def test_boxes_without_size_or_outside_are_refused(box: tuple[float, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        to_pixels(box, SIZE, "file, line 1")


def test_a_set_without_any_box_or_with_equal_names_is_refused(tmp_path: Path) -> None:
    empty = make_item(tmp_path / "a.png", [])
    with pytest.raises(DatasetError, match="none of the 1 images has a box"):
        make_boxed_dataset(tmp_path, {"training": [empty]}, ["x"], modality="T1")
    boxed = make_item(tmp_path / "a.png", [([0, 0, 1, 1], 0)])
    with pytest.raises(DatasetError, match="expected different names"):
        make_boxed_dataset(tmp_path, {"training": [boxed]}, ["x", "x"], modality="T1")


def test_types_follow_the_background() -> None:
    assert parse_types("background,cyst,metastasis") == TYPES
    for labels in ("background", "cyst,metastasis"):
        with pytest.raises(DatasetError, match=f"--labels is '{labels}', expected the background"):
            parse_types(labels)
