from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scripts.pictures.grids import LABEL_COLOURS, image_pictures, label_picture, picture_titles, tile_maps, write_grid


def test_pictures_have_rows_along_y():
    image = np.stack([np.array([[-1.0, 0.0, 1.0], [1.0, 1.0, -2.0]]), np.zeros((2, 3))])  # (C, X, Y)
    first, second = image_pictures(image, ["T1", "T2"])
    np.testing.assert_array_equal(first, [[0, 255], [128, 255], [255, 0]])
    assert second.shape == (3, 2)


def test_rgb_is_one_picture_in_colour():
    image = np.full((3, 2, 4), -1.0)
    image[1] = 1
    (picture,) = image_pictures(image, ["Red", "green", "blue"])
    assert picture.shape == (4, 2, 3)
    assert (picture == [0, 255, 0]).all()
    assert picture_titles(["red", "green", "blue"], "real") == ["real"]
    assert picture_titles(["T1", "T2"], "real") == ["real T1", "real T2"]


def test_labels_have_their_colours_and_the_outline_is_grey():
    picture = label_picture(np.array([[0, 1, 2, 3]]), foreground_count=2)
    assert picture.shape == (4, 1, 3)
    assert picture[:, 0].tolist() == [[0, 0, 0], [*LABEL_COLOURS[0]], [*LABEL_COLOURS[1]], [70, 70, 70]]


def test_colours_of_labels_come_again_after_the_last():
    colours = label_picture(np.arange(1, 15)[None], foreground_count=14)[:, 0].tolist()  # rows = y
    assert colours == [list(LABEL_COLOURS[n % 6]) for n in range(14)]


@pytest.mark.parametrize("titles", [(), ("a", "b")])
def test_cells_lie_in_their_columns_and_rows(tmp_path, titles):
    red, green = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = green[..., 1] = 200
    grey = np.full((4, 4), 90, np.uint8)
    file = write_grid(
        [[red, green], [grey, red]],
        tmp_path / "new" / "grid.png",
        row_titles=["one", "two"],
        column_titles=titles,
        cell_size=20,
    )
    picture = np.asarray(Image.open(file))
    left, top = 8 * 3 + 12, 18 if titles else 0
    assert picture.shape == (top + 2 * 22, left + 2 * 22, 3)
    centres = [[picture[top + 10 + 22 * y, left + 10 + 22 * x].tolist() for x in range(2)] for y in range(2)]
    assert centres == [[[200, 0, 0], [90, 90, 90]], [[0, 200, 0], [200, 0, 0]]]
    assert [f.name for f in file.parent.iterdir()] == ["grid.png"]


def test_a_square_has_every_map_with_rows_along_y() -> None:
    maps = np.zeros((4, 2, 2), np.uint8)
    maps[3, 0, 1] = 200  # x = 0, y = 1
    tiled = tile_maps(maps, 250)
    scale = 250 // 6
    assert tiled.shape == (4 * scale + 1, 4 * scale + 1)
    assert (tiled[2 * scale] == 255).all()
    assert (tiled[:, 2 * scale] == 255).all()
    corner = tiled[2 * scale + 1 :, 2 * scale + 1 :]
    assert (corner[scale:, :scale] == 200).all()
    assert corner[:scale].max() == 0
