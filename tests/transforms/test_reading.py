"""Where files lie and what their numbers mean: labels are laid on their image's grid, or refused by name."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.transforms.loading import LoadItemd
from scripts.transforms.reading import CHANGED, read_image, read_label

VALUES = np.arange(24).reshape(2, 3, 4)
LABEL = (VALUES % 2).astype(np.uint8)
OBLIQUE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, 0.1, -0.3) @ np.diag([1, -2, 3]), [10, -20, 30])


def volume(file: Path, array: np.ndarray, affine: np.ndarray | None) -> str:
    nib.save(nib.Nifti1Image(array, affine), file)
    return str(file)


def load(image: str, label: str, **options: bool) -> dict:
    loader = LoadItemd(["image", "label"], channel_count=1, foreground_count=1, **options)
    return loader({"image": image, "label": label})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_label_with_its_axes_in_another_order_is_laid_on_its_image(tmp_path: Path, order, flipped) -> None:
    image = volume(tmp_path / "i.nii.gz", VALUES.astype(np.int16), OBLIQUE)
    stored, affine = LABEL.transpose(order), OBLIQUE[:, [*order, 3]]
    if flipped:
        stored, affine = stored[::-1], affine @ np.diag([-1, 1, 1, 1.0]) + np.eye(4) * 0
        affine[:, 3] = OBLIQUE[:, 3] + OBLIQUE[:, order[0]] * (stored.shape[0] - 1)
    loaded = load(image, volume(tmp_path / "m.nii.gz", stored, affine))
    np.testing.assert_array_equal(loaded["label"][0], LABEL)
    np.testing.assert_array_equal(loaded["label"].affine, loaded["image"].affine)


@pytest.mark.parametrize(("shift", "fits"), [(0.05, True), (0.5, False)])  # mm and voxels
def test_places_may_differ_by_rounding_only(tmp_path: Path, shift: float, fits: bool) -> None:
    moved = np.eye(4)
    moved[1, 3] = shift
    files = (
        volume(tmp_path / "i.nii.gz", VALUES.astype(np.int16), np.eye(4)),
        volume(tmp_path / "m.nii.gz", LABEL, moved),
    )
    if fits:
        load(*files)
    else:
        with pytest.raises(DatasetError, match=r"m\.nii\.gz lies 0\.5 voxels away .*--ignore_geometry"):
            load(*files)
    np.testing.assert_array_equal(load(*files, ignore_geometry=True)["label"][0], LABEL)


def test_a_volume_without_coordinate_system_is_taken_as_it_is(tmp_path: Path) -> None:
    image = volume(tmp_path / "i.nii.gz", VALUES.astype(np.int16), np.diag([2.0, 1, 1, 1]))
    np.testing.assert_array_equal(load(image, volume(tmp_path / "m.nii.gz", LABEL, None))["label"][0], LABEL)


def test_a_picture_is_the_mask_of_a_single_dicom_slice(tmp_path: Path, write_series) -> None:
    file = write_series(tmp_path / "s", np.zeros((1, 3, 2), np.int16))[0]
    Image.fromarray(LABEL[..., 0].T).save(tmp_path / "m.png")
    np.testing.assert_array_equal(load(str(file), str(tmp_path / "m.png"))["label"][0, ..., 0], LABEL[..., 0])


def test_channels_in_other_places_are_refused(tmp_path: Path) -> None:
    files = [volume(tmp_path / f"{n}.nii.gz", VALUES.astype(np.int16), np.diag([1.0 + n, 1, 1, 1])) for n in range(2)]
    with pytest.raises(DatasetError, match=r"1\.nii\.gz lies .* voxels away from its image .*0\.nii\.gz"):
        read_image(files)
    assert read_image(files, ignore_geometry=True).shape == (2, 2, 3, 4)


def test_the_sform_counts_though_spacings_say_otherwise(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES.astype(np.int16), np.diag([2.0, 3, 4, 1]))
    image.header.set_zooms((1, 1, 1))
    nib.save(image, tmp_path / "i.nii.gz")
    expected = nib.load(tmp_path / "i.nii.gz").affine
    np.testing.assert_allclose(read_image(str(tmp_path / "i.nii.gz")).affine, expected)


@pytest.mark.parametrize(("mode", "alpha"), [("RGB", None), ("RGBA", 255)])
def test_a_grey_mask_stored_in_colour_is_grey(tmp_path: Path, mode: str, alpha: int | None) -> None:
    Image.fromarray(LABEL[..., 0] * 255).convert(mode).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_label(str(tmp_path / "m.png"), {255: 1})[0], LABEL[..., 0].T)


def test_a_lossy_mask_is_cleaned_with_a_count(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[5:21, 9:26] = 255
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=90)
    decoded = np.asarray(Image.open(tmp_path / "m.jpg"))
    label = read_label(str(tmp_path / "m.jpg"), {255: 1}, foreground_count=1, threshold_masks=True)
    np.testing.assert_array_equal(label[0], mask.T > 0)
    assert label.meta[CHANGED] == int((decoded != mask).sum()) > 0


def test_values_near_no_label_are_refused_even_so(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "m.jpg")
    with pytest.raises(DatasetError, match=r"m\.jpg has values from 255 to 255, labels have 0, 1\. Map values"):
        read_label(str(tmp_path / "m.jpg"), foreground_count=1, threshold_masks=True)
