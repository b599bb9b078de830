from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, Invertd, LoadImaged

from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned, find_plane, find_slice_axis


@pytest.mark.realdata
def test_all_48_orientations_become_one_and_are_restored(real_data):
    files = sorted((real_data / "volumes" / "orientations").glob("*.nii.gz"))
    assert len(files) == 48
    load, turn = LoadImaged("image", ensure_channel_first=True), CanonicalOrientationd("image")
    canonical = None
    for file in files:
        turned = turn(load({"image": str(file)}))
        assert nib.aff2axcodes(turned["image"].affine.numpy()) == ("L", "P", "S")
        canonical = turned["image"].numpy() if canonical is None else canonical
        np.testing.assert_array_equal(turned["image"].numpy(), canonical)
        restored, stored = turn.inverse(turned)["image"], nib.load(file)
        np.testing.assert_array_equal(restored[0].numpy(), np.asarray(stored.dataobj).astype(np.float32))
        np.testing.assert_allclose(restored.affine, stored.affine, atol=1e-4)


def test_a_known_orientation_by_hand():
    array = torch.arange(24.0).reshape(1, 2, 3, 4)
    ras = MetaTensor(array, affine=torch.eye(4))  # x to the right, y to the front
    turned = CanonicalOrientationd("image")({"image": ras})["image"]
    assert torch.equal(torch.Tensor(turned), array.flip(1, 2))


def test_plane_images_have_no_orientation():
    image = MetaTensor(torch.rand(3, 4, 5))
    turn = CanonicalOrientationd("image")
    assert torch.equal(turn.inverse(turn({"image": image}))["image"], image)


def test_smaller_slices_are_padded_around_the_middle_with_background():
    image = MetaTensor(torch.zeros(2, 2, 3, 1))
    label = MetaTensor(torch.ones(1, 2, 3, 1))
    fitted = FitInPlaned(["image", "label"], 5)({"image": image, "label": label})
    expected = torch.full((5, 5), -1.0)
    expected[1:3, 1:4] = 0
    assert torch.equal(torch.Tensor(fitted["image"]), expected[None, ..., None].expand(2, 5, 5, 1))
    assert torch.equal(torch.Tensor(fitted["label"])[0, ..., 0], (expected == 0).float())


def test_larger_slices_shrink_by_area_with_their_aspect_kept():
    image = torch.arange(32.0).reshape(1, 8, 4)
    fitted = FitInPlaned("image", 4)({"image": MetaTensor(image)})["image"]
    means = image.reshape(1, 4, 2, 2, 2).mean(dim=(2, 4))  # (1, 4, 2): blocks of 2 x 2 pixels
    torch.testing.assert_close(torch.Tensor(fitted)[:, :, 1:3], means)
    assert (fitted[:, :, [0, 3]] == -1).all()


def test_a_slice_of_the_right_size_is_unchanged():
    image = torch.rand(2, 6, 6, 3)
    assert torch.equal(torch.Tensor(FitInPlaned("image", 6)({"image": MetaTensor(image)})["image"]), image)


def test_shrunk_labels_hold_no_new_values():
    label = MetaTensor(torch.randint(0, 2, (1, 33, 21, 2)).float() * 3)
    fitted = FitInPlaned("label", 10)({"label": label})["label"]
    assert fitted.shape == (1, 10, 10, 2)
    assert set(fitted.unique().tolist()) <= {0.0, 3.0}


@pytest.mark.parametrize("shape", [(2, 3), (5, 5), (4, 5, 3), (1, 1, 1)])
def test_padding_is_inverted_exactly(shape):
    image = torch.rand(2, *shape)
    fit = FitInPlaned("image", 5)
    assert torch.equal(torch.Tensor(fit.inverse(fit({"image": MetaTensor(image)}))["image"]), image)


def test_shrinking_is_inverted_to_the_shape_and_exactly_where_blocks_are_constant():
    blocks = torch.randint(0, 4, (1, 4, 3, 2)).float()
    label = blocks.repeat_interleave(2, 1).repeat_interleave(2, 2)  # (1, 8, 6, 2)
    fit = FitInPlaned("label", 4)
    assert torch.equal(torch.Tensor(fit.inverse(fit({"label": MetaTensor(label)}))["label"]), label)


