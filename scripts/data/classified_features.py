"""What a classifier of features learns from: real features, synthetic ones in a chosen number, and balanced classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from scripts.data.contract import DatasetError
from scripts.data.features import FeatureDataset, FeatureSet
from scripts.data.sampling import class_weights
from scripts.data.smote import Interpolation, draw_interpolations
from scripts.metrics.classification import find_contradiction

BALANCING = ("none", "class_weights", "oversampling", "smote")
SYNTHETIC_SPLITS = ("equal", "balance")


class ClassifiedFeatures(Dataset):
    """Features for a classifier: `image` (C, H, W) standardised float32, `label` its class index, `patient`, `source`.

    Of real and synthetic `features` those at `positions` (None for all), and behind them `interpolations`: points
    between two of them, by their positions, computed when read.
    """

    def __init__(
        self,
        features: FeatureDataset,
        positions: Sequence[int] | None = None,
        interpolations: Sequence[Interpolation] = (),
    ) -> None:
        self.features = features
        self.positions = list(range(len(features)) if positions is None else positions)
        self.interpolations = list(interpolations)

    def __len__(self) -> int:
        return len(self.positions) + len(self.interpolations)

    def __getitem__(self, position: int) -> dict[str, Any]:
        if position < len(self.positions):
            element = self.features[self.positions[position]]
            feature = element["feature"]
        else:
            base, neighbour, share = self.interpolations[position - len(self.positions)]
            element = self.features[base]
            feature = torch.lerp(element["feature"], self.features[neighbour]["feature"], share)
        return {
            "image": feature,  # (C, H, W)
            "label": element["class"],
            "patient": element["patient"] or "",
            "source": element["source"],
        }

    @property
    def real(self) -> FeatureSet:
        """The set of real features."""
        return self.features.real

    @property
    def class_names(self) -> list[str]:
        """In the order of the indices."""
        return self.features.class_names

    @property
    def class_indices(self) -> np.ndarray:
        """Class of each element, (N,) int64."""
        return self.features.class_indices[[*self.positions, *(each.base for each in self.interpolations)]]

    @property
    def is_synthetic(self) -> np.ndarray:
        """Whether each element was generated or interpolated, (N,) bool."""
        items = self.features.items
        generated = [bool(items[n]["synthetic"]) for n in self.positions]
        return np.array([*generated, *(True for _ in self.interpolations)])

    @property
    def patients(self) -> list[str]:
        """Real patients of the elements."""
        items = self.features.items
        return sorted({items[n]["patient"] for n in self.positions if not items[n]["synthetic"]})

    @property
    def trained_on(self) -> list[str]:
        """Whom a classifier of these features has learned from: also whom the U-Net and the generator have."""
        return sorted({*self.features.taught_by, *self.patients})

    @property
    def fingerprint(self) -> str:
        """Changes with the feature sets, and with which of their rows are used."""
        content = f"{self.features.fingerprint} {self.positions} {self.interpolations}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def training_features(
    features_dir: str | Path,
    *,
    synthetic_dir: str | Path | None = None,
    synthetic_count: int | None = None,
    synthetic_split: str = "equal",
    use_real: bool = True,
    balancing: str = "none",
    seed: int = 0,
    allow_memorised: Any = None,
) -> ClassifiedFeatures:
    """The training split of a real feature set, with synthetic features, and with SMOTE's if wanted.

    With one seed, fewer synthetic features lie within more. SMOTE interpolates between real features alone, and tops
    every class up to the most frequent one, synthetic features counted in.

    Args:
        features_dir: of real features.
        synthetic_dir: of synthetic ones of the same network and level; None for none.
        synthetic_count: how many of them in all; None for all there are.
        synthetic_split: "equal" numbers of each class, or "balance": each goes to the class that has the fewest
            features so far, real ones counted in.
        use_real: False leaves the real features out; they still say how all are standardised.
        balancing: one of `BALANCING`; see `loss_weights` and `sampling_weights` for two of them.
        seed: of the choice and of SMOTE.
        allow_memorised: synthetic sets that are taken although they failed their audit, see `is_memorised`.

    Raises:
        DatasetError: an unknown option, more synthetic features of a class asked for than there are, SMOTE or nothing
            at all without real features, or what `FeatureDataset` refuses: another network, level or shape, a class
            without training features.
    """
    for name, value, known in (
        ("balancing", balancing, BALANCING),
        ("synthetic_split", synthetic_split, SYNTHETIC_SPLITS),
    ):
        if value not in known:
            raise DatasetError(f"{name} is {value!r}, expected one of {', '.join(known)}. Choose one.")
    if synthetic_dir is None and synthetic_count:
        raise DatasetError(
            f"synthetic_count is {synthetic_count} and there is no synthetic_dir, expected both or neither. Pass "
            "--synthetic_dir, the folder of synthetic features."
        )
    if not use_real and (synthetic_dir is None or balancing == "smote"):
        lacking = "no synthetic_dir is given" if synthetic_dir is None else "SMOTE interpolates between real features"
        raise DatasetError(f"use_real is False and {lacking}: there is nothing to train on. Pass --use_real True.")
    folders = [features_dir] if synthetic_dir is None else [features_dir, synthetic_dir]
    features = FeatureDataset([FeatureSet(folder) for folder in folders], allow_memorised=allow_memorised)
    positions = _choose_positions(features, synthetic_count, synthetic_split, seed)
    if not use_real:
        items = features.items
        positions = [n for n in positions if items[n]["synthetic"]]
    interpolations = _plan_smote(features, positions, seed) if balancing == "smote" else []
    return ClassifiedFeatures(features, positions, interpolations)


def held_out_features(
    features_dir: str | Path, split: str = "validation", *, every_class: bool = False
) -> ClassifiedFeatures:
    """The validation or test split of a real feature set.

    Args:
        features_dir: of real features.
        split: "validation", "test" or "training".
        every_class: refuse a split that lacks a class, where a balanced accuracy has to choose.

    Raises:
        DatasetError: no row, a lacking class, or a patient of several classes, on whose class slices cannot vote.
    """
    features = FeatureDataset(FeatureSet(features_dir), split)
    classes = [item["class"] for item in features.items]
    if contradiction := find_contradiction([item["patient"] for item in features.items], classes):
        patient, names = contradiction
        raise DatasetError(
            f"{features_dir}: patient {patient!r} has slices of the classes {' and '.join(map(repr, names))}, expected "
            "one, on which they vote. Correct dataset.json and extract again."
        )
    missing = sorted(set(features.class_names) - set(classes))
    if every_class and missing:
        raise DatasetError(
            f"{features_dir}: no {split} row has class {missing[0]!r}, expected every class, since the balanced "
            "accuracy chooses the best epoch. Extract the features of a fold whose split has it."
        )
    return ClassifiedFeatures(features)


def sampling_weights(dataset: ClassifiedFeatures, balancing: str) -> np.ndarray | None:
    """Weights (N,) for `SeededSampler`: under "oversampling" all classes are drawn equally often, else None."""
    return class_weights(dataset.class_indices) if balancing == "oversampling" else None


def loss_weights(dataset: ClassifiedFeatures, balancing: str) -> torch.Tensor | None:
    """Weights (K,) of the classes in the loss: N / (K N_k) under "class_weights", else None."""
    if balancing != "class_weights":
        return None
    counts = np.bincount(dataset.class_indices, minlength=len(dataset.class_names))
    return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)


def allot(count: int, start: Sequence[int]) -> list[int]:
    """What each class gets of `count`, shared one by one, each to the class that has the fewest, the first of equals.

    `start` is what each class has at the beginning.
    """
    totals = np.array(start)
    for _ in range(count):
        totals[totals.argmin()] += 1
    return (totals - np.array(start)).tolist()


def _choose_positions(features: FeatureDataset, count: int | None, split: str, seed: int) -> list[int]:
    """All real features and `count` synthetic ones."""
    synthetic = np.array([bool(item["synthetic"]) for item in features.items])
    classes = features.class_indices
    real = np.flatnonzero(~synthetic)
    if count is None:
        return list(range(len(features)))
    if count < 0:
        raise DatasetError(f"synthetic_count is {count}, expected 0 or more, or None for all there are.")
    held = np.bincount(classes[real], minlength=len(features.class_names))
    quotas = allot(count, [0] * len(held) if split == "equal" else held.tolist())
    chosen = real.tolist()
    for n, quota in enumerate(quotas):
        there = np.flatnonzero(synthetic & (classes == n))
        if quota > len(there):
            raise DatasetError(
                f"synthetic_count {count} with synthetic_split {split!r} takes {quota} features of class "
                f"{features.class_names[n]!r}, {features.feature_sets[-1].folder} has {len(there)}. Generate more, or "
                "lower --synthetic_count."
            )
        chosen += np.random.default_rng([seed, n]).permutation(there)[:quota].tolist()
    return chosen


def _plan_smote(features: FeatureDataset, positions: Sequence[int], seed: int) -> list[Interpolation]:
    classes, items = features.class_indices, features.items
    counts = np.bincount(classes[list(positions)], minlength=len(features.class_names))
    planned = []
    for n, count in enumerate(counts):
        rows = [position for position in positions if classes[position] == n and not items[position]["synthetic"]]
        points = draw_interpolations(
            lambda row, rows=rows: features[rows[row]]["feature"].numpy().ravel(),  # type: ignore[misc]
            len(rows),
            int(counts.max() - count),
            seed=[seed, n],
        )
        planned += [Interpolation(rows[base], rows[neighbour], share) for base, neighbour, share in points]
    return planned
