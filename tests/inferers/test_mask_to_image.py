from __future__ import annotations

import torch

from scripts.inferers.mask_to_image import MaskToImageInferer, prepare_mask_batch


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
