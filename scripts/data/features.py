"""Feature sets: read and checked, standardised for training, and written in constant memory.

A feature set is a folder with `features.npy` (N, C, H, W), which `np.load(mmap_mode="r")` reads too, and
`manifest.json`: what `FeatureDescription` lists, `mean` and `std` per channel over the training rows, and `items`, one
per row: `source` (a slice's "image file#slice"), `patient`, `class`, `split` and `synthetic` (provenance, or null).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired

import numpy as np
import pydantic
import torch
from torch.utils.data import Dataset
from typing_extensions import TypedDict

from scripts.data.contract import SPLITS, DatasetError, Item
from scripts.data.feature_format import FeatureDescription
from scripts.data.json_models import read_object, validated
from scripts.data.memorised import KEY, is_memorised

ARRAY, MANIFEST = "features.npy", "manifest.json"
REMEDY = "Extract again with configs/feature_acgan_features.json, and generate anew what was made of the old features."


FeatureItem = TypedDict(
    "FeatureItem",
    {
        "source": str,
        "patient": str | None,
        "class": str | None,
        "split": Literal["training", "validation", "test"],
        "synthetic": dict[str, Any] | None,
    },
)


class Manifest(TypedDict):
    """What a manifest holds beside its description."""

    recipe: str
    mean: list[pydantic.FiniteFloat]
    std: list[pydantic.FiniteFloat]
    items: list[FeatureItem]
    memorisation: NotRequired[dict[str, Any]]


class FeatureSet:
    """A feature set (folder of `features.npy` and `manifest.json`), checked when it is opened; features are never kept.

    Attributes:
        description: see `FeatureDescription`.
        items: one per row.
        mean, std: (C,) float32, over the training rows.
        manifest: all that the file holds.

    Raises:
        DatasetError: a file is missing, malformed or truncated, or the two disagree.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.file = self.folder / ARRAY
        begun = (self.folder.parent / hidden_name(self.folder)).exists()
        state = "Its extraction was begun and not finished" if begun else "There are no features"
        remedy = f"{state}. Run configs/feature_acgan_features.json with this --output_dir."
        self.manifest = read_object(self.folder / MANIFEST, remedy)
        where = str(self.folder / MANIFEST)
        self.description = validated(FeatureDescription, self.manifest, where, REMEDY)
        validated(Manifest, self.manifest, where, REMEDY)
        self.items: list[Item] = self.manifest["items"]
        self.mean, self.std = (np.array(self.manifest[name], dtype=np.float32) for name in ("mean", "std"))
        channels = self.description.feature_shape[0]
        if not len(self.mean) == len(self.std) == channels or not (self.std > 0).all():
            raise DatasetError(f"{where}: mean and std are not {channels} numbers, the second above 0. {REMEDY}")
        found = self.features
        wanted = ((len(self.items), *self.description.feature_shape), np.dtype(self.description.dtype))
        if (found.shape, found.dtype) != wanted:
            raise DatasetError(
                f"{self.file} holds {found.shape} {found.dtype}, its manifest says {wanted[0]} {wanted[1]}. {REMEDY}"
            )

    def __len__(self) -> int:
        return len(self.items)

    @property
    def features(self) -> np.ndarray:
        """(N, C, H, W), memory-mapped anew at each call, so that pages that were read do not pile up."""
        try:
            return np.load(self.file, mmap_mode="r")
        except Exception as error:  # whatever a damaged header makes NumPy raise
            raise DatasetError(f"Cannot read {self.file} ({error}): it was cut or changed. {REMEDY}") from None

    @property
    def floor(self) -> list[float] | None:
        """Per channel the standardised value of the level's minimum; None where the level has none."""
        minimum = self.description.minimum
        return None if minimum is None else ((minimum - self.mean) / self.std).tolist()

    def read(self, row: int) -> np.ndarray:
        """One feature (C, H, W) in the stored dtype."""
        return np.array(self.features[row])

    def standardise(self, features: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W), any dtype, to mean 0 and standard deviation 1 per channel of the training rows, float32."""
        mean, std = (torch.from_numpy(values)[:, None, None].to(features.device) for values in (self.mean, self.std))
        return (features.float() - mean) / std

    def expect(
        self,
        *,
        network_sha256: str | None = None,
        level: str | None = None,
        feature_shape: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
    ) -> FeatureSet:
        """The set itself, once it is known to be of this network, level, shape and classes; None is not compared.

        A set of another is a DatasetError that names both values.
        """
        wanted = {"network_sha256": network_sha256, "level": level, "feature_shape": feature_shape, "classes": classes}
        for name, value in wanted.items():
            own = getattr(self.description, name)
            if value is not None and own != type(own)(value):
                raise DatasetError(f"{self.folder}: {name} is {own}, expected {type(own)(value)}. {REMEDY}")
        return self


class FeatureDataset(Dataset):
    """Real and synthetic features of some splits, standardised alike.

    Each element is a dictionary: `feature` float32 (C, H, W), `class` int, `patient`, `source`, `synthetic` bool.

    Args:
        feature_sets: a set, or several; the first is the real one, whose mean and std standardise all.
        splits: "training", "validation", "test", or several of them. Synthetic rows are training rows.
        allow_memorised: synthetic sets that are taken although they failed their audit, see `is_memorised`.

    Raises:
        DatasetError: sets of different networks, levels, shapes or classes; synthetic features whose generator knows
            held-out patients, or that repeat training ones; a class that no training row has; a row without class or
            with another; no row at all.
    """

    def __init__(
        self,
        feature_sets: FeatureSet | Sequence[FeatureSet],
        splits: str | Sequence[str] = "training",
        *,
        allow_memorised: Any = None,
    ) -> None:
        self.feature_sets = [feature_sets] if isinstance(feature_sets, FeatureSet) else list(feature_sets)
        self.real = self.feature_sets[0]
        self.class_names = list(self.real.description.classes)
        wanted = [splits] if isinstance(splits, str) else list(splits)
        if not wanted or not set(wanted) <= set(SPLITS):
            raise DatasetError(f"splits is {splits!r}, expected one or several of {', '.join(SPLITS)}.")
        self._check_sets()
        for other in self.feature_sets[1:]:
            is_memorised(other.folder, other.manifest.get(KEY) or {}, allow_memorised)
        self.rows = [
            (k, row)
            for k, features in enumerate(self.feature_sets)
            for row, item in enumerate(features.items)
            if item["split"] in wanted
        ]
        if not self.rows:
            raise DatasetError(f"{self.real.folder} has no row of {', '.join(wanted)}. Choose another split or fold.")
        self._check_classes()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> dict[str, Any]:
        k, row = self.rows[position]
        item = self.feature_sets[k].items[row]
        return {
            "feature": self.real.standardise(torch.from_numpy(self.feature_sets[k].read(row))),  # (C, H, W)
            "class": self.class_names.index(item["class"]),
            "patient": item["patient"],
            "source": item["source"],
            "synthetic": bool(item["synthetic"]),
        }

    @property
    def items(self) -> list[Item]:
        """What the manifests say of each row."""
        return [self.feature_sets[k].items[row] for k, row in self.rows]

    @property
    def class_indices(self) -> np.ndarray:
        """Class of each row, (N,) int64."""
        return np.array([self.class_names.index(item["class"]) for item in self.items])

    @property
    def fingerprint(self) -> str:
        """Changes with the feature sets, with which of their rows are used, and with their classes."""
        recipes = [features.manifest.get("recipe") for features in self.feature_sets]
        return hashlib.sha256(f"{recipes} {self.rows} {self.class_names}".encode()).hexdigest()[:16]

    @property
    def taught_by(self) -> list[str]:
        """Patients that the U-Net, and the generators of synthetic features, learned from, sorted."""
        return sorted({patient for each in self.feature_sets for patient in each.description.trained_on})

    @property
    def trained_on(self) -> list[str]:
        """Whom a network knows that learns from these rows: their patients, and `taught_by`."""
        return sorted({*self.taught_by, *(item["patient"] for item in self.items if not item["synthetic"])})

    def _check_sets(self) -> None:
        if any(item["synthetic"] for item in self.real.items):
            raise DatasetError(f"{self.real.folder} holds synthetic features. Name the set of real ones first.")
        own = self.real.description
        held_out = {item["patient"]: item["split"] for item in self.real.items if item["split"] != "training"}
        for other in self.feature_sets[1:]:
            shape, classes = own.feature_shape, own.classes
            other.expect(network_sha256=own.network_sha256, level=own.level, feature_shape=shape, classes=classes)
            if not other.description.trained_on:
                raise DatasetError(f"{other.folder} does not say whom its generator was trained on. Generate it again.")
            for patient in other.description.trained_on:
                if patient in held_out:
                    raise DatasetError(
                        f"{other.folder}: its generator was trained on patient {patient!r} of the {held_out[patient]} "
                        "split. Train a generator on this fold's training features."
                    )

    def _check_classes(self) -> None:
        trained = {item["class"] for item in self.real.items if item["split"] == "training"}
        missing = [name for name in self.class_names if name not in trained]
        if missing:
            raise DatasetError(
                f"{self.real.folder}: no training row has class {missing[0]!r}; there are {sorted(map(str, trained))}. "
                "Choose another fold or class_key, and extract again."
            )
        for item in self.items:
            if item["class"] not in self.class_names:
                raise DatasetError(
                    f"Patient {item['patient']!r} has class {item['class']!r}, expected one of {self.class_names}. "
                    "Give the patient's items one in dataset.json, or leave them out, and extract again."
                )


class ComparedFeatures(Dataset):
    """Real training features, real ones held out, and synthetic ones, standardised alike.

    An element has `image`, the standardised feature (C, H, W) float32, `class_index`, `part` ("training", "held_out" or
    "synthetic"), `source` and `patient`.

    Args:
        held_out: split whose features are held out.
        most_features: of each part, 1 or more, drawn without replacement; None for all.
        seed: of the draw.
    """

    def __init__(
        self,
        features_dir: str | Path,
        synthetic_dir: str | Path,
        *,
        held_out: str = "validation",
        most_features: int | None = 500,
        seed: int = 0,
    ) -> None:
        if most_features is not None and most_features < 1:
            raise DatasetError(f"most_features is {most_features}, expected 1 or more, or None for all.")
        sets = [FeatureSet(features_dir), FeatureSet(synthetic_dir)]
        self.features = FeatureDataset(sets, ["training", held_out], allow_memorised=synthetic_dir)
        self.classes = self.features.class_names
        names = {"training": "training", held_out: "held_out"}
        parts = np.array(["synthetic" if item["synthetic"] else names[item["split"]] for item in self.features.items])
        rng = np.random.default_rng(seed)
        self.places: list[tuple[int, str]] = []
        for part in ("training", "held_out", "synthetic"):
            positions = rng.permutation(np.flatnonzero(parts == part))[:most_features]
            self.places += [(int(position), part) for position in sorted(positions)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, n: int) -> dict[str, Any]:
        position, part = self.places[n]
        element = self.features[position]
        about = {"source": element["source"], "patient": element["patient"] or ""}
        return {"image": element["feature"], "class_index": element["class"], "part": part, **about}


def restore_features(
    standardised: torch.Tensor, mean: np.ndarray, std: np.ndarray, *, minimum: float | None
) -> torch.Tensor:
    """Standardised features (..., C, H, W) in their own scale, float32.

    `mean` and `std` are (C,) float32; `minimum` is the least value they can have, None where there is none.
    """
    scale, shift = (torch.from_numpy(values)[:, None, None].to(standardised.device) for values in (std, mean))
    features = standardised.float() * scale + shift
    return features if minimum is None else features.clamp_min(minimum)


def hidden_name(folder: Path) -> str:
    """Name of the folder beside it in which a set is made."""
    return f".{folder.name}.making"
