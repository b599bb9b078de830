"""The one way to weights: found fit for what they are to be used for, then loaded into their own network."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.data.contract import Dataset
from scripts.data.splits import held_out_patients, refuse_known_patients, select_items, shown_place
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights
from scripts.networks.knowledge import Knowledge, read_description, refuse_broken
from scripts.networks.recipe import Recipe
from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
PURPOSES = ("prediction", "evaluation", "augmentation")


@dataclass(frozen=True)
class Weights:
    """A file of weights that was found fit for its purpose; nothing is read of it before `load`."""

    file: Path
    recipe: Recipe
    knowledge: Knowledge | None  # what the `.json` beside them says; None where there is none
    settings: dict[str, Any]  # those of `knowledge`; without it those given
    seen: dict[str, str] = field(default_factory=dict)  # see `find_seen`, of the patients to be evaluated on

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return self.recipe.arguments

    @property
    def trained_on(self) -> list[str]:
        """Patients that the weights know; none where nothing is known."""
        return [] if self.knowledge is None else self.knowledge.trained_on

    @property
    def memorised_sets(self) -> list[str]:
        """Synthetic sets behind the weights that failed their memorisation audit."""
        return [] if self.knowledge is None else self.knowledge.memorised_sets

    def find_seen(self, patients: Collection[str]) -> dict[str, str]:
        """Those of the patients whom the weights know -> "training", or "validation", whose scores chose the epoch.

        The log says how many, for scores on them flatter the weights.
        """
        if self.knowledge is None:
            return {}
        seen = {patient: "validation" for patient in self.knowledge.validated_on if patient in patients}
        seen |= {patient: "training" for patient in self.knowledge.trained_on if patient in patients}
        if seen:
            first = min(seen)
            logger.warning(
                f"{self.file}: {len(seen)} of the {len(patients)} patients to be evaluated on, such as {first!r}, were "
                f"in the {seen[first]} of these weights: their scores flatter them. The scores' file says whose."
            )
        return seen

    def images(
        self, channel_count: int | None = None, label_count: int | None = None, intensity_range: Any = None
    ) -> Dataset:
        """A data set's description without items of the images that the weights are for.

        What the weights do not say is given: channels, labels without the background, and the range of intensities.

        Raises:
            CheckpointError: a given value differs from the described one, or none is there.
        """
        if self.knowledge is None:
            if channel_count is None or label_count is None:
                raise CheckpointError(
                    f"Nothing beside {self.file} describes its images. Copy the .json that training wrote beside the "
                    "weights, or pass --image_channels and --label_count (and --intensity_range where it was given)."
                )
            modality = [f"channel {n}" for n in range(channel_count)]
            labels = ["background", *(f"label {n + 1}" for n in range(label_count))]
            return Dataset(self.file.parent, self.file.name, modality, labels, intensity_range=intensity_range)
        values = dict(self.knowledge.images)
        if intensity_range is not None:
            _refuse_others(self.file, values, {"intensity_range": [float(v) for v in intensity_range]})
        values["label_values"] = {int(value): label for value, label in values["label_values"].items()}
        return Dataset(self.file.parent, f"images of {self.file.name}", **values)

    def build(self) -> nn.Module:
        """The network without the weights, on the CPU."""
        return self.recipe.build()

    def load(self, device: torch.device | str = "cpu", network: nn.Module | None = None) -> nn.Module:
        """The network, a new one by default, with the weights, channels last on the device.

        Raises:
            CheckpointError: no readable file, other names or shapes, or values that are not finite.
        """
        network = self.build() if network is None else network
        load_weights(unwrap(network), load_checkpoint(self.file), str(self.file))
        refuse_broken(unwrap(network), self.file)
        return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def open_weights(
    file: str | Path | None,
    *,
    network: str | Sequence[str],
    purpose: str,
    dataset: Dataset | None = None,
    fold: int | None = None,
    split: str = "test",
    same_names: Sequence[str] = ("modality", "labels"),
    arguments: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Weights | None:
    """The one way to weights: what they are, once they are known to be fit for what they are to be used for.

    Args:
        file: of the weights; None gives None.
        network: name of the class or builder in `scripts.networks` that they must be of, or several.
        purpose: "prediction" on new images bars nobody; "evaluation" bars the patients of `split` (unless that is
            "training") from those that the weights know; "augmentation", for all that makes, teaches or measures what
            others learn from, bars the validation and test patients.
        dataset: whose patients count, and whose names must agree with those that the weights were trained for.
        fold: of the cross-validation.
        split: that is evaluated on.
        same_names: which names must agree.
        arguments: of the network, None for those not given: they must agree with the described ones, and must suffice
            where nothing is described.
        settings: likewise.
        trust: takes weights of which nothing is known although the purpose bars patients.

    Raises:
        ValueError: another purpose.
        CheckpointError: no such file (for a prediction whose options say everything, which may have a network of its
            own, only on loading), another network, other arguments or settings than those given (the message names
            both), a setting that is neither described nor given, images of other names, or weights without description
            that are not trusted.
        DatasetError: the weights know a patient whom they must not know.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose is {purpose!r}, expected one of {', '.join(PURPOSES)}.")
    if file is None:
        return None
    file = _locate(file)
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    asked = {name: value for name, value in (settings or {}).items() if value is not None}
    complete = purpose == "prediction" and bool(asked) and asked.keys() == (settings or {}).keys()
    if not file.is_file() and not complete:
        raise CheckpointError(f"No checkpoint {file}. Train that network first, or correct the path.")
    described = read_description(file)
    if described is None:
        _trust_or_refuse(file, purpose, trust)
        missing = [name for name in settings or {} if name not in asked]
        if missing:
            raise CheckpointError(
                f"Nothing beside {file} describes it, and {missing[0]} is not given. Copy the .json that training "
                f"wrote beside the weights, or pass --{missing[0]} as they were trained with."
            )
        return Weights(file, Recipe(network if isinstance(network, str) else network[0], given), None, asked)
    recipe, knowledge = described
    if recipe.name and recipe.name not in ([network] if isinstance(network, str) else network):
        wanted = str(network if isinstance(network, str) else network[0]).rsplit(".", 1)[-1]
        raise CheckpointError(f"{file} is a {recipe.short_name}, expected a {wanted}. Name the weights of a {wanted}.")
    _refuse_others(file, recipe.arguments, given)
    _refuse_others(file, knowledge.settings, asked)
    weights = Weights(file, recipe, knowledge, {**knowledge.settings, **asked})
    if dataset is not None:
        _check_names(file, knowledge.images, dataset, same_names, purpose)
    if dataset is not None and purpose == "augmentation":
        refuse_known_patients(knowledge.trained_on, file, held_out_patients(dataset, fold), shown_place(dataset, fold))
    elif dataset is not None and purpose == "evaluation":
        barred = {item["patient"]: split for item in select_items(dataset, split, fold, boxed=True)}
        if split != "training":
            refuse_known_patients(knowledge.trained_on, file, barred, shown_place(dataset, fold))
        weights = replace(weights, seen=weights.find_seen(barred))
    unknown = [name for name in settings or {} if name not in weights.settings]
    if unknown:
        raise CheckpointError(
            f"{file} does not say its {unknown[0]}, which an earlier version did not note. Pass --{unknown[0]} as it "
            "was trained with, or train it again."
        )
    return weights


