"""The one way from a file of the data contract to the slices that networks see."""

from __future__ import annotations

from monai.transforms import Compose, Transform

from scripts.data.contract import Dataset
from scripts.transforms.brain import StripSkulld
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import StandardiseSlicesd, ToSignedRanged
from scripts.transforms.loading import LoadItemd
from scripts.transforms.outline import AddOutlineClassd


def slice_preprocessing(
    *,
    description: Dataset,
    image_size: int,
    label: str | None = "fitted",
    strip_skull: bool = False,
    outline_threshold: float | None = None,
    standardise: bool = False,
) -> Compose:
    """Deterministic transforms of an item of the contract: `image` (C, S, S[, Z]) in [-1, 1], `label` (1, S, S[, Z]).

    Args:
        description: of the data set, or of the images that weights are for: channels, labels, intensities.
        image_size: S, pixels.
        label: "fitted" treats the label map like the image; "whole" leaves it on the file's own grid, for scores of
            predictions that are brought back there; None reads no label map.
        strip_skull: removes scalp and skull, see `StripSkulld`.
        outline_threshold: in [-1, 1]; gives the head's pixels without lesion a label of their own, see
            `AddOutlineClassd`; None leaves them background.
        standardise: makes each slice's mean 0 and standard deviation 1, see `StandardiseSlicesd`.

    Raises:
        ValueError: another word for `label`.
    """
    if label not in ("fitted", "whole", None):
        raise ValueError(f"label is {label!r}, expected 'fitted', 'whole' or None.")
    keys = ["image"] if label is None else ["image", "label"]
    moved = ["image", "label"] if label == "fitted" else ["image"]
    steps: list[Transform] = [
        LoadItemd.of(description, keys),
        CanonicalOrientationd(moved, description.slice_axis),
        ToSignedRanged("image", description.intensity_range),
    ]
    if strip_skull:
        steps.append(StripSkulld("image"))
    steps.append(FitInPlaned(moved, image_size))
    if outline_threshold is not None:
        steps.append(AddOutlineClassd("label", description.foreground_count + 1, outline_threshold))
    if standardise:
        steps.append(StandardiseSlicesd("image"))
    return Compose(steps)
