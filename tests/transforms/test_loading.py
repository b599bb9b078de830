from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.transforms.loading import LoadItemd, read_image, read_label


def write_volume(file: Path, array: np.ndarray) -> str:
    nib.save(nib.Nifti1Image(array, np.eye(4)), file)
    return str(file)


def loader(**options) -> LoadItemd:
    return LoadItemd(["image", "label"], **{"channel_count": 1, "foreground_count": 2, **options})


@pytest.fixture
def item(tmp_path: Path) -> dict[str, str]:
    """An image 0..23 and a label of 0, 1, 2, both (2, 3, 4)."""
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return {
        "image": write_volume(tmp_path / "image.nii.gz", values),
        "label": write_volume(tmp_path / "label.nii.gz", (values % 3).astype(np.uint8)),
    }


def test_values_and_order_of_axes_are_those_of_the_file(item):
    loaded = loader()(item)
    values = np.arange(24).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(loaded["image"], values)
    np.testing.assert_array_equal(loaded["label"], values % 3)


def test_one_file_per_channel_and_channel_last_files_give_the_same_image(tmp_path):
    channels = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    files = [write_volume(tmp_path / f"{n}.nii.gz", channel) for n, channel in enumerate(channels)]
    together = write_volume(tmp_path / "all.nii.gz", channels.transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(read_image(files), channels)
    np.testing.assert_array_equal(read_image(together), channels)


def test_png_is_read_with_x_first(tmp_path):
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # (Y, X, RGB)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(read_image(str(tmp_path / "picture.png")), picture.transpose(2, 1, 0))


def test_label_values_map_all_at_once(tmp_path):
    file = write_volume(tmp_path / "label.nii.gz", np.array([[[0, 1, 2, 4]]], np.uint8))
    assert read_label(file, {1: 2, 2: 1, 4: 3}).flatten().tolist() == [0, 2, 1, 3]


def test_label_values_do_not_touch_synthetic_labels(item):
    swapped = loader(label_values={1: 2, 2: 1})
    plain = np.arange(24).reshape(1, 2, 3, 4) % 3
    np.testing.assert_array_equal(swapped(item)["label"], np.array([0, 2, 1])[plain])
    np.testing.assert_array_equal(swapped({**item, "synthetic": {"system": "redgan"}})["label"], plain)


def test_labels_a_hair_off_a_whole_number_are_rounded(tmp_path):
    file = write_volume(tmp_path / "label.nii.gz", np.array([[[0.0, 0.99999997, 2.0004]]], np.float32))
    assert read_label(file).flatten().tolist() == [0, 1, 2]


def test_a_missing_label_is_skipped_where_allowed(item):
    loaded = loader(allow_missing_keys=True)({"image": item["image"]})
    assert set(loaded) == {"image"}


@pytest.mark.parametrize("key", ["image", "label"])
def test_missing_file(item, key, tmp_path):
    with pytest.raises(DatasetError, match=r"absent\.nii\.gz\. Correct its path in dataset\.json or restore"):
        loader()({**item, key: str(tmp_path / "absent.nii.gz")})


def test_one_missing_channel_is_named(item, tmp_path):
    with pytest.raises(DatasetError, match=r"No image file .*t2\.nii\.gz"):
        loader(channel_count=2)({**item, "image": [item["image"], str(tmp_path / "t2.nii.gz")]})


@pytest.mark.parametrize(("name", "size"), [("image.nii.gz", 60), ("image.nii.gz", 0), ("picture.png", 60)])
def test_truncated_file(item, name, size, tmp_path):
    file = tmp_path / name
    if name.endswith("png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DatasetError, match=rf"Cannot read .*{name}: .*Replace the file or remove its item") as caught:
        loader()({**item, "image": str(file)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(item, value, tmp_path):
    image = np.zeros((2, 3, 4), np.float32)
    image[1, 1, 1] = value
    with pytest.raises(DatasetError, match=r"bad\.nii\.gz holds NaN or infinity\. Replace those pixels, or remove"):
        loader()({**item, "image": write_volume(tmp_path / "bad.nii.gz", image)})


def test_wrong_number_of_channels(item):
    with pytest.raises(DatasetError, match=r"image\.nii\.gz has 1 channels, expected 4\. Pass --image_channels 1"):
        loader(channel_count=4)(item)


@pytest.mark.parametrize(("value", "shown"), [(7, "7"), (-1, "-1")])
def test_label_value_outside_the_labels(item, value, shown, tmp_path):
    label = np.full((2, 3, 4), value, np.int16)
    with pytest.raises(DatasetError, match=rf"odd\.nii\.gz holds the label {shown}, expected 0\.\.2\. Declare it"):
        loader()({**item, "label": write_volume(tmp_path / "odd.nii.gz", label)})


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_values_that_are_no_label_numbers(item, value, tmp_path):
    label = np.full((2, 3, 4), value, np.float32)
    with pytest.raises(DatasetError, match=r"half\.nii\.gz: holds values that are no label numbers\. Store whole"):
        loader()({**item, "label": write_volume(tmp_path / "half.nii.gz", label)})


def test_label_with_several_channels(item, tmp_path):
    label = np.zeros((2, 3, 4, 2), np.uint8)
    with pytest.raises(DatasetError, match=r"two\.nii\.gz: a label map has one channel, this file has 2"):
        loader()({**item, "label": write_volume(tmp_path / "two.nii.gz", label)})


def test_image_and_label_of_different_shape(item, tmp_path):
    label = write_volume(tmp_path / "small.nii.gz", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"small\.nii\.gz is 2 x 3 x 3 but its image .* is 2 x 3 x 4\. Resample"):
        loader()({**item, "label": label})
