"""Generators in Python: one is loaded and asked for images in a line each, or for an endless data set of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.data import IterableDataset, get_worker_info

from scripts.config_options import override, read_config
from scripts.data.boxes import pad_boxes
from scripts.data.claims import claimed
from scripts.data.contract import Dataset, read_dataset
from scripts.data.feature_source import FeatureSource
from scripts.data.splits import refuse_known_patients
from scripts.inferers.mask_to_image import MaskToImageInferer, NoisyMaskToImageInferer
from scripts.inferers.noise import BoxesToImageInferer, EnsembleInferer, draw_latents
from scripts.nearest_name import OptionError, suggest
from scripts.networks.weights import Weights, open_weights
from scripts.transforms.annotation import AnnotationChannels
from scripts.user_errors import plain_errors

NETWORKS = {
    "spade.SPADEGenerator": "redgan",
    "pix2pix.Pix2PixGenerator": "lcgan",
    "pggan.PGGANGenerator": "pggan_ensemble",  # cpggan where it has a condition
    "feature_gan.build_feature_generator": "feature_acgan",
}
TAKES = {  # what each must and may be asked with
    "redgan": ("masks", "classes"),
    "lcgan": ("masks",),
    "cpggan": ("boxes", "classes"),
    "pggan_ensemble": ("count",),
    "feature_acgan": ("classes",),
}


@dataclass(frozen=True, eq=False)
class Generator:
    """Loaded weights; `images` has the names of their channels, labels and classes."""

    system: str
    weights: Weights
    network: nn.Module
    images: Dataset
    device: torch.device

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return int(self.weights.settings["image_size_pixels"])


@dataclass(frozen=True, eq=False)
class Generated:
    """What a generator made, on the CPU.

    Attributes:
        images: (N, C, S, S), float32 in [-1, 1]; of a feature AC-GAN features (N, C, H, W) in the scale of real ones.
        labels: (N, 1, S, S), int64, of a system with label maps: 0 the background, without the outline class.
        class_indices: (N,), int64, places in `Generator.images.classes`, of a system with global classes.
        boxes: one list of x0, y0, x1, y1 per image, of a system with boxes.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    class_indices: torch.Tensor | None = None
    boxes: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def element(self, n: int) -> dict[str, Any]:
        """Image n as an element of a data set: `image`, and `label`, `class_index`, `boxes` where there are some."""
        found = {"image": self.images, "label": self.labels, "class_index": self.class_indices, "boxes": self.boxes}
        return {name: values[n] for name, values in found.items() if values is not None}


def load_generator(
    file: str | Path, *, held_out: Collection[str] = (), device: torch.device | str | None = None
) -> Generator:
    """Loads a generator of any of the five systems; the `.json` beside its weights says which.

    Args:
        file: the weights, such as `models/redgan_generator.pt`; a relative one may be the bundle's own.
        held_out: patients that are validated or tested on: a generator that learned from one of them is refused.
        device: by default the first GPU, else the CPU.

    Raises:
        CheckpointError: no weights, or none of a generator.
        DatasetError: it learned from a patient that is held out.
    """
    weights = open_weights(file, network=[f"scripts.networks.{name}" for name in NETWORKS], purpose="prediction")
    if weights is None or weights.knowledge is None:
        raise OptionError(f"nothing beside {file} describes it. Copy the .json that training wrote beside the weights")
    refuse_known_patients(weights.trained_on, weights.file, dict.fromkeys(held_out, "held-out"), "your data")
    system = NETWORKS[weights.recipe.name.removeprefix("scripts.networks.")]
    if weights.arguments.get("condition_channels"):
        system = "cpggan"
    images = _describe(weights)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Generator(system, weights, weights.load(place).eval(), images, place)