@pytest.mark.parametrize("image_size", [4, 12])
def test_invertd_restores_a_prediction_to_the_grid_of_the_file(image_size):
    """As inference does: the prediction is made on the fitted image and turned back by the image's operations."""
    blocks = torch.randint(0, 4, (1, 4, 3, 3)).float()
    volume = blocks.repeat_interleave(2, 1).repeat_interleave(2, 2)  # (1, 8, 6, 3)
    affine = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0]))
    forward = Compose([CanonicalOrientationd("image"), FitInPlaned("image", image_size)])
    fitted = forward({"image": MetaTensor(volume, affine=affine)})
    batch = list_data_collate([fitted])
    batch["pred"] = MetaTensor(torch.Tensor(batch["image"]).clamp_min(0).to(torch.uint8))
    invert = Invertd("pred", forward, "image", nearest_interp=True, to_tensor=True)
    restored = invert(decollate_batch(batch)[0])["pred"]
    assert torch.equal(torch.Tensor(restored), volume)
    torch.testing.assert_close(restored.affine.float(), affine)


def test_without_nearest_interpolation_an_image_is_interpolated_linearly():
    fit = FitInPlaned("image", 2)
    fitted = fit({"image": MetaTensor(torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1).expand(1, 4, 4).clone())})
    restored = fit.inverse(fitted)["image"]
    torch.testing.assert_close(torch.Tensor(restored)[0, :, 0], torch.tensor([0, 0.25, 0.75, 1]))


def test_wrong_size():
    with pytest.raises(ValueError, match="image_size is 0, expected a positive number"):
        FitInPlaned("image", 0)


@pytest.mark.parametrize(
    ("spacing", "shape", "asked", "axis"),
    [
        ((1, 1, 5), (9, 9, 9), None, "axial"),
        ((4, 0.8, 0.8), (9, 9, 9), None, "sagittal"),
        ((1, 3, 1), (9, 9, 9), None, "coronal"),
        ((1, 1, 1), (9, 9, 9), None, "axial"),
        ((0.7, 0.7, 0.6), (9, 9, 9), None, "axial"),  # two equally large: nobody acquired slices across either
        ((1.02, 1, 1), (9, 9, 9), None, "axial"),  # rounding
        ((4, 0.8, 0.8), (9, 9, 9), "coronal", "coronal"),
        ((1, 1, 1), (9, 1, 9), "sagittal", "coronal"),  # a volume of one slice is that slice
    ],
)
def test_slices_lie_across_the_largest_spacing(spacing, shape, asked, axis):
    assert find_slice_axis(np.diag([*spacing, 1.0]), shape, asked) == axis


@pytest.mark.parametrize(("slice_axis", "plane"), [("sagittal", (3, 4)), ("coronal", (2, 4)), ("axial", (2, 3))])
def test_another_slice_axis_by_hand_and_its_inverse_on_an_oblique_grid(slice_axis, plane):
    array = torch.arange(24.0).reshape(1, 2, 3, 4)
    affine = torch.tensor(nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, 0.1, -0.3), [1, 2, 3]))
    turn = CanonicalOrientationd("image", slice_axis)
    turned = turn({"image": MetaTensor(array, affine=affine)})
    assert tuple(turned["image"].shape[1:3]) == plane == find_plane(affine, (2, 3, 4), slice_axis)
    restored = turn.inverse(turned)["image"]
    assert torch.equal(torch.Tensor(restored), array)
    torch.testing.assert_close(restored.affine, affine)


def test_a_sagittal_slice_shows_the_front_on_the_left_and_the_head_up():
    array = torch.arange(24.0).reshape(1, 2, 3, 4)  # axes to the right, front and head
    turned = CanonicalOrientationd("image", "sagittal")({"image": MetaTensor(array, affine=torch.eye(4))})["image"]
    assert torch.equal(torch.Tensor(turned)[0, ..., 0], array[0, 1].flip(0, 1))  # the rightmost first, x to the back


def test_an_unknown_slice_axis():
    with pytest.raises(ValueError, match="slice_axis is 'z', expected one of sagittal, coronal, axial"):
        CanonicalOrientationd("image", "z")
