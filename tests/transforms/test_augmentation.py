"""Augmentation of batches against MONAI's transforms of single slices, and closed forms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, Affine, GaussianSmooth, RandSimulateLowResolution

from scripts.transforms.augmentation import (
    Augmentation,
    RandAffine,
    RandBlur,
    RandChange,
    RandFlip,
    RandGain,
    RandGamma,
    RandLowResolution,
    RandNoise,
)
from scripts.transforms.elastic import RandElastic

SIZE = 32


def grain(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def generators(count: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng(first + n) for n in range(count)]


class Drawn(np.random.Generator):
    """Draws these numbers wherever a range is given, and a change wherever it is a matter of chance."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = list(numbers)

    def random(self, size=None):  # type: ignore[no-untyped-def]
        return 0.0 if size is None else np.zeros(size)

    def uniform(self, low, high, size=None):  # type: ignore[no-untyped-def]
        drawn, self.numbers = self.numbers[: np.size(low)], self.numbers[np.size(low) :]
        return np.array(drawn) if np.ndim(low) else drawn[0]


def change(step: RandChange, image: torch.Tensor, *numbers: float) -> torch.Tensor:
    """One image (C, S, S), changed with these numbers."""
    return step(image[None].clone(), [Drawn(*numbers)])[0]


@pytest.mark.parametrize(
    ("angle", "shear", "shift", "scale"),
    [
        (0.3, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0)),
        (0.0, (0.1, -0.2), (0.0, 0.0), (1.0, 1.0)),
        (0.0, (0.0, 0.0), (0.125, -0.0625), (1.0, 1.0)),
        (-0.2, (0.05, 0.1), (0.05, 0.1), (0.9, 1.15)),
    ],
)
def test_affine_maps_are_those_of_monai(
    angle: float, shear: Sequence[float], shift: Sequence[float], scale: Sequence[float]
) -> None:
    image = grain(2, SIZE, SIZE)
    label = (image[:1] > 0).long() * 3
    moves = [RandAffine()]
    moved, moved_label = Augmentation(moves=moves)(image[None], label[None], [Drawn(angle, *shear, *shift, *scale)])
    options = {
        "rotate_params": angle,
        "shear_params": shear,
        "translate_params": [share * SIZE for share in shift],
        "scale_params": scale,
        "padding_mode": "border",
    }
    expected = Affine(**options, image_only=True)(image)
    torch.testing.assert_close(moved[0], torch.as_tensor(expected).as_subclass(torch.Tensor), atol=1e-4, rtol=0)
    nearest = torch.as_tensor(Affine(**options, mode="nearest", image_only=True)(label.float())).long()
    assert (moved_label[0] != nearest).float().mean() < 0.002  # ties between two pixels
    assert moved_label.dtype == torch.int64


def test_moves_of_an_image_are_one_after_the_other() -> None:
    """A turn by 90 degrees and then a shift by 8 pixels, which in the other order would go along another axis."""
    image = grain(1, 1, SIZE, SIZE)
    turn, shift = RandAffine(rotation=1.0), RandAffine(shift=1.0)
    numbers = [(0.0, 0.0, 0.0, 0.25, 0.0, 1.0, 1.0), (np.pi / 2, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)]  # the last move first
    moved, _ = Augmentation(moves=[turn, shift])(image, image, [Drawn(*numbers[0], *numbers[1])])
    turned = torch.rot90(image, 1, dims=(2, 3))
    if not torch.allclose(moved[0, 0, :-8], turned[0, 0, 8:], atol=1e-4):
        turned = torch.rot90(image, -1, dims=(2, 3))
    torch.testing.assert_close(moved[0, 0, :-8], turned[0, 0, 8:], atol=1e-4, rtol=0)


