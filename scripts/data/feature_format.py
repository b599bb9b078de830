"""What a feature set says of itself: which network and level its features come from, and their statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from scripts.data.contract import DatasetError

DTYPES = ("float16", "float32")
LEAST_STD = float(np.finfo(np.float16).tiny)  # 6.1e-5: what varies less than that is rounding


@dataclass(frozen=True)
class FeatureDescription:
    """Where the features of a set come from, as its manifest says it.

    Raises:
        DatasetError: a shape without three positive sizes, or another dtype.
    """

    level: str  # of the network, such as "bottleneck"
    feature_shape: tuple[int, int, int]  # (C, H, W) of one feature
    network_sha256: str  # of the file of the network's weights, see `hash_file`
    network_file: str  # its name
    trained_on: list[str]  # patients whom the network, or the generator of synthetic features, learned from
    dataset: str  # name of the data set
    classes: list[str]  # names, in the order of the class indices
    image_size: int  # side of the slices in pixels
    image_channels: list[str]  # names of the channels that the network saw
    dtype: str = "float16"  # of the stored numbers, or "float32"
    precision: str = "float32"  # in which the network ran, or "bfloat16"
    fold: int | None = None  # of the cross-validation that the splits are of; None for the data set's own
    minimum: float | None = None  # least value that the level can have, 0 after a ReLU; None where there is none

    def __post_init__(self) -> None:
        shape = tuple(int(side) for side in self.feature_shape)
        if len(shape) != 3 or min(shape) < 1:
            raise DatasetError(f"feature_shape is {self.feature_shape}, expected channels, height and width.")
        if self.dtype not in DTYPES:
            raise DatasetError(f"feature_dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}.")
        object.__setattr__(self, "feature_shape", shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored feature."""
        return int(np.prod(self.feature_shape)) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "feature_shape": list(self.feature_shape)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FeatureDescription:
        """The description in a manifest; KeyError for a key that is missing."""
        return cls(**{field.name: content[field.name] for field in fields(cls)})


class ChannelMoments:
    """Mean and standard deviation per channel of features that come one by one, in float64.

    Batches are merged as Chan, Golub and LeVeque (Updating formulae and a pairwise algorithm for computing sample
    variances, 1979, equation 2.1) do it, which loses nothing to cancellation where the mean is large.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0  # values per channel
        self.mean = np.zeros(channels)
        self.squares = np.zeros(channels)  # sum of squared distances to the mean

    def add(self, feature: np.ndarray) -> None:
        """Takes in one feature (C, H, W)."""
        values = feature.reshape(len(self.mean), -1).astype(np.float64)  # (C, H * W)
        n, mean = values.shape[1], values.mean(axis=1)
        values -= mean[:, None]
        change = mean - self.mean
        total = self.count + n
        self.squares += np.einsum("cn,cn->c", values, values) + change**2 * (self.count * n / total)
        self.mean += change * (n / total)
        self.count = total

    def compute_std(self) -> np.ndarray:
        """(C,), of the whole population; at least 6.1e-5, and 1 for a channel that never changes."""
        std = np.sqrt(self.squares / max(self.count, 1))
        return np.where(self.squares > 0, np.maximum(std, LEAST_STD), 1.0)


def hash_file(file: str | Path) -> str:
    """SHA-256 of a file of weights; DatasetError where it is unreadable."""
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"Cannot read {file}: {error.strerror}. Train that network, or name its file.") from None
