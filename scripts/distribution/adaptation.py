"""A bundle's configs for a segmenter of other images than the phantom's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.data.atomic import write_whole
from scripts.data.claims import claimed
from scripts.data.contract import Dataset, write_json
from scripts.data.json_models import read_object
from scripts.data.label_server import SEGMENTER
from scripts.networks.checkpoints import CheckpointError, save_atomically
from scripts.networks.weights import open_weights

WIDTHS = ("encoder_widths", "decoder_widths")
PERFORMANCE = re.compile(r"(?<=\n## Performance\n).*?(?=\n## )", re.DOTALL)


def adapt_bundle(bundle_dir: str | Path, *, model_file: str | Path) -> Path:
    """Puts a segmenter into a bundle's folder and fits the configs there to it, as MONAI Label reads them.

    `models/model.pt` and its `.json` become copies of the given ones, by which all configs that load them go; training
    takes its sizes as defaults, and `metadata.json` its names; scores of other weights go.

    Args:
        bundle_dir: an unpacked bundle, to be changed; not the one that is developed in.
        model_file: weights that `configs/train.json` wrote, with `<name>.json` beside them.

    Returns:
        The bundle's folder.

    Raises:
        CheckpointError: no weights, nothing beside them that describes them, or a description that does not fit them.
        ValueError: no bundle in the folder.
    """
    bundle, file = Path(bundle_dir).expanduser().absolute(), Path(model_file).expanduser().absolute()
    configs = {name: read_bundle_config(bundle, name) for name in ("train", "metadata")}
    weights = open_weights(file, network=SEGMENTER, purpose="prediction")
    if weights is None or weights.knowledge is None:
        raise CheckpointError(f"Nothing beside {file} describes it. Copy the .json that training wrote with it.")
    sizes: dict[str, Any] = {
        name: {**weights.settings, **weights.arguments}.get(name) for name in ("image_size_pixels", *WIDTHS)
    }
    for name, value in sizes.items():
        if value is None:
            raise CheckpointError(f"{file.with_suffix('.json')} does not say {name}. Train the segmenter again.")
    images, size = weights.images(), sizes["image_size_pixels"]
    configs["train"] |= sizes
    _adapt_metadata(configs["metadata"], images, size)
    network = weights.load()
    with claimed(bundle):
        for name, content in configs.items():
            write_json(bundle / "configs" / f"{name}.json", content)
        if file != bundle / "models" / "model.pt":
            save_atomically(network.state_dict(), bundle / "models" / "model.pt")
            write_whole(bundle / "models" / "model.json", file.with_suffix(".json").read_bytes())
            write_scores(bundle, {}, "")
    print(f"{bundle}: {images.channel_count} channels, {images.foreground_count} labels beside the background")
    return bundle


def read_bundle_config(bundle: Path, name: str) -> dict[str, Any]:
    """A config of a bundle by its name, which must be trusted: it may hold code."""
    return read_object(bundle / "configs" / f"{name}.json", "Name the folder of an unpacked bundle.", is_config=True)


def _adapt_metadata(metadata: dict[str, Any], images: Dataset, image_size: int) -> None:
    plane = [image_size] * 2
    channels, labels = ({str(n): name for n, name in enumerate(names)} for names in (images.modality, images.labels))
    block = metadata["network_data_format"]
    block["inputs"]["image"].update(num_channels=len(channels), spatial_shape=plane, channel_def=channels)
    block["outputs"]["pred"].update(num_channels=len(labels) - 1, spatial_shape=plane, channel_def=labels)
    values = [0, len(labels) - 1]
    block["post_processed_outputs"]["pred"].update(spatial_shape=plane, value_range=values, channel_def=labels)
    scaled = f"from {images.intensity_range}" if images.intensity_range else "from its own minimum and maximum"
    named = ", ".join(f"{n} {name}" for n, name in labels.items())
    metadata["image_classes"] = f"{len(channels)} channels: {', '.join(channels.values())}, scaled {scaled} to [-1, 1]"
    metadata["label_classes"] = f"One label map: {named}"
    metadata["pred_classes"] = f"Network: one logit for each label but 0. After post-processing: one label map, {named}"


def write_scores(folder: Path, metrics: Mapping[str, float], dataset: str) -> None:
    """Writes what is known of the shipped weights into the metadata and the README.

    Args:
        folder: the bundle.
        metrics: as `mean_dice` has them; none for weights that were not evaluated.
        dataset: name of the data set that they were evaluated on.
    """
    metadata = folder / "configs" / "metadata.json"
    write_json(metadata, {**read_bundle_config(folder, "metadata"), "eval_metrics": dict(metrics)})
    said = "The weights in this bundle were not evaluated when it was made. `configs/evaluate.json` does that.\n"
    if metrics:
        rows = "".join(f"| {name} | {value:.3f} |\n" for name, value in metrics.items())
        said = (
            f"The weights in this bundle on the test split of {dataset}, mean over patients "
            f"(`configs/evaluate.json`):\n\n| metric | value |\n| --- | --- |\n{rows}"
        )
    page = folder / "docs" / "README.md"
    write_whole(page, PERFORMANCE.sub(lambda _: said, page.read_text(encoding="utf-8")))
