"""Pictures stand upright and hold grey or red, green and blue, whatever their file holds beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.transforms.pictures import is_lossy, read_picture, read_size

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # (Y, X)
COLOUR = np.stack([GREY, GREY // 2, GREY // 4], axis=-1)


def save(file: Path, array: np.ndarray, mode: str | None = None, **options: object) -> str:
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(file, **options)
    return str(file)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize(("tag", "turns"), [(3, 2), (6, 1), (8, 3)])  # stored as the upright picture turned so often
def test_pictures_are_turned_upright(tmp_path: Path, suffix: str, tag: int, turns: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = tag
    file = save(tmp_path / f"p.{suffix}", np.ascontiguousarray(np.rot90(upright, turns)), "RGB", exif=exif)
    assert read_size(file) == (32, 16)
    np.testing.assert_array_equal(read_picture(file)[0].T > 127, upright > 127)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_alpha_channel_is_left_out(tmp_path: Path, mode: str) -> None:
    np.testing.assert_array_equal(read_picture(save(tmp_path / "p.png", COLOUR, mode)), COLOUR.transpose(2, 1, 0))


def test_grey_with_alpha_has_one_channel(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_picture(save(tmp_path / "p.png", GREY, "LA")), GREY.T[None])


def test_cmyk_has_three_channels(tmp_path: Path) -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "p.tif", white, "CMYK")), np.full((3, 4, 4), 255))


def test_a_palette_is_looked_up_in_images_and_kept_in_label_maps(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 100, 0])
    picture.save(tmp_path / "p.png")
    assert read_picture(str(tmp_path / "p.png"))[:, :, 0].T.tolist() == [[9, 9, 9], [200, 0, 0], [0, 100, 0]]
    assert read_picture(str(tmp_path / "p.png"), is_label=True).ravel().tolist() == [0, 1, 2]


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(tmp_path / "p.png")
    assert read_picture(str(tmp_path / "p.png")).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32])
def test_grey_values_are_as_stored(tmp_path: Path, dtype: type) -> None:
    stored = GREY.astype(dtype) * 200
    np.testing.assert_array_equal(read_picture(save(tmp_path / "p.tif", stored)), stored.T[None])


def test_colours_of_16_bits_are_refused(tmp_path: Path) -> None:
    import itk

    itk.imwrite(itk.image_from_array(COLOUR.astype(np.uint16) * 200, is_vector=True), str(tmp_path / "p.png"))
    with pytest.raises(DatasetError, match=r"p\.png has colours of 16 bits, expected 8\. Save it with 8"):
        read_picture(str(tmp_path / "p.png"))


def test_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(GREY + n) for n in range(3)]
    first.save(tmp_path / "p.tif", save_all=True, append_images=others)
    np.testing.assert_array_equal(
        read_picture(str(tmp_path / "p.tif")), np.stack([GREY.T + n for n in range(3)], -1)[None]
    )


def test_pages_of_different_size_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "p.tif", save_all=True, append_images=[Image.fromarray(GREY[:2])])
    with pytest.raises(DatasetError, match=r"p\.tif has 2 pages of different size"):
        read_picture(str(tmp_path / "p.tif"))


def test_a_mask_in_the_transparency_is_refused(tmp_path: Path) -> None:
    drawn = np.zeros((3, 4, 4), np.uint8)
    drawn[1, 1, 3] = 255
    with pytest.raises(DatasetError, match=r"p\.png: the mask is drawn in the transparency"):
        read_picture(save(tmp_path / "p.png", drawn), is_label=True)


def test_what_is_lossy_is_told_by_the_content(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "renamed.png", format="JPEG")
    assert is_lossy(str(tmp_path / "renamed.png"))
    assert is_lossy(save(tmp_path / "p.tif", COLOUR, compression="jpeg"))
    assert not is_lossy(save(tmp_path / "p.png", GREY))
