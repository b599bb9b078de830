"""Masks painted in colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError, read_dataset
from scripts.data.doctor import doctor
from scripts.data.layouts.colour_masks import read_colour_masks
from scripts.data.prepare import prepare
from scripts.transforms.loading import read_label

TABLE = 'colour,type\n#ff0000,IPH\n"0, 255,0",IVH\n#0000FF,IPH\n'


def make_source(root: Path, table: str = TABLE, patients: int = 5) -> Path:
    """Two images 32x32 a patient, with a red, a green and a blue pixel in each mask."""
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[0, :3] = np.eye(3) * 255
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(f"p{n}_{k}" for n in range(patients) for k in range(2)):
        noise = np.random.default_rng(seed).integers(0, 255, (32, 32)).astype(np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    (root / "colours.csv").write_text(table)
    return root


def read(root: Path, **options: str):
    return read_colour_masks(root, colours=str(root / "colours.csv"), **options)


def test_the_table_gives_labels_in_its_order(tmp_path: Path) -> None:
    dataset = read(make_source(tmp_path), modality="CT")
    assert dataset.labels == ["background", "IPH", "IVH"]
    assert dataset.label_values == {0xFF0000: 1, 0x00FF00: 2, 0x0000FF: 1}
    assert (dataset.modality, dataset.intensity_range) == (["CT"], None)
    label = read_label(dataset.items[0]["label"], dataset.label_values)
    assert label[0, :4, 0].tolist() == [1, 2, 1, 0]


def test_a_prepared_folder_is_ready_to_train(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = make_source(tmp_path / "source")
    prepare("colour_masks", str(source), output=str(tmp_path / "out"), colours=str(source / "colours.csv"))
    assert '"#00ff00": 2' in (tmp_path / "out" / "dataset.json").read_text()
    assert read_dataset(tmp_path / "out").label_values == {0xFF0000: 1, 0x00FF00: 2, 0x0000FF: 1}
    doctor(str(tmp_path / "out"), image_size=32)
    assert "Ready to train" in caplog.text


def test_doctor_names_a_colour_that_is_not_in_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_source(tmp_path, "colour,type\n#ff0000,IPH\n#00ff00,IVH\n")
    prepare("colour_masks", str(tmp_path), colours=str(tmp_path / "colours.csv"))
    assert doctor(str(tmp_path), image_size=32).errors
    assert ".png holds the colour #0000ff, which is not in the colour table" in caplog.text


def test_the_table_may_paint_the_background(tmp_path: Path) -> None:
    dataset = read(make_source(tmp_path, "colour,type\n#ffffff,background\n#000000,lesion\n"))
    assert (dataset.labels, dataset.label_values) == (["background", "lesion"], {0xFFFFFF: 0, 0: 1})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("colour,type\nred,IPH\n", "row 2: colour 'red', type 'IPH'; expected #rrggbb"),
        ('colour,type\n"1,2,256",IPH\n', "row 2: colour '1,2,256'"),
        ("colour,type\n#ff0000,\n", "row 2: .* and a name"),
        ('colour,type\n#ff0000,IPH\n"255,0,0",IVH\n', "row 3: #ff0000 is listed twice"),
        ("colour,type\n#000000,background\n", "names no type but background"),
        ("color,type\n", "no column colour; it has color, type"),
    ],
)
def test_a_wrong_table_is_explained(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(make_source(tmp_path, table, patients=1))


def test_an_image_without_mask_is_named(tmp_path: Path) -> None:
    (make_source(tmp_path) / "masks" / "p1_0.png").unlink()
    with pytest.raises(DatasetError, match=r"1 names are only in images or only in masks, first .*p1_0\.png"):
        read(tmp_path)


def test_masks_of_numbers_are_refused(tmp_path: Path) -> None:
    make_source(tmp_path)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "masks" / "p1_0.png")
    with pytest.raises(DatasetError, match=r"p1_0\.png holds numbers \(mode L\).*--label_values"):
        read(tmp_path)
    (tmp_path / "masks" / "p1_0.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"p1_0\.png is no picture that can be read"):
        read(tmp_path)


def test_the_table_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="layout colour_masks needs the option --colours"):
        prepare("colour_masks", str(make_source(tmp_path)))
