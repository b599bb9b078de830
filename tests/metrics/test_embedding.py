from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from scripts.metrics.embedding import embed_tsne


def two_groups(count: int) -> np.ndarray:
    samples = np.random.default_rng(0).normal(size=(2 * count, 2, 3))
    samples[count:] += 20
    return samples


def test_groups_stay_apart():
    places = embed_tsne(two_groups(20))
    assert places.shape == (40, 2)
    neighbours = NearestNeighbors(n_neighbors=5).fit(places).kneighbors(return_distance=False)
    assert np.array_equal(neighbours >= 20, np.repeat([[False], [True]], 20, axis=0).repeat(5, axis=1))


def test_a_seed_means_a_layout():
    samples = two_groups(5)
    assert np.array_equal(embed_tsne(samples, seed=1), embed_tsne(samples, seed=1))


def test_four_samples_are_enough_and_three_are_not():
    assert np.isfinite(embed_tsne(two_groups(2))).all()
    with pytest.raises(ValueError, match="3 images to lay out, expected 4 or more"):
        embed_tsne(two_groups(2)[:3])


def test_images_that_are_all_the_same_have_no_layout():
    with pytest.raises(ValueError, match="All 5 images are the same"):
        embed_tsne(np.ones((5, 3)))