def build_network(weights: Weights, **arguments: Any) -> nn.Module:
    """The network of weights, without these; for configs, where MONAI's tools may override arguments of it."""
    return replace(weights.recipe, arguments={**weights.arguments, **arguments}).build()


def open_all_weights(files: Sequence[str | Path], **options: Any) -> list[Weights]:
    """`open_weights` of each file; they must agree in network, arguments and settings.

    Raises:
        CheckpointError: as `open_weights`, no list, or two that differ; the message names them.
    """
    if isinstance(files, str | Path):
        raise CheckpointError(f"{files!r} is no list of files of weights, expected one such as \"['a.pt','b.pt']\".")
    opened = [weights for file in files if (weights := open_weights(file, **options)) is not None]
    shared = [(each.recipe, {name: each.settings.get(name) for name in options.get("settings", {})}) for each in opened]
    for other, what in zip(opened, shared, strict=True):
        if what != shared[0]:
            raise CheckpointError(
                f"{other.file} was trained with other options than {opened[0].file}. Name weights trained alike."
            )
    return opened


def load_networks(weights: Sequence[Weights], device: torch.device | str) -> list[nn.Module]:
    """The networks of all weights, see `Weights.load`; for configs."""
    return [each.load(device) for each in weights]


def common_setting(name: str, weights: Sequence[Weights | None], given: Any, otherwise: Any = None) -> Any:
    """A setting that networks working on the same images share: the described one, else the given, else another.

    Raises:
        CheckpointError: two that differ, or none at all.
    """
    known = {str(each.file): each.settings[name] for each in weights if each is not None and name in each.settings}
    values = [value for value in (given, *known.values(), otherwise) if value is not None]
    for file, value in known.items():
        if value != values[0]:
            raise CheckpointError(
                f"{file} was trained with {name} {value}, here it is {values[0]}. Name weights that were trained alike."
            )
    if not values:
        raise CheckpointError(f"{name} is not known, expected networks that say it. Pass --{name}.")
    return values[0]


