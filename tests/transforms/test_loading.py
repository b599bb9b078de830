from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.transforms.geometry import CanonicalOrientationd
from scripts.transforms.loading import LoadItemd
from scripts.transforms.reading import read_image, read_label


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
    np.testing.assert_array_equal(swapped.read({**item, "synthetic": {"system": "redgan"}}).label, plain)


def test_labels_a_hair_off_a_whole_number_are_rounded(tmp_path):
    file = write_volume(tmp_path / "label.nii.gz", np.array([[[0.0, 0.99999997, 2.0004]]], np.float32))
    assert read_label(file).flatten().tolist() == [0, 1, 2]


def test_the_label_of_a_plane_image_may_be_a_volume_of_one_slice(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    label = write_volume(tmp_path / "label.nii.gz", (values % 3)[..., None].astype(np.uint8))
    loaded = loader()({"image": write_volume(tmp_path / "image.nii.gz", values), "label": label})
    np.testing.assert_array_equal(loaded["label"], (values % 3)[None])


def test_boxes_stand_for_a_label_map_without_lesion(item):
    loaded = loader()({"image": item["image"], "label": None, "boxes": []})
    np.testing.assert_array_equal(loaded["label"], np.zeros((1, 2, 3, 4)))
    np.testing.assert_array_equal(loaded["label"].affine, loaded["image"].affine)


def test_neither_label_map_nor_boxes(item):
    with pytest.raises(DatasetError, match=r"image\.nii\.gz has neither a label map nor boxes\. Give one of them"):
        loader()({"image": item["image"], "label": None})


@pytest.mark.parametrize("key", ["image", "label"])
def test_missing_file(item, key, tmp_path):
    expected = rf"No {key} file .*absent\.nii\.gz\. Correct its path in dataset\.json or restore"
    with pytest.raises(DatasetError, match=expected):
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
    with pytest.raises(DatasetError, match=r"bad\.nii\.gz holds NaN or infinity in 1 pixels\. Replace them, or remove"):
        loader()({**item, "image": write_volume(tmp_path / "bad.nii.gz", image)})


def test_wrong_number_of_channels(item):
    with pytest.raises(
        DatasetError, match=r"image\.nii\.gz has 1 channels, expected 4, as many as 'modality' in dataset\.json"
    ):
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


def write_colours(file: Path, colours: list[tuple[int, ...]]) -> str:
    Image.fromarray(np.array([colours], np.uint8)).save(file)
    return str(file)


@pytest.mark.parametrize("alpha", [(), (0,)])
def test_colours_become_labels_and_black_is_background(tmp_path, alpha):
    colours = [(255, 0, 0), (0, 0, 0), (255, 254, 253), (0, 0, 1)]
    file = write_colours(tmp_path / "mask.png", [(*colour, *alpha) for colour in colours])
    label = read_label(file, {0xFF0000: 2, 0xFFFEFD: 1, 1: 3})
    assert label.shape == (1, 4, 1)
    assert label.flatten().tolist() == [2, 0, 1, 3]


@pytest.mark.parametrize(
    ("colours", "shown"),
    [
        ([(255, 0, 0), (1, 2, 3)], r"#010203, which is not"),
        ([(1, 2, 3), (0, 0, 9)], r"#000009 and 1 more that are not"),
    ],
)
def test_a_colour_that_is_not_in_the_table(item, colours, shown, tmp_path):
    file = write_colours(tmp_path / "mask.png", colours)
    with pytest.raises(DatasetError, match=rf"mask\.png holds the colour {shown} in the colour table\. Add it there"):
        loader(label_values={0xFF0000: 1})({**item, "label": file})


def test_a_colour_mask_stored_as_jpeg_is_refused(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[4:9, 4:9] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "mask.jpg")
    with pytest.raises(DatasetError, match=r"mask\.jpg is a label map stored with loss \(JPEG\).*--threshold_masks"):
        read_label(str(tmp_path / "mask.jpg"), {0xFF0000: 1})


def test_an_undeclared_type_in_a_picture(tmp_path):
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(np.full((2, 3), 3, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DatasetError, match=r"mask\.png holds the label 3, expected 0\.\.2\. Declare it"):
        loader()({"image": str(tmp_path / "image.png"), "label": str(tmp_path / "mask.png")})


def test_a_series_is_sorted_by_position_and_rescaled(tmp_path, write_series):
    stored = np.random.default_rng(0).integers(0, 2000, (4, 3, 5)).astype(np.int16)  # (Z, Y, X)
    write_series(tmp_path / "1.2.3", stored, order=[2, 0, 3, 1])
    image = CanonicalOrientationd(["image"])({"image": read_image(str(tmp_path / "1.2.3"))})["image"]
    np.testing.assert_array_equal(image[0], stored.transpose(2, 1, 0) * 2 - 1024)  # written in LPS directions
    np.testing.assert_allclose(np.abs(np.diag(image.affine)), [0.5, 0.5, 5, 1])


def test_a_series_written_from_the_other_side_gives_the_same_volume(tmp_path, write_series):
    stored = np.random.default_rng(0).integers(0, 2000, (4, 3, 5)).astype(np.int16)
    write_series(tmp_path / "turned", stored[:, ::-1, ::-1], tags={"00200037": ("DS", "-1\\0\\0\\0\\-1\\0")})
    image = CanonicalOrientationd(["image"])({"image": read_image(str(tmp_path / "turned"))})["image"]
    np.testing.assert_array_equal(image[0], stored.transpose(2, 1, 0) * 2 - 1024)


def test_each_slice_has_its_own_rescale(tmp_path, write_series):
    stored = np.arange(12, dtype=np.int16).reshape(2, 2, 3)
    other = write_series(tmp_path / "other", stored, tags={"00281053": ("DS", "0.5")})
    write_series(tmp_path / "ct", stored)
    shutil.copy(other[1], tmp_path / "ct" / "001.dcm")
    values = np.sort(np.asarray(read_image(str(tmp_path / "ct"))).ravel())
    np.testing.assert_allclose(values, np.sort(np.concatenate([stored[0] * 2 - 1024, stored[1] * 0.5 - 1024]).ravel()))


def test_two_series_are_two_channels(tmp_path, write_series):
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    folders = [tmp_path / "a", tmp_path / "b"]
    for n, folder in enumerate(folders):
        write_series(folder, stored + n, uid=f"1.{n}", tags={"00281052": ("DS", "0"), "00281053": ("DS", "1")})
    image = read_image([str(folder) for folder in folders])
    np.testing.assert_array_equal(image, np.stack([stored.T, stored.T + 1]))


@pytest.mark.parametrize(
    ("tag", "name"), [("00281053", r"RescaleSlope \(0028,1053\)"), ("00281052", r"RescaleIntercept \(0028,1052\)")]
)
def test_ct_without_a_rescale_tag(item, tag, name, tmp_path, write_series):
    files = write_series(tmp_path / "ct", np.zeros((2, 2, 2), np.int16), tags={tag: None})
    for path in (tmp_path / "ct", files[0]):
        with pytest.raises(DatasetError, match=rf"000\.dcm: modality CT, but no {name}, .*Export the series again"):
            loader()({**item, "image": str(path)})


def test_other_modalities_need_no_rescale_tags(tmp_path, write_series):
    stored = np.arange(12, dtype=np.int16).reshape(2, 2, 3)
    write_series(tmp_path / "mr", stored, tags={"00080060": ("CS", "MR"), "00281052": None, "00281053": None})
    np.testing.assert_array_equal(read_image(str(tmp_path / "mr"))[0], stored.T)


def test_a_folder_must_hold_one_series(tmp_path, write_series):
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="none is a folder without DICOM files"):
        read_image(str(tmp_path / "none"))
    write_series(tmp_path / "two", np.zeros((2, 2, 2), np.int16))
    write_series(tmp_path / "two", np.zeros((2, 2, 2), np.int16), uid="1.2.4", order=[5, 6])
    with pytest.raises(DatasetError, match=r"two holds 2 DICOM series.*a folder of its own"):
        read_image(str(tmp_path / "two"))


def last_pixels(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """The stored numbers (Y, X) of an uncompressed file whose pixels come last."""
    return np.frombuffer(file.read_bytes()[-2 * shape[0] * shape[1] :], "<i2").reshape(shape)


@pytest.mark.realdata
@pytest.mark.parametrize("series", ["dicom_ct", "dicom_mr/flair", "dicom_mr/t2"])
def test_the_shared_series(real_data, series):
    folder = real_data / "volumes" / series
    image = read_image(str(folder))
    placed = []
    for file in folder.glob("*.dcm"):  # slices by position along the normal, as the headers of the single files say
        single = read_image(str(file))
        normal = np.cross(single.affine[:3, 0], single.affine[:3, 1])
        assert image.affine[:3, 2] @ normal > 0
        placed.append((float(normal @ np.asarray(single.affine[:3, 3])), file))
    stored = np.stack([last_pixels(file, image.shape[1:3][::-1]) for _, file in sorted(placed)])
    np.testing.assert_array_equal(image[0], stored.transpose(2, 1, 0))  # both series have slope 1, intercept 0
