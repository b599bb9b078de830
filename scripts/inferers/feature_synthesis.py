"""Synthetic features of asked classes, of which those are kept that the discriminator takes for their class.

On request they must lie near its real features, too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scripts.data.class_centres import ClassCentres
from scripts.data.contract import DatasetError, Item
from scripts.data.feature_format import hash_file
from scripts.data.feature_source import FeatureSource
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet
from scripts.inferers.image_encoder import ImageEncoder
from scripts.inferers.noise import ClassFeatureInferer
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.weights import Weights
from scripts.pictures.feature_maps import MOST_MAPS, draw_feature_maps
from scripts.scores.evidence import ClassCount
from scripts.scores.json_files import write_dataclass

logger = logging.getLogger(__name__)

MOST_DRAWS = 50  # per feature that is kept
LEAST_KEPT = 20  # so many would have been kept at that rate before a class is given up
SYSTEM = "feature_acgan"


@dataclass(eq=False)
class FeatureSynthesis:
    """Makes features class by class until as many are accepted as were asked for (Mehra et al., section 4.2.4).

    A feature is accepted where the asked class is the discriminator's most probable one; where `centres` are given, it
    is kept only if it lies within the limit of its class, which is not the paper's. The seed and a feature's place
    among its class's draws decide its noise, so one seed makes the same features again, fewer within more.

    Deviation: the paper generates 4,800 and uses those of them that are accepted; here so many are accepted.

    Attributes:
        generator: latents and classes to standardised features.
        inferer: with the discriminator.
        source: of the two.
        device: where they are.
        encoder: turns what is made into other features, see `ImageEncoder`; None for none.
        feature_count: features to keep in all, shared equally by the classes; or class name -> number.
        batch_size: features made at once.
        keep_all: keep those of other classes, and those that lie too far, too; they are counted all the same.
        centres: of the classes' real features; None keeps what is accepted, however far it lies.
        seed: of the noise.
        description: of the features.
        counts: class name -> what became of its features so far.
        shown: "kept" or "dropped" and class index -> the first maps of its first feature that was kept, or too far.

    Raises:
        DatasetError: a class that the generator does not know, or numbers that cannot be asked for.
    """

    generator: nn.Module
    inferer: ClassFeatureInferer
    source: FeatureSource
    _: KW_ONLY
    device: torch.device
    encoder: ImageEncoder | None = None
    feature_count: int | Mapping[str, int] = 4800
    batch_size: int = 64
    keep_all: bool = False
    centres: ClassCentres | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.description = self.source.description if self.encoder is None else self.encoder.description
        self.classes = self.source.description.classes
        quotas = share_count(self.feature_count, self.classes)
        self.shown: dict[tuple[str, int], np.ndarray] = {}
        self.counts = {name: ClassCount(asked) for name, asked in quotas.items()}

    def batches(self) -> Iterator[tuple[torch.Tensor, list[Item]]]:
        """Features (n, C, H, W) in the scale of the real ones, n >= 1, and their items.

        Raises:
            CheckpointError: hardly any feature of a class is accepted.
        """
        for name, count in self.counts.items():
            while count.kept < count.asked:
                yield from self._draw(name, count)
                self._check_rate(name, count)

    def _draw(self, name: str, count: ClassCount) -> Iterator[tuple[torch.Tensor, list[Item]]]:
        """One batch of a class: what is kept of it, nothing where none is."""
        asked = self.classes.index(name)
        draws = range(count.generated, count.generated + self.batch_size)
        seeds = [int(np.random.SeedSequence([self.seed, asked, n]).generate_state(1)[0]) for n in draws]
        features, probabilities = self.inferer(
            torch.tensor(seeds, device=self.device),
            self.generator,
            class_index=torch.full((len(seeds),), asked, device=self.device),
        )  # (B, C, H, W), (B, K)
        accepted = (probabilities.argmax(dim=1) == asked).cpu().numpy()  # (B,)
        made = self.source.restore(features)  # (B, C, H, W)
        distances = self._measure(made, name, accepted)
        near = distances <= 1  # (B,)
        kept = np.flatnonzero((accepted & near) | self.keep_all)[: count.asked - count.kept]
        full = count.kept + len(kept) == count.asked
        used = kept[-1] + 1 if full else len(draws)  # what was made after the last one asked for does not count
        count.generated += int(used)
        count.accepted += int(accepted[:used].sum())
        count.far += int((accepted & ~near)[:used].sum())
        count.kept += len(kept)
        if len(kept):
            certain = probabilities[:, asked].tolist()
            items = [self._describe(name, draws[n], bool(accepted[n]), certain[n], distances[n]) for n in kept]
            made = made[torch.from_numpy(kept).to(made.device)]
            if self.encoder is not None:
                self.encoder.show(made, items)
            yield self._encode(made), items

    def _measure(self, made: torch.Tensor, name: str, accepted: np.ndarray) -> np.ndarray:
        """Distances (B,) from the centre of the class in limits, 0 without centres; the first of each kind is shown."""
        if self.centres is None:
            return np.zeros(len(made))
        encoded = self._encode(made)
        distances = self.centres.measure(encoded, name)
        for kind, members in (("kept", accepted & (distances <= 1)), ("dropped", accepted & (distances > 1))):
            if members.any():
                maps = encoded[int(members.argmax()), :MOST_MAPS].float().cpu().numpy()
                self.shown.setdefault((kind, self.classes.index(name)), maps)
        return distances

    def _encode(self, made: torch.Tensor) -> torch.Tensor:
        return made if self.encoder is None else self.encoder(made)

    def _describe(self, name: str, draw: int, accepted: bool, probability: float, distance: float) -> Item:
        own = f"synthetic-{name}-{draw:06d}"
        synthetic = {
            "system": SYSTEM,
            "seed": self.seed,
            "asked_class": name,
            "draw": draw,
            "accepted": accepted,
            "class_probability": round(probability, 6),
        }
        if self.centres is not None:
            synthetic["class_centre"] = round(float(distance), 4)
        return {"source": own, "patient": own, "class": name, "split": "training", "synthetic": synthetic}

    def _check_rate(self, name: str, count: ClassCount) -> None:
        drawn_enough = count.generated >= MOST_DRAWS * min(count.asked, LEAST_KEPT)
        if count.kept < count.asked and drawn_enough and count.kept * MOST_DRAWS < count.generated:
            raise CheckpointError(
                f"The discriminator accepts {count.accepted} of {count.generated} features asked of class {name!r} "
                f"({count.acceptance_rate:.2%}), of which {count.far} lie too far from its centre, expected to keep at "
                f"least 1 in {MOST_DRAWS}. Train longer or with a larger --class_weight, ask for none of {name!r} in "
                "--feature_count, leave --class_centre_quantile out, or pass --keep_all True."
            )


def share_count(feature_count: int | Mapping[str, int], classes: Sequence[str]) -> dict[str, int]:
    """Class name -> features to make; a total is shared equally, the first classes have one more where it must be.

    Raises:
        DatasetError: an unknown class, a number below 0 or that is not whole, or none to make.
    """
    if isinstance(feature_count, int):
        share, rest = divmod(feature_count, len(classes))
        feature_count = {name: share + (n < rest) for n, name in enumerate(classes)}
    valid = isinstance(feature_count, Mapping) and all(
        name in classes and isinstance(count, int) and count >= 0 for name, count in feature_count.items()
    )
    if not valid or not sum(feature_count.values()):
        raise DatasetError(
            f"feature_count is {feature_count}, expected a total of 1 or more, or numbers by class, such as "
            f"{{'{classes[0]}': 100}}; the generator knows {', '.join(classes)}."
        )
    return {str(name): count for name, count in feature_count.items() if count}


def write_synthetic_features(
    synthesis: FeatureSynthesis,
    output_dir: str | Path,
    *,
    generator: Weights,
    discriminator: Weights,
) -> FeatureSet:
    """Writes what a synthesis keeps as a feature set, and `<output_dir>_counts.json` beside it.

    Of generated images that an encoder turned into features, `<output_dir>_images.png` shows some; where features were
    dropped since they lie far from their class, `<output_dir>_dropped.png` shows one of each class beside a kept one.

    A set that is there already is left as it is. A killed run makes the features again and writes those that are
    missing: they are the same where the settings are.

    Args:
        synthesis: not begun yet.
        output_dir: the set's folder.
        generator, discriminator: whose hashes go into the manifest.

    Raises:
        DatasetError: the folder holds something else, or the disk is full.
        CheckpointError: hardly any feature of a class is accepted; nothing is left at `output_dir`.
    """
    networks = {
        "generator": generator.file.name,
        "generator_sha256": hash_file(generator.file),
        "discriminator_sha256": hash_file(discriminator.file),
    }
    asked = {name: count.asked for name, count in synthesis.counts.items()}
    settings = {
        **networks,
        "asked": asked,
        "seed": synthesis.seed,
        "keep_all": synthesis.keep_all,
        "batch_size": synthesis.batch_size,
        "class_centre_limits": None if synthesis.centres is None else synthesis.centres.limits,
    }
    with FeatureWriter(output_dir, synthesis.description, sum(asked.values()), settings=settings) as writer:
        if not writer.complete:
            _append_missing(writer, synthesis)
        counts = {name: asdict(count) for name, count in synthesis.counts.items()}
        features = writer.finish({**networks, "keep_all": synthesis.keep_all, "counts": counts})
    kept = {name: ClassCount(**count) for name, count in features.manifest["counts"].items()}
    for name, count in kept.items():
        logger.info(
            f"{name}: {count.asked} asked, {count.generated} generated, {count.accepted} accepted "
            f"({count.acceptance_rate:.1%}), {count.far} of these too far from the class's centre, {count.kept} kept"
        )
    write_dataclass(features.folder.with_name(f"{features.folder.name}_counts.json"), kept)
    rows, picture = {"kept": "kept", "dropped": "too far"}, f"{features.folder.name}_dropped.png"
    draw_feature_maps(synthesis.shown, rows, synthesis.classes, features.folder.with_name(picture))
    if synthesis.encoder is not None:
        synthesis.encoder.write_picture(features.folder.with_name(f"{features.folder.name}_images.png"))
    logger.info(f"{len(features)} synthetic features in {features.folder}")
    return features


def _append_missing(writer: FeatureWriter, synthesis: FeatureSynthesis) -> None:
    position, there = 0, writer.rows
    for features, items in synthesis.batches():
        first = min(max(there - position, 0), len(items))
        position += len(items)
        if first < len(items):
            writer.append(features[first:], items[first:])
