"""Pascal VOC: names and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.data.layouts.voc import read_voc

OBJECT = "<object><name>{0}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>{1}</xmax><ymax>5</ymax></bndbox></object>"


def write(root: Path, content: str, name: str = "a") -> Path:
    for folder in ("images", "annotations"):
        (root / folder).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((20, 10), np.uint8)).save(root / "images" / f"{name}.png")
    (root / "annotations" / f"{name}.xml").write_text(f"<annotation>{content}</annotation>")
    return root


def test_corners_count_from_one_and_names_are_sorted(tmp_path: Path) -> None:
    write(tmp_path, OBJECT.format("tumour", 4) + OBJECT.format("cyst", 1))
    dataset = read_voc(write(tmp_path, "", "b"))
    first, second = dataset.splits["training"]
    assert dataset.labels == ["background", "cyst", "tumour"]
    assert (first["boxes"], first["box_classes"]) == ([[0, 1, 4, 5], [0, 1, 1, 5]], [1, 0])
    assert (second["boxes"], second["box_classes"]) == ([], [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OBJECT.format("bleeding", 4), r"a\.xml, object 1: class 'bleeding', expected one of tumour, cyst"),
        (OBJECT.format("cyst", 11), r"object 1: the box \(0, 1, 11, 5\) .* lies outside the image of 10x20"),
        (OBJECT.format("cyst", 0), "object 1: the box .* has no size"),
        (OBJECT.format("cyst", "x"), "xmax is 'x', expected a number"),
        ("<object><name>cyst</name></object>", "object 1: no bndbox"),
        (OBJECT.format("", 4), "object 1: no name"),
        ("<size><width>20</width><height>10</height></size>", r"is for an image of 20x10 pixels, but a\.png has 10x20"),
        ("<object>", "is no XML file that can be read"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_voc(write(tmp_path, content), labels="background,tumour,cyst")


def test_an_image_without_file_and_the_reverse_are_named(tmp_path: Path) -> None:
    write(tmp_path, OBJECT.format("cyst", 4))
    write(tmp_path, "", "b")
    (tmp_path / "annotations" / "b.xml").unlink()
    with pytest.raises(DatasetError, match=r"2 images, 1 XML files, 1 names only in one folder, first .*b\.png"):
        read_voc(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"first .*a\.xml"):
        read_voc(tmp_path)


def test_corners_may_count_from_zero(tmp_path: Path) -> None:
    write(tmp_path, OBJECT.format("cyst", 4).replace("<xmin>1", "<xmin>0"))
    with pytest.raises(DatasetError, match=r"xmin or ymin is 0, VOC counts from 1\. Pass --first_pixel 0"):
        read_voc(tmp_path)
    assert read_voc(tmp_path, first_pixel=0).items[0]["boxes"] == [[0, 2, 4, 5]]
