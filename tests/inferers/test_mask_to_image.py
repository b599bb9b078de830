from __future__ import annotations

import pytest
import torch

from scripts.inferers.mask_to_image import MaskToImageInferer, NoisyMaskToImageInferer, prepare_mask_batch


def network(mask: torch.Tensor, class_index: torch.Tensor | None) -> torch.Tensor:
    """10 x the lesion, plus a tenth of the class; -10 without class."""
    shift = -10.0 if class_index is None else class_index[:, None, None, None] / 10
    return 10 * mask[:, 1:2] + shift


def test_masks_are_one_hot_and_images_stay_in_range():
    label = torch.tensor([[0, 1], [2, 0]]).expand(2, 1, 2, 2)
    images = MaskToImageInferer(3)(label, network, class_index=torch.tensor([2, 5]))
    expected = torch.tensor([[0.2, 1.0], [0.2, 0.2]]), torch.tensor([[0.5, 1.0], [0.5, 0.5]])
    torch.testing.assert_close(images, torch.stack(expected)[:, None])


def test_without_class_the_network_gets_none():
    label = torch.zeros(1, 1, 2, 2)
    images = MaskToImageInferer(2, use_class=False)(label, network, class_index=torch.tensor([1]))
    assert images.unique().tolist() == [-1]


def test_the_label_map_is_the_evaluators_input():
    batch = {"image": torch.ones(1, 2, 4, 4), "label": torch.zeros(1, 1, 4, 4), "class_index": torch.tensor([3])}
    inputs, targets, arguments, named = prepare_mask_batch(batch, torch.device("cpu"))
    assert inputs is batch["label"]
    assert targets is batch["image"]
    assert arguments == ()
    assert named["class_index"].tolist() == [3]


class Noisy:
    """The lesion plus the noise; the noise is the seed in tenths."""

    def draw_noise(self, seeds):
        return [torch.tensor(list(seeds))[:, None, None, None] / 10]

    def __call__(self, mask, noise):
        return mask[:, 1:2] + noise[0]


def test_noise_comes_from_each_images_seed():
    label = torch.tensor([[0, 1], [0, 0]]).expand(2, 1, 2, 2)
    images = NoisyMaskToImageInferer(2)(
        label, Noisy(), noise_seed=torch.tensor([7, 2]), class_index=torch.tensor([0, 0])
    )
    assert images[:, 0, 1, 1].tolist() == pytest.approx([0.7, 0.2])
    assert images[:, 0, 0, 1].tolist() == [1, 1]  # 1.7 and 1.2, cut to the range
    assert NoisyMaskToImageInferer(2)(label, Noisy())[:, 0, 1, 1].tolist() == pytest.approx([0.0, 0.1])
