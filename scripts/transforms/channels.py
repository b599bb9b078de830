"""Channels of an image by name, so that one sequence of a multi-sequence data set can be trained on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from scripts.data.contract import DatasetError


class SelectChannelsd(MapTransform):
    """Keeps some channels of an image, in the order of their names.

    Args:
        keys: images (C, X, Y[, Z]) with a channel for each name of `modality`.
        names: of the channels to keep, see `choose_channels`.
        modality: the data set's channel names.
    """

    def __init__(self, keys: KeysCollection, names: Sequence[str] | str | None, modality: Sequence[str]) -> None:
        super().__init__(keys)
        self.indices = [list(modality).index(name) for name in choose_channels(names, modality)]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: data[key][self.indices] for key in self.key_iterator(data)}}


def choose_channels(names: Sequence[str] | str | None, modality: Sequence[str]) -> list[str]:
    """The channels that a network sees; for configs, whose number of input channels is the length.

    Args:
        names: a name, or several; None for all.
        modality: the data set's channel names.

    Raises:
        DatasetError: no name, one twice, or one that the data set hasn't.
    """
    if names is None:
        return list(modality)
    chosen = [names] if isinstance(names, str) else list(names)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(modality):
        raise DatasetError(
            f"image_channel_names is {names!r}, expected different names among {', '.join(modality)} (the 'modality' "
            "of dataset.json), such as --image_channel_names \"['FLAIR']\"."
        )
    return chosen
