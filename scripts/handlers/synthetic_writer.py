"""Writing what a generator makes as a data set of its own, with the provenance of every image."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.utils.data import DataLoader

from scripts.data.atomic import explaining, replacing
from scripts.data.conditions import PlannedBoxes
from scripts.data.contract import Dataset, DatasetError, Item, write_json
from scripts.data.feature_format import hash_file
from scripts.data.planes import padding_before
from scripts.data.synthesis import PlannedLatents, PlannedMasks, synthetic_files, write_synthetic_set
from scripts.networks.weights import Weights

logger = logging.getLogger(__name__)

LEAST_CONTRAST = 1e-6  # largest minus smallest value, of a range of 2: rounding, not an image
LPS_IDENTITY = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI is RAS: this affine says that x goes left and y to the back


class SyntheticSetWriter:
    """Attached to an evaluator: writes each image and its label, and `dataset.json` when all are there.

    Images are NIfTI of shape (X, Y, 1, C), int16 scaled to [-1, 1], so any tool reads them and no rounding shows;
    labels are (X, Y, 1), uint8, without the outline class; images that boxes were asked for have these `boxes` and
    `box_classes` in place of a label. Every file appears whole or not at all. `provenance.json`
    says from the start which generator and plan the folder is for: a killed run goes on with the same ones, and
    another generator or plan makes all images anew.

    Args:
        planned: what the evaluator runs through; elements without `label` get theirs from the evaluator's output.
        description: the real data set's, whose names the synthetic set keeps.
        output_dir: the synthetic set's folder.
        system: name of the generating system.
        weights: of the generator, or of the members of an ensemble; SHA-256 goes into the provenance.
        seed: of the plan.
        plane: pixels (X, Y) of the real slices before they were padded, see `shared_plane`; the padding is cut off.
            None writes the squares that the generator makes.
    """

    def __init__(
        self,
        planned: PlannedMasks | PlannedLatents | PlannedBoxes,
        description: Dataset,
        output_dir: str | Path,
        *,
        system: str,
        weights: Weights | Sequence[Weights],
        seed: int = 0,
        plane: tuple[int, int] | None = None,
    ) -> None:
        self.planned = planned
        self.plane = plane
        self.description = description
        self.folder = Path(output_dir).absolute()
        members = [weights] if isinstance(weights, Weights) else list(weights)
        self.trained_on = sorted({patient for member in members for patient in member.trained_on})
        self.files = [member.file for member in members]
        self.provenance = {"system": system, "seed": seed}
        self.generators = [
            {"generator": member.file.name, "generator_sha256": hash_file(member.file)} for member in members
        ]

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write_batch)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def claim_folder(self) -> None:
        """Makes the folder this generator's and plan's; images of others under the planned names are removed.

        Raises:
            DatasetError: the folder holds another data set.
            WriteError: it cannot be written.
        """
        file = self.folder / "provenance.json"
        images = [{key: value for key, value in image.items() if key != "position"} for image in self.planned.images]
        content = {**self.provenance, "generators": self.generators, "images": images}
        if self.plane is not None:
            content["plane"] = list(self.plane)
        with explaining(self.folder):
            if file.exists() and json.loads(file.read_text(encoding="utf-8")) == content:
                return
            if (self.folder / "dataset.json").exists():
                if not file.exists():
                    raise DatasetError(f"{self.folder} holds another data set. Name another --output_dir.")
                (self.folder / "dataset.json").unlink()
            for folder in ("images", "labels"):
                (self.folder / folder).mkdir(parents=True, exist_ok=True)
            for image in images:
                for old in synthetic_files(self.folder, image["name"]):
                    old.unlink(missing_ok=True)
        self.planned.missing = list(self.planned.images)
        write_json(file, content)

    def _write_batch(self, engine: Any) -> None:
        last = self.description.foreground_count
        _refuse_constant([output["pred"] for output in engine.state.output], self.files)
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            image_file, label_file = synthetic_files(self.folder, element["name"])
            if not isinstance(self.planned, PlannedBoxes):
                label = np.asarray((element if "label" in element else output)["label"])[0]  # (X, Y)
                label = self._crop(np.where(label > last, 0, label).astype(np.uint8))  # without the outline class
                _save(nib.Nifti1Image(label[..., None], LPS_IDENTITY), label_file)
            image = self._crop(np.clip(np.asarray(output["pred"], dtype=np.float32), -1, 1))  # (C, X, Y)
            volume = nib.Nifti1Image(image.transpose(1, 2, 0)[:, :, None], LPS_IDENTITY)  # (X, Y, 1, C)
            volume.set_data_dtype(np.int16)
            _save(volume, image_file)

    def _annotate(self, image: Mapping[str, Any], label_file: Path) -> Item:
        """What the item of a planned image says of its lesions: the label map, or boxes in the written image."""
        if not isinstance(self.planned, PlannedBoxes):
            return {"label": str(label_file)}
        boxes = np.array(image["boxes"]).reshape(-1, 2, 2)  # (n, corner, axis)
        if self.plane is not None:
            boxes = boxes - [padding_before(side, self.planned.image_size) for side in self.plane]
            over = np.maximum(boxes[:, 1] - self.plane, 0) + np.minimum(boxes[:, 0], 0)  # (n, axis)
            boxes = boxes - over[:, None]  # odd padding is uneven: a flip may put a box one pixel outside
        return {"boxes": boxes.reshape(-1, 4).tolist(), "box_classes": list(image["box_classes"])}

    def _crop(self, array: np.ndarray) -> np.ndarray:
        """(..., S, S) without padding: (..., X, Y)."""
        if self.plane is None:
            return array
        x, y = (padding_before(side, size) for side, size in zip(self.plane, array.shape[-2:], strict=True))
        return array[..., x : x + self.plane[0], y : y + self.plane[1]]

    def finish(self, engine: Engine) -> None:
        items = []
        for image in self.planned.images:
            image_file, label_file = synthetic_files(self.folder, image["name"])
            items.append(
                {
                    "image": str(image_file),
                    **self._annotate(image, label_file),
                    "patient": f"synthetic-{image['name']}",
                    "class": image["class"] or None,
                    "synthetic": {
                        **self.provenance,
                        **self.generators[image.get("member", 0)],
                        **self.planned.provenance(image),
                    },
                }
            )
        write_synthetic_set(self.folder, self.description, items, self.trained_on)


def _refuse_constant(images: Sequence[Any], files: Sequence[Path]) -> None:
    """Raises DatasetError where no image of a batch shows anything: its generator has collapsed or diverged."""
    arrays = [np.asarray(image, dtype=np.float32) for image in images]
    if all(not np.isfinite(array).all() or np.ptp(array) < LEAST_CONTRAST for array in arrays):
        names = ", ".join(map(str, files))
        raise DatasetError(
            f"{names}: all {len(arrays)} images of a batch are constant, expected images. The generator has collapsed: "
            "train it longer or with a lower learning rate, or name other weights."
        )


def _save(image: nib.Nifti1Image, file: Path) -> None:
    with replacing(file) as temporary:
        nib.save(image, temporary)


def synthesise(evaluator: Evaluator, writer: SyntheticSetWriter) -> None:
    """Runs the evaluator over the planned images; where all are there already, only completes `dataset.json`.

    After a kill the batches are those of an uninterrupted run: beside other images one would differ in its last bits.
    """
    writer.claim_folder()
    planned, loader = writer.planned, cast("DataLoader[Any]", evaluator.data_loader)
    if not len(planned):
        writer.finish(evaluator)
        return
    names, size = {image["name"] for image in planned.missing}, loader.batch_size or 1
    batches = [planned.images[n : n + size] for n in range(0, len(planned.images), size)]
    planned.missing = [*chain(*(batch for batch in batches if names & {image["name"] for image in batch}))]
    evaluator.state.epoch_length = len(loader)
    start = time.perf_counter()
    evaluator.run()
    rate = len(writer.planned) / (time.perf_counter() - start)
    logger.info(f"{len(writer.planned)} images in {writer.folder}, {rate:.1f} per second")
