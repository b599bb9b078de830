"""The planned images as data sets: masks with the class asked for, or noise alone; and made ones beside real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from scripts.data.contract import Dataset as Description
from scripts.data.contract import DatasetError, Item, image_files, source_patient, write_dataset
from scripts.data.new_masks import NewMasks
from scripts.data.slices import SliceDataset


class PlannedMasks(Dataset):
    """One element per planned image that is not on the disk yet, so a killed synthesis goes on where it stopped.

    An element has the source slice's `image` and `label`, or the new mask that the plan says as `label`, the asked
    class as `class_index`, and `name`, `source`, `source_patient`, `asked_class`, and `noise_seed`, which `seed` and
    the place in the plan decide. `images` are from `read_plan`, `slices` those of training, `classes` names in the
    order of class indices, and labels above `last_label` are no lesions (see `NewMasks`).
    """

    def __init__(
        self,
        slices: SliceDataset,
        images: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        output_dir: str | Path,
        seed: int = 0,
        last_label: int = 254,
    ) -> None:
        self.slices = slices
        self.classes = list(classes)
        self.images: list[dict[str, Any]] = []
        self.new_masks = NewMasks(slices, last_label) if any("anatomy" in image for image in images) else None
        place = {slices.summary(position)["source"]: position for position in range(len(slices))}
        known = {"source": place, "anatomy": self.new_masks.places if self.new_masks else {}}
        for n, image in enumerate(images):
            for key in known.keys() & image.keys():
                if image[key] not in known[key]:
                    raise DatasetError(
                        f"The plan uses the slice {image[key]}, which is not among these training slices. "
                        "Plan again with the same dataset_dir, fold, patient_fraction, fraction_seed and slice rule."
                    )
            name, position = f"{n:06d}_{image['class'] or 'image'}", place[image["source"]]
            noise = int(np.random.SeedSequence([seed, n]).generate_state(1)[0])
            self.images.append({**image, "name": name, "noise_seed": noise, "position": position})
        folder = Path(output_dir)
        self.missing = [image for image in self.images if not is_written(folder, image["name"])]

    def provenance(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """What `synthetic` says of one of `images`, beside the generator."""
        source = {"source": image["source"], "source_patient": image["source_patient"], "source_split": "training"}
        anatomy = {key: image[key] for key in ("anatomy", "anatomy_patient", "transplant") if key in image}
        return {"asked_class": image["class"], **source, "draw": image.get("draw", 0), **anatomy}

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, n: int) -> dict[str, Any]:
        image = self.missing[n]
        asked = {
            "class_index": self.classes.index(image["class"]) if image["class"] else 0,
            "asked_class": image["class"] or "",
        }
        about = {key: image[key] for key in ("name", "source_patient", "noise_seed")}
        element = {**self.slices[image["position"]], **asked, **about}
        return {**element, "label": self.new_masks.make(image)} if self.new_masks and "anatomy" in image else element


class PlannedLatents(Dataset):
    """One element per image that is not on the disk yet: `member`, `noise_seed`, `name`.

    N members share the quota, count / N images each (the first ones one more where it doesn't divide), as published;
    every member draws its own latents. No member, or fewer images than members, is a DatasetError.
    """

    def __init__(self, member_count: int, image_count: int, output_dir: str | Path, seed: int = 0) -> None:
        if member_count < 1 or image_count < member_count:
            raise DatasetError(
                f"image_count is {image_count} for {member_count} members, expected one image or more for each. "
                "Name the members' weights with --generator_files, and raise --image_count."
            )
        self.images: list[dict[str, Any]] = []
        for member in range(member_count):
            for n in range(image_count // member_count + (member < image_count % member_count)):
                noise = int(np.random.SeedSequence([seed, member, n]).generate_state(1)[0])
                name = f"member_{member:02d}_{n:06d}"
                self.images.append({"class": None, "member": member, "name": name, "noise_seed": noise})
        folder = Path(output_dir)
        self.missing = [image for image in self.images if not is_written(folder, image["name"])]

    def provenance(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """What `synthetic` says of one of `images`, beside the generator: no mask, so no source patient."""
        return {"member": image["member"], "noise_seed": image["noise_seed"]}

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, n: int) -> dict[str, Any]:
        return {key: self.missing[n][key] for key in ("member", "noise_seed", "name")}


def synthetic_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Image and label file of a synthetic item."""
    return folder / "images" / f"{name}.nii.gz", folder / "labels" / f"{name}.nii.gz"


def is_written(folder: Path, name: str) -> bool:
    """Whether a synthetic item's image and label are both there."""
    return all(file.exists() for file in synthetic_files(folder, name))


class ComparedSlices(Dataset):
    """Real training, real held-out and synthetic slices, each element told apart by its `part`.

    `source_patient` is the patient that an image, or the mask of a synthetic image, comes from (an image that was made
    without a mask is a patient of its own), `file` its image file, `member` the member of an ensemble that made it,
    -1 for others.

    Args:
        training: real slices that the generator was trained on.
        held_out: real slices of other patients.
        synthetic: slices of a synthetic set, the part "synthetic"; or of several, part name -> slices.
        most_images: of each part, 1 or more, evenly spread; None for all.
    """

    def __init__(
        self,
        training: SliceDataset,
        held_out: SliceDataset,
        synthetic: SliceDataset | Mapping[str, SliceDataset],
        *,
        most_images: int | None = None,
    ) -> None:
        if most_images is not None and most_images < 1:
            raise ValueError(f"most_images is {most_images}, expected 1 or more, or None for all.")
        named = synthetic if isinstance(synthetic, Mapping) else {"synthetic": synthetic}
        self.parts: dict[str, SliceDataset] = {"training": training, "held_out": held_out, **named}
        self.places = []
        for part, slices in self.parts.items():
            kept = min(len(slices), most_images or len(slices))
            self.places += [(part, n * len(slices) // kept) for n in range(kept)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> dict[str, Any]:
        part, n = self.places[position]
        item = self.item(position)
        return {
            **self.parts[part][n],
            "part": part,
            "source_patient": source_patient(item),
            "file": image_files(item)[0],
            "member": member_of(item),
        }

    def item(self, position: int) -> Item:
        """The item of the data set that an element comes from, without reading its image."""
        part, n = self.places[position]
        slices = self.parts[part]
        return slices.data[slices.index[n][0]]


def write_synthetic_set(
    folder: Path, description: Description, items: Sequence[Item], trained_on: Sequence[str]
) -> None:
    """Writes the `dataset.json` of a synthetic set, with the names of the real data set that is described.

    `items` are all for training; `trained_on` are the patients whom the networks behind them know.
    """
    names = (f"{description.name}, synthetic", description.modality, description.labels, description.classes)
    made = Description(folder, *names, splits={"training": list(items)}, trained_on=list(trained_on))
    write_dataset(folder, made)


def member_of(item: Item) -> int:
    """The member of an ensemble that made an item; -1 for others."""
    return int((item.get("synthetic") or {}).get("member", -1))
