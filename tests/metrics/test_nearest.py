from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from scripts.metrics.nearest import feature_distances, image_distances, make_thumbnail, nearest_distances


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2, 64, 64)).astype(np.float32)


def test_a_thumbnail_averages_blocks():
    image = np.random.default_rng(0).uniform(-1, 1, (2, 64, 96))
    expected = image.reshape(2, 32, 2, 32, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(make_thumbnail(image, 32), expected, atol=1e-6)


def test_distances_are_those_of_the_best_mirror_image_and_shift():
    (sample,), references = images(1), images(3, seed=1)

    def cells(image: np.ndarray, x: int, y: int) -> np.ndarray:
        return image[:, x : x + 60, y : y + 60].reshape(2, 15, 4, 15, 4).mean(axis=(2, 4)).ravel()

    flips, shifts = product((1, -1), repeat=2), list(product(range(5), repeat=2))
    views = [cells(sample[:, ::a, ::b], x, y) for a, b in flips for x, y in shifts]
    best = [max(np.corrcoef(view, cells(other, 2, 2))[0, 1] for view in views) for other in references]
    found = image_distances(sample[None], references)[0]
    np.testing.assert_allclose(found, np.sqrt(2 - 2 * np.array(best)), rtol=1e-4)


def test_a_copy_that_is_mirrored_shifted_and_brighter_is_one():
    originals = images(4)
    copies = 0.5 * np.roll(originals[:, :, ::-1], (2, -1), axis=(2, 3)) + 0.3
    found = image_distances(copies, originals)
    assert np.diag(found).max() < 2e-3
    assert found[~np.eye(4, dtype=bool)].min() > 0.5


def test_the_nearest_of_any_view_of_features_counts():
    views = np.array([[[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]])  # the second is the first one backwards
    references = np.array([[[20.0, 10.0, 0.0]], [[1.0, 0.0, 1.0]]])
    np.testing.assert_allclose(feature_distances(views, references), [[0, np.sqrt(2)]], atol=1e-3)


def test_the_own_patients_images_are_passed_over():
    a, b, c = images(3)
    found = nearest_distances(np.stack([a, b]), np.stack([a, b, c]), owners=(["p", "q"], ["p", "p", "q"]))
    expected = image_distances(np.stack([a, b]), np.stack([a, b, c]))
    assert found.tolist() == pytest.approx([expected[0, 2], expected[1, :2].min()])
    assert np.isnan(nearest_distances(a[None], a[None], owners=(["p"], ["p"]))).all()
