from __future__ import annotations

import pytest
import torch

from scripts.networks.latents import sample_latents


@pytest.mark.parametrize(("distribution", "variance"), [("normal", 1), ("uniform", 1 / 3)])
def test_moments(distribution, variance):
    latents = sample_latents(400, 100, distribution, torch.Generator().manual_seed(0))
    assert latents.shape == (400, 100)
    assert latents.mean().item() == pytest.approx(0, abs=0.02)
    assert latents.var().item() == pytest.approx(variance, rel=0.02)
    assert distribution == "normal" or latents.abs().max() <= 1


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="latent_distribution is 'cauchy', expected one of"):
        sample_latents(1, 1, "cauchy")
