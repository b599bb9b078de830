from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.planes import padding_before, shared_plane
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.reading import read_image


def write_volume(folder, name, shape, affine):
    file = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), file)
    return {"image": str(file)}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_the_plane_is_that_of_the_canonical_axes(tmp_path, order):
    affine = np.eye(4)[[*order, 3]]
    item = write_volume(tmp_path, "volume", (10, 12, 14), affine)
    turned = CanonicalOrientationd("image")({"image": read_image(item["image"])})["image"]
    assert shared_plane([item], 16) == tuple(turned.shape[1:3])


def test_a_plane_picture_is_read_as_x_and_y(tmp_path):
    file = tmp_path / "picture.png"
    Image.new("L", (20, 30)).save(file)
    assert shared_plane([{"image": str(file)}], 32) == (20, 30)
    assert tuple(read_image(str(file)).shape[1:]) == (20, 30)


def test_nothing_to_undo(tmp_path):
    small, wide = (write_volume(tmp_path, f"v{n}", (n, 12, 3), np.eye(4)) for n in (10, 16))
    assert shared_plane([small], 8) is None  # shrunk
    assert shared_plane([small, wide], 16) is None  # of several sizes
    assert shared_plane([write_volume(tmp_path, "square", (16, 16, 3), np.eye(4))], 16) is None
    assert shared_plane([{"image": str(tmp_path)}], 16) is None  # a folder of DICOM files


def test_padding_is_undone(tmp_path):
    image = np.arange(10 * 13, dtype=np.float32).reshape(10, 13)
    file = tmp_path / "v.nii.gz"
    nib.save(nib.Nifti1Image(image[..., None], np.diag([-1.0, -1.0, 1.0, 1.0])), file)
    padded = FitInPlaned("image", 16)({"image": read_image(str(file))})["image"].numpy()[0, ..., 0]
    width, height = shared_plane([{"image": str(file)}], 16)
    x, y = padding_before(width, 16), padding_before(height, 16)
    assert np.array_equal(padded[x : x + width, y : y + height], image)
