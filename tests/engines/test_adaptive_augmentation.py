from __future__ import annotations

import pytest
import torch

from scripts.engines.adaptive_augmentation import AdaptiveAugmentation

VIEW = torch.rand(4, 2, 8, 8)


def test_without_target_nothing_is_drawn_or_told():
    off = AdaptiveAugmentation()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert off.adjust(torch.ones(4, 1)) == {}
    assert off.draw(VIEW, slice(None))(VIEW) is VIEW
    assert torch.equal(torch.get_rng_state(), before)


def test_a_discriminator_that_knows_all_images_drives_it_to_1_in_20_passes_and_to_the_cap():
    augmentation = AdaptiveAugmentation(0.6, training_images=40)
    told = augmentation.adjust(torch.ones(4, 1, 3, 3))
    assert told == {"discriminator_sign": 1.0, "augmentation_probability": pytest.approx(4 / (20 * 40))}
    for _ in range(200):
        augmentation.adjust(torch.ones(4, 1, 3, 3))
    assert augmentation.probability == 0.75


@pytest.mark.parametrize(("boundary", "probability"), [(0.0, 0.5), (2.5, 0.25), (-1.5, 0.75)])
def test_it_rests_at_the_target_and_follows_the_distance_from_it(boundary, probability):
    """Of five scores four are above 0 (r = .6), three above 2.5 (r = .2) and all above -1.5 (r = 1)."""
    augmentation = AdaptiveAugmentation(0.6, training_images=1)
    augmentation.probability = 0.5
    augmentation.adjust(torch.tensor([-1.0, 2, 3, 4, 5]), torch.tensor(boundary))
    assert augmentation.probability == pytest.approx(probability)


def test_its_state_is_its_probability():
    augmentation, other = AdaptiveAugmentation(0.6, 1), AdaptiveAugmentation(0.6, 1)
    augmentation.adjust(torch.ones(4))
    other.load_state_dict(augmentation.state_dict())
    torch.manual_seed(0)
    ours = augmentation.draw(VIEW, slice(None))(VIEW)
    torch.manual_seed(0)
    assert torch.equal(other.draw(VIEW, slice(None))(VIEW), ours)
    assert not torch.equal(ours, VIEW)


@pytest.mark.parametrize("target", [-0.1, 1.0])
def test_a_target_out_of_range_is_refused(target):
    with pytest.raises(ValueError, match=r"adaptive_augmentation is .*, expected a number from 0 \(none\) to below 1"):
        AdaptiveAugmentation(target)
