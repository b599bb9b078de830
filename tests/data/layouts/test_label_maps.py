"""Outlines of lesions against pycocotools and shapes known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.data.layouts.label_maps import fill_polygon, fill_runs, write_label_map


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_compressed_runs_are_those_of_pycocotools(share: float) -> None:
    from pycocotools import mask as coco

    mask = np.random.default_rng(0).random((40, 70)) < share  # (Y, X)
    counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    np.testing.assert_array_equal(fill_runs(counts, (70, 40)), mask.T)


def test_a_triangle_covers_the_middles_inside_it() -> None:
    filled = fill_polygon([0, 0, 3.8, 0, 0, 3.8], (5, 5))
    assert filled.T.astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_names_of_label_maps_keep_their_folders_apart(tmp_path) -> None:
    files = [write_label_map(tmp_path, name, np.ones((2, 3), np.uint8)) for name in ("a/1", "b/1")]
    assert [file.name for file in files] == ["a__1.png", "b__1.png"]