def own_or_shipped(own: str, shipped: str) -> str:
    """Weights where a training of this system writes them, else those of the phantom in `models/`; for configs."""
    if Path(own).is_file() or not _locate(shipped).is_file():
        return own
    logger.info(f"No {own}: taking {shipped}, which was trained on the phantom.")
    return shipped


def _locate(file: str | Path) -> Path:
    """The file; of a relative path that does not exist here the bundle's own, for MONAI's `load` in another folder."""
    path, own = Path(file), ROOT / file
    return own if own.is_file() and not path.is_file() else path


def _trust_or_refuse(file: Path, purpose: str, trust: bool) -> None:
    if purpose != "prediction" and not trust:
        raise CheckpointError(
            f"Nothing beside {file} says whom it was trained on, and it must not know the patients that are held out "
            "here. Copy the .json that training wrote beside the weights, or pass --trust_weights True if you know it."
        )
    logger.warning(
        f"Nothing beside {file} describes it: nothing is known of its patients, and the options are trusted."
    )


def _refuse_others(file: Path, described: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises CheckpointError where a given value differs from the described one."""
    for name, value in given.items():
        value = list(value) if isinstance(value, tuple) else value
        alone = isinstance(described.get(name), list) and not isinstance(value, list)  # `--names a` for one of a list
        if name in described and described[name] != ([value] if alone else value):
            raise CheckpointError(
                f"{file} was trained with {name} {described[name]}, here it is {value}. Leave that option out (the "
                "weights know it), give data like those they were trained on, or name other weights."
            )


def _check_names(file: Path, images: Mapping[str, Any], dataset: Dataset, names: Sequence[str], purpose: str) -> None:
    """Other channels, labels or intensities: refused where others learn from it or the number differs, else said."""
    for name in (*names, "intensity_range") if names else ():
        ours, theirs = getattr(dataset, name), images.get(name)
        if name not in images or ours == theirs:
            continue
        told = f"{file} was trained for {name} {theirs}, {dataset.root} has {ours}"
        if purpose == "augmentation" or len(ours or ()) != len(theirs or ()):
            raise CheckpointError(f"{told}. Name weights that were trained on such images.")
        logger.warning(f"{told}: make sure that they mean the same, in this order.")
