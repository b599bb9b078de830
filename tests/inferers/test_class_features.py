from __future__ import annotations

import torch

from scripts.inferers.class_features import ClassFeatureInferer
from scripts.networks.feature_gan import FeatureDiscriminator, FeatureGenerator


def make_networks() -> tuple[FeatureGenerator, FeatureDiscriminator]:
    torch.manual_seed(0)
    return FeatureGenerator((2, 5, 5), 3, latent_dim=4, width=6), FeatureDiscriminator((2, 5, 5), 3, width=6)


def test_a_feature_depends_on_its_own_seed_and_class_alone() -> None:
    generator, discriminator = make_networks()
    inferer = ClassFeatureInferer(discriminator, 4)
    seeds, classes = torch.tensor([7, 8, 7, 9]), torch.tensor([0, 1, 0, 2])
    features, probabilities = inferer(seeds, generator, class_index=classes)
    torch.testing.assert_close(features[0], features[2])
    assert not torch.allclose(features[0], features[1])
    for n in range(4):
        alone = inferer(seeds[n : n + 1], generator, class_index=classes[n : n + 1])
        torch.testing.assert_close(alone[0][0], features[n])
        torch.testing.assert_close(alone[1][0], probabilities[n])


def test_probabilities_are_those_of_the_class_head() -> None:
    generator, discriminator = make_networks()
    features, probabilities = ClassFeatureInferer(discriminator, 4)(
        torch.arange(5), generator, class_index=torch.arange(5) % 3
    )
    powers = discriminator.eval()(features)[1].exp()
    torch.testing.assert_close(probabilities, powers / powers.sum(1, keepdim=True))
    assert not features.requires_grad
    assert not generator.training
