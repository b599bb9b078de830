from __future__ import annotations

import csv

import numpy as np
from monai.transforms import Compose
from PIL import Image

from scripts.data.layouts.table import read_table
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