def test_mirror_images_come_as_often_as_asked() -> None:
    image = grain(1, 1, 4, 4).expand(400, 1, 4, 4)
    moved, labels = Augmentation(moves=[RandFlip([0.5, 0.0])])(image, image, generators(400))
    mirrored = torch.isclose(moved, image.flip(2), atol=1e-5).flatten(1).all(1)
    assert torch.isclose(moved[~mirrored], image[~mirrored], atol=1e-5).all()
    assert torch.equal(labels[mirrored], image[mirrored].flip(2))
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize("sigma", [(0.5, 0.5), (0.6, 1.0), (2.0, 1.3)])
def test_blur_is_that_of_monai_with_black_around(sigma: tuple[float, float]) -> None:
    image = grain(2, SIZE, SIZE)
    blurred = change(RandBlur(probability=1, sigma=(0.5, 2.0)), image, *sigma)
    torch.testing.assert_close(blurred, GaussianSmooth(sigma)((image + 1) / 2) * 2 - 1, atol=1e-5, rtol=0)


def test_gamma_is_that_of_monai() -> None:
    image = grain(2, SIZE, SIZE) * 0.8
    bent = change(RandGamma(probability=1, gamma=(0.7, 1.5)), image, 1.4)
    torch.testing.assert_close(bent, AdjustContrast(1.4)(image), atol=1e-5, rtol=0)


def test_low_resolution_is_that_of_monai() -> None:
    image = grain(2, SIZE, SIZE)
    step = RandSimulateLowResolution(
        prob=1, zoom_range=(0.8, 0.8), downsample_mode="bilinear", upsample_mode="bilinear"
    )
    coarse = change(RandLowResolution(probability=1, zoom=(0.5, 1.0)), image, 0.8)
    torch.testing.assert_close(coarse, torch.as_tensor(step(image)), atol=1e-5, rtol=0)


def test_gain_stretches_the_distance_from_black_and_clips() -> None:
    image = torch.tensor([-1.0, -0.5, 0.0, 0.9]).reshape(1, 2, 2)
    raised = change(RandGain(probability=1, most=0.5), image, 1.2)
    torch.testing.assert_close(raised.flatten(), torch.tensor([-1.0, -0.4, 0.2, 1.0]))


def test_noise_has_the_drawn_spread_in_all_channels() -> None:
    noise = change(RandNoise(probability=1, deviation=0.05), torch.zeros(2, 128, 128), 0.04)
    torch.testing.assert_close(noise.std(dim=(1, 2)), torch.full((2,), 0.04), rtol=0.03, atol=0)
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1]) < 0.03


def everything(share: float = 1.0) -> Augmentation:
    return Augmentation(
        moves=[RandFlip([0.5, 0.5]), RandElastic(), RandAffine(probability=0.7, rotation=0.3, scale=(0.9, 1.1))],
        changes=[
            RandNoise(probability=0.5, deviation=0.1),
            RandBlur(probability=0.5, sigma=(0.5, 1.0)),
            RandLowResolution(probability=0.5, zoom=(0.7, 1.0)),
            RandGamma(probability=0.5, gamma=(0.7, 1.5)),
            RandGain(probability=0.5, most=0.5),
        ],
        share=share,
    )


def test_what_becomes_of_a_slice_does_not_depend_on_its_batch() -> None:
    image, label = grain(12, 2, SIZE, SIZE), torch.randint(0, 4, (12, 1, SIZE, SIZE))
    together = everything()(image, label, generators(12))
    alone = [everything()(image[n, None], label[n, None], generators(1, n)) for n in range(12)]
    for ours, theirs in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.cat(theirs), atol=1e-5, rtol=0)
    assert not torch.allclose(together[0], everything()(image, label, generators(12, 1))[0], atol=0.01)


def test_the_share_that_is_not_augmented_stays_as_it_is() -> None:
    image = grain(1, 1, 8, 8).expand(400, 1, 8, 8)
    made, labels = everything(share=0.25)(image, image, generators(400))
    same = (made == image).flatten(1).all(1)
    assert 70 < 400 - same.sum() < 130
    assert torch.equal(labels[same], image[same])
    assert torch.equal(image[0, 0], image[1, 0])  # nothing was changed in place


@pytest.mark.parametrize("wrong", [1.5, -0.1, "half"])
def test_no_share(wrong: object) -> None:
    with pytest.raises(ValueError, match=f"augment_share is {wrong!r}, expected a number from 0 to 1"):
        Augmentation(share=wrong)  # type: ignore[arg-type]
