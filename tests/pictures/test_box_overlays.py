from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.pictures.box_overlays import LEAST_SIDE, ROW, outline_lesion, write_overlay
from scripts.pictures.grids import LABEL_COLOURS

NOTHING = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
GREY = np.full((64, 64), 90, np.uint8)


def draw(file: Path, picture: np.ndarray = GREY, **options: Any) -> np.ndarray:
    given = {"found": NOTHING, "true": None, "class_names": ["a"], "least_score": 0.3, "title": "image", **options}
    return np.asarray(Image.open(write_overlay(picture, file, **given))).astype(int)


def test_found_boxes_lie_on_their_pixels_in_the_colour_of_their_class(tmp_path: Path) -> None:
    found = (np.array([[10.0, 20, 30, 50]]), np.array([0.8]), np.array([1]))
    drawn = draw(tmp_path / "new" / "a.png", found=found, class_names=["a", "b"])
    assert drawn.shape == (384 + 3 * ROW, 384, 3)  # enlarged by 6
    coloured = (drawn[:384] == LABEL_COLOURS[1]).all(axis=2)
    coloured[:120] = False  # the text above the box
    rows, columns = coloured.nonzero()
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (60, 120, 180, 300)
    assert (drawn[140:280, 80:160] == 90).all()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.png"]


def test_colours_come_again_after_the_last(tmp_path: Path) -> None:
    names = [f"class {n}" for n in range(14)]
    for number, colour in ((7, 1), (8, 2), (13, 1)):
        found = (np.array([[10.0, 20, 30, 50]]), np.array([0.8]), np.array([number]))
        drawn = draw(tmp_path / f"{number}.png", found=found, true=found[::2], class_names=names)
        assert (drawn[140:280, 60] == LABEL_COLOURS[colour]).all(axis=1).any(), number


def test_true_boxes_are_dashed_and_white(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "a.png", true=(np.array([[10.0, 20, 30, 50]]), np.array([0])))
    side = (drawn[120:300, 59:62] == 255).all(axis=2).any(axis=1)  # along x0
    assert 0.3 < side.mean() < 0.9
    assert np.abs(np.diff(side.astype(int))).sum() > 10


@pytest.mark.parametrize(
    ("shape", "size"),
    [((64, 32), (384, 384)), ((256, 256), (512, 512)), ((400, 500), (400, 500)), ((50, 2048), (25, 1024))],
)
def test_pictures_are_large_enough_and_not_huge(tmp_path: Path, shape: tuple[int, int], size: tuple[int, int]) -> None:
    drawn = draw(tmp_path / "a.png", np.zeros(shape, np.uint8))
    assert drawn.shape == (size[0] + 3 * ROW, size[1], 3)
    assert max(drawn.shape[:2]) >= LEAST_SIDE


def test_the_caption_tells_no_boxes_from_unknown_ones(tmp_path: Path) -> None:
    none = draw(tmp_path / "a.png", true=(np.zeros((0, 4)), np.zeros(0, np.int64)))
    unknown = draw(tmp_path / "b.png", true=None)
    assert (none[:384] == 90).all()
    assert (unknown[:384] == 90).all()
    assert (none[-ROW:] != unknown[-ROW:]).any()


def test_texts_stay_in_the_picture(tmp_path: Path) -> None:
    found = (np.array([[60.0, 0, 64, 4]]), np.array([0.5]), np.array([0]))
    drawn = draw(tmp_path / "a.png", found=found, title="long " * 50)
    assert drawn.shape[1] == 384
    written = (drawn[:17, :358] == LABEL_COLOURS[0]).all(axis=2)  # left of the box, since there is no room above it
    assert written.any()


def test_a_lesion_has_its_contour_and_its_box_dashes() -> None:
    lesion = np.zeros((64, 64), dtype=bool)
    lesion[30:40, 12:20] = True  # rows, columns
    marked = outline_lesion(GREY, np.array([[10.0, 20, 30, 50]]), lesion, side=256).astype(int)
    assert marked.shape == (256, 256, 3)
    rows, columns = (marked == LABEL_COLOURS[0]).all(axis=2).nonzero()
    assert (columns.min(), columns.max() + 1) == pytest.approx((48, 80), abs=1)
    assert (rows.min(), rows.max() + 1) == pytest.approx((120, 160), abs=1)
    assert (marked[125:155, 53:75] == 90).all()
    side = (marked[80:200, 40] == 255).all(axis=1)  # along x0
    assert 0.3 < side.mean() < 0.9


def test_without_lesion_and_boxes_a_picture_is_only_enlarged() -> None:
    marked = outline_lesion(GREY, np.zeros((0, 4)), np.zeros((64, 64), dtype=bool), side=160)
    assert marked.shape == (160, 160, 3)
    assert (marked == 90).all()
