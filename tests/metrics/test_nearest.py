from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scripts.metrics.nearest import make_thumbnail, nearest_distances


def test_a_thumbnail_averages_blocks():
    image = np.random.default_rng(0).uniform(-1, 1, (2, 64, 96))
    expected = image.reshape(2, 32, 2, 32, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(make_thumbnail(image), expected, atol=1e-6)


def test_distances_agree_with_scipy():
    rng = np.random.default_rng(1)
    samples, references = (rng.uniform(-1, 1, (n, 1, 4, 4)).astype(np.float32) for n in (70, 9))
    expected = cdist(samples.reshape(70, -1), references.reshape(9, -1), "cityblock").min(axis=1) / 16
    np.testing.assert_allclose(nearest_distances(samples, references), expected, rtol=1e-5)


def test_the_own_patients_images_are_passed_over():
    images = np.array([0.0, 0.1, 0.5], np.float32).reshape(3, 1, 1, 1)
    found = nearest_distances(images, images, owners=(["p", "p", "q"], ["p", "p", "q"]))
    assert found.tolist() == pytest.approx([0.5, 0.4, 0.4])
    assert np.isnan(nearest_distances(images[:2], images[:2], owners=(["p", "p"], ["p", "p"]))).all()
