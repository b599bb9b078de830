from __future__ import annotations

import hashlib

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.feature_format import LEAST_STD, ChannelMoments, FeatureDescription, hash_file


def test_a_description_comes_back_from_json(describe_features):
    described = describe_features(fold=2, dtype="float32")
    assert FeatureDescription.from_json(described.to_json()) == described
    assert described.feature_shape == (3, 4, 5)


def test_bytes_of_a_row(describe_features):
    assert describe_features().row_bytes == 3 * 4 * 5 * 2
    assert describe_features(dtype="float32").row_bytes == 3 * 4 * 5 * 4


@pytest.mark.parametrize("shape", [[3, 4], [3, 0, 5], [1, 2, 3, 4]])
def test_other_shapes_are_refused(describe_features, shape):
    with pytest.raises(DatasetError, match="expected channels, height and width"):
        describe_features(feature_shape=shape)


def test_another_dtype_is_refused(describe_features):
    with pytest.raises(DatasetError, match="feature_dtype is 'bfloat16', expected one of float16, float32"):
        describe_features(dtype="bfloat16")


def test_moments_are_those_of_numpy_in_float64():
    """Means far from 0 are where a sum of squares in float32 loses all its digits."""
    offset = np.array([0.0, 3.0, 4e3])[:, None, None]
    features = (np.random.default_rng(0).normal(size=(50, 3, 4, 5)) + offset).astype(np.float32)
    moments = ChannelMoments(3)
    for feature in features:
        moments.add(feature)
    exact = features.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(moments.compute_std(), exact.std(axis=1), rtol=1e-10)
    assert moments.count == 50 * 4 * 5


def test_a_channel_that_never_changes_has_std_1_and_one_that_hardly_does_a_least_std():
    moments = ChannelMoments(2)
    moments.add(np.stack([np.full((2, 2), 7.0), np.array([[0.0, 1e-7], [0.0, 0.0]])]))
    assert moments.compute_std().tolist() == [1.0, LEAST_STD]
    assert np.float16(LEAST_STD) > 0


def test_hash_of_a_file_and_of_none(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    assert hash_file(tmp_path / "model.pt") == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(DatasetError, match=r"Cannot read .*none.pt: No such file.* Train that network"):
        hash_file(tmp_path / "none.pt")