def generate(
    generator: Generator,
    *,
    masks: torch.Tensor | np.ndarray | None = None,
    classes: Sequence[Any] | None = None,
    boxes: Sequence[Any] | None = None,
    count: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> Generated:
    """Images from masks (Red-GAN, LcGAN), boxes (CPGGAN), classes (feature AC-GAN) or noise alone (PGGAN).

    Image n has the noise of `seed` and n, whatever the batch. Features are not filtered by the discriminator.

    Args:
        generator: as `load_generator` gives it.
        masks: label maps (N, S, S) or (N, 1, S, S) as training saw them, see `read_masks`: the outline of the head is
            a label of its own where the generator was trained with it.
        classes: of each image, names or numbers from 0: Red-GAN's global classes, the feature AC-GAN's; for CPGGAN
            one list per image, the labels of its boxes from 0, by default all 0.
        boxes: of each image, a list of x0, y0, x1, y1 in pixels, half-open.
        count: images to make.

    Raises:
        OptionError: something that this generator does not take, or that it needs and that is missing.
    """
    given = {"masks": masks, "classes": classes, "boxes": boxes, "count": count}
    _check_request(generator, {name for name, value in given.items() if value is not None})
    labels = None if masks is None else _check_masks(generator, masks)
    total = count or len(next(each for each in (labels, boxes, classes) if each is not None))
    seeds = torch.tensor([int(np.random.SeedSequence([seed, n]).generate_state(1)[0]) for n in range(total)])
    if boxes is None:
        indices = None if classes is None else _find_classes(classes, generator.images.classes, total)
        boxed = None
    else:
        indices, boxed = None, _pad_boxes(generator, boxes, classes)
    parts = []
    with torch.inference_mode():
        for n in range(0, total, batch_size):
            chosen = slice(n, n + batch_size)
            batch = {"noise_seed": seeds[chosen]}
            batch |= {} if labels is None else {"label": labels[chosen]}
            batch |= {} if indices is None else {"class_index": indices[chosen]}
            batch |= {} if boxed is None else {"boxes": boxed[0][chosen], "box_classes": boxed[1][chosen]}
            parts.append(_make(generator, {name: value.to(generator.device) for name, value in batch.items()}).cpu())
    made = torch.cat(parts)
    if generator.system == "pggan_ensemble":
        settings, channels = generator.weights.settings, generator.images.channel_count
        coding = {"coding": settings["annotation_coding"], "levels": settings["annotation_levels"]}
        annotation = AnnotationChannels(generator.images.foreground_count, **coding)
        made, labels = made[:, :channels], annotation.decode(made[:, channels:])
    if labels is not None:
        labels = torch.where(labels > generator.images.foreground_count, 0, labels)
    return Generated(made, labels, indices, None if boxes is None else list(boxes))


class GeneratedImages(IterableDataset):
    """An endless data set of what a generator makes, for PyTorch's or MONAI's `DataLoader`.

    Each element is drawn anew from the pool of masks, boxes or classes, with noise of its own; every worker of a loader
    has a stream of its own, so keep the generator on the CPU there. Red-GAN has no noise: one mask in one class always
    gives one image. Elements are as of `Generated.element`.

    Args:
        generator: as for `generate`.
        masks: likewise.
        classes: likewise.
        boxes: likewise.
        seed: of the draws.
        batch_size: images made at once.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        masks: torch.Tensor | np.ndarray | None = None,
        classes: Sequence[Any] | None = None,
        boxes: Sequence[Any] | None = None,
        seed: int = 0,
        batch_size: int = 16,
    ) -> None:
        pool = {"masks": masks, "classes": classes, "boxes": boxes}
        self.pool = {name: values for name, values in pool.items() if values is not None}
        _check_request(generator, {*self.pool, *({"count"} & {*TAKES[generator.system]})})
        self.generator, self.seed, self.batch_size = generator, seed, batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        size = len(next(iter(self.pool.values()))) if self.pool else 0
        while True:
            asked: dict[str, Any] = {} if self.pool else {"count": self.batch_size}
            chosen = rng.integers(size, size=self.batch_size).tolist() if self.pool else []
            for name, values in self.pool.items():
                drawn = [values[n] for n in chosen]
                asked[name] = torch.stack([torch.as_tensor(mask) for mask in drawn]) if name == "masks" else drawn
            made = generate(self.generator, **asked, seed=int(rng.integers(2**32)), batch_size=self.batch_size)
            for n in range(len(made)):
                yield made.element(n)


def read_masks(
    generator: Generator, dataset_dir: str | Path, *, fold: int | None = None, **options: Any
) -> tuple[torch.Tensor, list[str]]:
    """Masks (N, 1, S, S) of a data set's training slices, as the generator was trained with, and their classes.

    Args:
        generator: of Red-GAN or LcGAN.
        dataset_dir: folder of dataset.json; the generator must not know its validation and test patients.
        fold: of the cross-validation.
        options: further ones of the system's inference config, such as `cache_dir`.

    Raises:
        OptionError: a generator without masks, an unknown option.
        DatasetError, CheckpointError: a data set that is not fit for it.
    """
    if "masks" not in TAKES[generator.system]:
        raise OptionError(f"{generator.weights.file} is of {generator.system}, which makes images without masks")
    given = {"generator_file": str(generator.weights.file), "dataset_dir": str(dataset_dir), "fold": fold, **options}
    parser = _read_config(generator.system, given)
    with plain_errors():
        slices = parser.get_parsed_content("slices")
    names = [*generator.images.classes, ""]  # -1 is no class
    masks = torch.stack([torch.as_tensor(np.asarray(slices[n]["label"])) for n in range(len(slices))])
    return masks.long(), [names[index] for index in slices.class_indices.tolist()]


def synthesise(generator_file: str | Path, output_dir: str | Path, **options: Any) -> Dataset:
    """Makes a synthetic set with a generator of images, as its `configs/<system>_inference.json` does.

    Args:
        generator_file: its weights.
        output_dir: the set's folder; a killed synthesis goes on there.
        options: of that config, such as `dataset_dir`, `plan_file`, `image_count`, `fold`, `seed`.

    Returns:
        The set, whose items name what they were made from.

    Raises:
        OptionError: an unknown option.
        ClaimError: another process writes to the folder.
        DatasetError, CheckpointError: data, plan or weights that are not fit for each other.
    """
    system = load_generator(generator_file, device="cpu").system
    if system == "feature_acgan":
        raise OptionError(f"{generator_file} makes features, no images. Run configs/feature_acgan_inference.json")
    several = system == "pggan_ensemble"
    files = {"generator_files": [str(generator_file)]} if several else {"generator_file": str(generator_file)}
    parser = _read_config(system, {**files, "output_dir": str(output_dir), **options})
    with claimed(Path(output_dir)), plain_errors():
        for n in range(1, len(parser["run"])):  # the first prepares the console of a command
            parser.get_parsed_content(f"run#{n}")
    return read_dataset(output_dir)


def _read_config(system: str, options: dict[str, Any]) -> ConfigParser:
    parser = read_config(f"configs/{system}_inference.json")
    override(parser, options, ())
    return parser


def _describe(weights: Weights) -> Dataset:
    """The names of what a generator makes; features have classes alone."""
    assert weights.knowledge is not None
    if weights.knowledge.features:
        classes = FeatureSource(weights, weights).description.classes
        return Dataset(weights.file.parent, weights.file.name, [], [], list(classes))
    return weights.images()


def _make(generator: Generator, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """One batch by the system's own inferer."""
    arguments, settings, network = generator.weights.arguments, generator.weights.settings, generator.network
    seeds = batch.pop("noise_seed")
    if generator.system == "redgan":
        inferer = MaskToImageInferer(arguments["mask_channels"], settings["use_class"])
        return inferer(batch.pop("label"), network, **batch)
    if generator.system == "lcgan":
        return NoisyMaskToImageInferer(arguments["mask_channels"])(batch["label"], network, noise_seed=seeds)
    if generator.system == "feature_acgan":
        source = FeatureSource(generator.weights, generator.weights)
        latents = draw_latents(seeds.tolist(), arguments["latent_dim"]).to(seeds.device)
        return source.restore(network(latents, batch["class_index"]))
    latent_dim, size = arguments["latent_dim"], generator.image_size
    if generator.system == "cpggan":
        count, distribution = arguments["condition_channels"], settings["latent_distribution"]
        return BoxesToImageInferer(latent_dim, size, count, distribution)(seeds, network, **batch)
    return EnsembleInferer(latent_dim, size)(seeds, [network])


def _check_request(generator: Generator, given: set[str]) -> None:
    takes = {*TAKES[generator.system]}
    if generator.system == "redgan" and not generator.weights.settings["use_class"]:
        takes.remove("classes")
    needed = takes - {"classes"} if generator.system == "cpggan" else takes
    if not needed <= given <= takes:
        shown = " and ".join(sorted(given)) or "nothing"
        raise OptionError(f"a generator of {generator.system} takes {' and '.join(sorted(takes))}, given is {shown}")


def _check_masks(generator: Generator, masks: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Masks as (N, 1, S, S), int64."""
    labels = torch.as_tensor(np.asarray(masks)).long()
    labels = labels[:, None] if labels.ndim == 3 else labels
    size, last = generator.image_size, generator.weights.arguments["mask_channels"] - 1
    if labels.ndim != 4 or tuple(labels.shape[1:]) != (1, size, size) or not len(labels):
        raise OptionError(f"masks are of shape {tuple(masks.shape)}, expected (N, {size}, {size})")
    if labels.min() < 0 or labels.max() > max(last, 1):
        raise OptionError(f"masks hold {int(labels.min())} to {int(labels.max())}, expected labels from 0 to {last}")
    return labels


def _find_classes(classes: Sequence[Any], names: Sequence[str], total: int) -> torch.Tensor:
    if len(classes) != total:
        raise OptionError(f"there are {len(classes)} classes for {total} images, expected one for each")
    indices = []
    for each in classes:
        index = names.index(each) if each in names else each
        if not isinstance(index, int | np.integer | torch.Tensor) or not 0 <= int(index) < len(names):
            raise OptionError(f"no class {each!r}{suggest(str(each), names)}, expected one of {', '.join(names)}")
        indices.append(int(index))
    return torch.tensor(indices)


def _pad_boxes(
    generator: Generator, boxes: Sequence[Any], classes: Sequence[Any] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (N, M, 4) and their labels (N, M), -1 for padding."""
    names = generator.images.labels[1:] if generator.weights.arguments["condition_channels"] > 1 else ["lesion"]
    padded = []
    for n, own in enumerate(boxes):
        labels = _find_classes([0] * len(own) if classes is None else classes[n], names, len(own))
        padded.append(pad_boxes(torch.as_tensor(np.asarray(own)).reshape(-1, 4), labels, max(map(len, boxes))))
    return torch.stack([each for each, _ in padded]), torch.stack([labels for _, labels in padded])
