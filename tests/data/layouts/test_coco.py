"""COCO: splits by file and mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.data.layouts.coco import read_coco


def write(root: Path, file: str = "boxes.json", image: str = "a.png", **changes: Any) -> Path:
    """One image with one box; `changes` are of the annotation, the image (`width`) or the categories."""
    target = root / file
    target.parent.mkdir(parents=True, exist_ok=True)
    (root / image).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 10), np.uint8)).save(root / image)
    size = {"width": changes.pop("width", 10), "height": 20}
    categories = changes.pop("categories", [{"id": 1, "name": "tumour"}])
    annotation = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], **changes}
    images = [{"id": 1, "file_name": Path(image).name, **size}]
    target.write_text(json.dumps({"images": images, "annotations": [annotation], "categories": categories}))
    return root


@pytest.mark.parametrize(
    ("files", "images"),
    [
        ("annotations/instances_{0}2017.json", "{0}2017/{0}.png"),
        ("annotations/{0}.json", "images/{0}/{0}.png"),
        ("{0}/_annotations.coco.json", "{0}/{0}.png"),
    ],
)
def test_names_of_splits_are_kept(tmp_path: Path, files: str, images: str) -> None:
    for split in ("train", "val", "test"):
        write(tmp_path, files.format(split), images.format(split))
    splits = read_coco(tmp_path).splits
    found = [Path(splits[split][0]["image"]).stem for split in ("training", "validation", "test")]
    assert found == ["train", "val", "test"]
    assert splits["test"][0]["boxes"] == [[1, 2, 4, 6]]


def test_other_json_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "licence.json").write_text('{"name": "CC0"}')
    (tmp_path / "dataset.json").write_text('{"prepared": {}}')
    assert len(read_coco(tmp_path).items) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 2}, r"boxes\.json: annotation 5: category 2, expected one of \[1\]"),
        ({"image_id": 9}, "annotation 5: no image has the id 9"),
        ({"bbox": [8, 0, 3, 4]}, "annotation 5: the box .* lies outside the image of 10x20"),
        ({"bbox": [8, 0, 0, 4]}, "annotation 5: the box .* has no size"),
        ({"bbox": [8, 0, 3]}, r"'bbox' is \[8, 0, 3\], expected \[x, y, width, height\]"),
        ({"iscrowd": 1}, "iscrowd marks a region"),
        ({"width": 12}, r"a\.png is given as 12x20 pixels, but the file has 10x20"),
        ({"categories": [{"name": "tumour"}]}, r"is no COCO file: KeyError\('id'\)"),
    ],
)
def test_a_mistake_is_named_with_its_annotation(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_coco(write(tmp_path, **changes))


def test_files_must_agree_and_be_whole(tmp_path: Path) -> None:
    write(tmp_path, "train.json")
    write(tmp_path, "val.json", categories=[{"id": 1, "name": "cyst"}])
    with pytest.raises(DatasetError, match=r"val\.json has the categories .*cyst.*, the files before it .*tumour"):
        read_coco(tmp_path)
    (tmp_path / "val.json").write_text("{")
    with pytest.raises(DatasetError, match=r"val\.json, line 1"):
        read_coco(tmp_path)
    (tmp_path / "val.json").unlink()
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"train\.json: no image file a\.png"):
        read_coco(tmp_path)


def test_a_folder_without_such_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no JSON file with images, annotations, categories"):
        read_coco(tmp_path)


def rewrite(file: Path, **lists: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **lists}))


def test_ids_given_twice_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path) / "boxes.json"
    rewrite(file, images=[{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}])
    with pytest.raises(DatasetError, match=r"image id 1 is given twice, for a\.png and b\.png"):
        read_coco(tmp_path)
    rewrite(file, categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
    with pytest.raises(DatasetError, match="a category id is given twice"):
        read_coco(tmp_path)


def test_equal_names_in_two_splits_are_two_images(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path, f"annotations/{split}.json", f"{split}/1.png")
    splits = read_coco(tmp_path).splits
    found = [splits[split][0]["image"] for split in ("training", "validation")]
    assert found == [str(tmp_path / "train" / "1.png"), str(tmp_path / "val" / "1.png")]


def test_an_image_in_two_places_or_lists_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "annotations/boxes.json", "first/1.png")
    write(tmp_path, "annotations/boxes.json", "second/1.png")
    with pytest.raises(DatasetError, match="Give the folder in 'file_name'"):
        read_coco(tmp_path)
    (tmp_path / "second" / "1.png").unlink()
    (tmp_path / "annotations" / "val.json").write_text((tmp_path / "annotations" / "boxes.json").read_text())
    with pytest.raises(DatasetError, match=r"1\.png is listed twice, in training and validation"):
        read_coco(tmp_path)


def test_an_unused_background_is_left_out_and_hidden_files_are_not_read(tmp_path: Path) -> None:
    file = write(tmp_path) / "boxes.json"
    (tmp_path / "._boxes.json").write_bytes(b"\0\5")
    rewrite(file, categories=[{"id": 0, "name": "Background"}, {"id": 1, "name": "tumour"}])
    dataset = read_coco(tmp_path)
    assert (dataset.labels, dataset.items[0]["box_classes"]) == (["background", "tumour"], [0])


@pytest.mark.parametrize(
    "outline",
    [
        [[1, 2, 4, 2, 4, 6, 1, 6]],
        {"size": [20, 10], "counts": [22, 4, 16, 4, 16, 4, 134]},
    ],
    ids=["polygon", "runs"],
)
def test_outlines_become_label_maps_where_asked(tmp_path: Path, outline: Any, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, segmentation=outline)
    assert read_coco(tmp_path).items[0]["label"] is None
    assert "1 annotations have a segmentation: only boxes are read; --label_maps True" in caplog.text
    item = read_coco(tmp_path, label_maps=True, output=tmp_path / "out").items[0]
    expected = np.zeros((20, 10))
    expected[2:6, 1:4] = 1
    np.testing.assert_array_equal(np.asarray(Image.open(item["label"])), expected)


def test_runs_of_another_size_are_refused(tmp_path: Path) -> None:
    write(tmp_path, segmentation={"counts": [22, 4]})
    with pytest.raises(DatasetError, match=r"annotation 5: malformed segmentation .*26 pixels, the image has 200"):
        read_coco(tmp_path, label_maps=True, output=tmp_path / "out")
